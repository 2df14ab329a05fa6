"""A published study as data: its stages, row counts and figures, and the claims that they mean."""
