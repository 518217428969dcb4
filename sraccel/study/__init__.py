"""Studies: many runs of a recipe's parts, and what they say of how the parts go together.

`plan` says what is run, `runs` runs it and keeps it, `analysis` says what it means, and `report`
shows it; a `cell` and a `record` of a run are what they share.
"""
