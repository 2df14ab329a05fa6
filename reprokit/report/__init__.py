"""Reports: what people read; no number is made here."""
