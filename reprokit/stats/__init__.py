"""Estimates: pure, typed, seeded functions of numbers; none raises on degenerate data."""
