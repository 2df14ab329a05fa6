"""The command line: options, progress display, exit codes. Decides nothing about claims."""
