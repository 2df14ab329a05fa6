"""The run directory, and executing a plan in it."""
