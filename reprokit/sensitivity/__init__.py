"""How far intervals and conclusions move with choices that should not matter (TR147, C.1-C.6)."""
