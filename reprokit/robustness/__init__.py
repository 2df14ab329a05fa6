"""Robustness over stack points and portability over regimes: pure functions of rows and samples."""
