"""The only part of reprokit that starts processes."""
