"""Air gap: all that a run needs, gathered on one machine and used on another without a network."""
