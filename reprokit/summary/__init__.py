"""Runs of several claims summed up: their family of decisions, and a study's own summary tables."""
