"""GPUs of this machine: which there are, who uses them, and what they did while measuring."""
