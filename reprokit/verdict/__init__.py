"""The verdict: the decision for one claim, drawn from rows by a pure function."""
