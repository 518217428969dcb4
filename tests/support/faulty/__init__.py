"""Accelerators that each do one thing wrong; `faults` has what the check says of them.

Most are the faults that were once found, in a plugin's form.
"""
