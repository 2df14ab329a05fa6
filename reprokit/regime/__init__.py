"""The regime of a claim beside the one that was measured: names of GPUs, ceilings, shares of them.

Pure: what was measured comes in as numbers.
"""
