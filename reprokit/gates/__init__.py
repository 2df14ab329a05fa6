"""The five gates: whether what a verdict prints can be relied on (docs/decisions/0014)."""
