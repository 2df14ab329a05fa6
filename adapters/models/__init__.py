"""Models from a hub, for every adapter that asks for one; no adapter itself."""
