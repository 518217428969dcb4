"""What can be checked of a recipe, and of a model under it, before anything runs.

In: a recipe, maybe a model's name. Out: `Finding`s: errors, warnings, notes. No weights are loaded.

Others use: `recipe_check.check_recipe` (without torch), `model_check.check_model` (with the model:
fit, memory), `pipeline_outline.outline_of` (a pipeline without weights), `third_party` (asking
accelerators that may raise anything), `schema.recipe_schema` (for editors),
`tokens` (how many a video has), `matrix` (which accelerators go together), `inventory` (what is
installed, and whether it can run).
"""
