"""Modules for machines that have neither these packages nor a network; last on the import path.

They read the tokenizers that `synthetic.py` writes and no others. generate.py uses its tokenizer
before the first sample and between the timed intervals, so nothing timed depends on them.
"""
