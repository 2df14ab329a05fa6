"""Kept runs: closed run directories of any machine, read whole and checked against themselves."""
