"""How a recipe is read: files with the places of everything in them, includes, overrides.

In: a path or a mapping, and overrides (`teacache.threshold=0.15`). Out: a `Merged`: plain content,
and the file, line and column that each part comes from.

Others use: `merged` (a recipe's file and all that it includes), `override` (the texts of `--set`),
`problems` (pydantic's errors in the recipe's terms), `document` (one file), `place` (in a recipe).
"""
