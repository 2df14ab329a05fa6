"""The adapters that reprokit brings itself; each subpackage exports one `ADAPTER`."""
