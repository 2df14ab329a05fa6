"""Runs of one claim put together over machines: never pooled over regimes, refused where unlike."""
