"""Recipes: which accelerators, with which options, in which order; and what may be named in one.

In: a YAML, TOML or JSON file, the name of an installed recipe, or Python. Out: a `Recipe`, or a
`RecipeError` that lists everything that is wrong with its place. Imports no torch.

Others use: `recipe.Recipe`, `sampling.Sampling` (the pipeline's call in it), `catalogue.installed`
(what plugins bring), `discovery` (how they are found), `prompts.read_prompts`, and of `reading`
what its docstring names.
"""
