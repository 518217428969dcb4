"""Studies: many runs of a recipe's parts, and what they say of how the parts go together.

In: a pipeline, and a recipe or study file. Out: a folder with the runs, videos and a report.
`plan` says what is run, `analysis` what the runs mean, `runs` makes and keeps them, and `report`
shows what came of it; each of these imports only those before it. `cell` (a way of running, and one
run) and `results` (what a report holds) are what they share; `measure` is the way in, `on_ray` that
of a study on a cluster.

Others use: analysis, cell, measure, on_ray, plan, report, results, runs.
"""
