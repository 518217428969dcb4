"""Tuning: which options of which accelerators give the most speed for a quality, on one's prompts.

In: a pipeline, a recipe, prompts, a goal such as `psnr_db>=30`, and a folder. Out: recipe files of
the front, measured on prompts that chose nothing, beside the recipe as it was and fewer steps.

`prepared` is what is known before anything runs: `survey` finds the `space` that is searched.
`search` draws the trials, `confirming` has the runs on held-out prompts, `cliffs` looks one notch
beside a point; what they want run is made by way of the `bench`, by a `candidate_runner` here or by
`ray_runner`'s workers. `store` is what is on disk, `outcome` what came out, `writing` its files;
`tune` is the way in, `on_ray` that of a tuning on a cluster.

Others use: `tune.tune`, `on_ray`, `ray_runner.TuneWork`, `wanted`, `goal.Goal`, `outcome.Outcome`,
`watcher.Watcher`, `search.optuna` (is it there), `writing` (names of files).
"""
