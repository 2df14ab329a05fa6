"""Tells whether a published benchmark number is true here, now, on this stack."""

__version__ = "0.1.0"
