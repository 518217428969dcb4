"""Tuning: which options of which accelerators give the most speed for a quality, on one's prompts.

In: a pipeline, a recipe, prompts, a goal such as `psnr_db>=30`, and a folder. Out: recipe files of
the front, measured on prompts that chose nothing, beside the recipe as it was and fewer steps.

`survey` finds the `space` that is searched, `search` the trials, `bench` one run, `confirming` the
runs on held-out prompts, `cliffs` what lies one notch beside a point, `store` what is on disk,
`outcome` what came out, `writing` its files.

Others use: `tune.tune`, `goal.Goal`, `outcome.Outcome`, `watcher.Watcher`, `search.optuna` (is it
there), `writing` (names of files).
"""
