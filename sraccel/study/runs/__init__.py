"""Running a study: composed, warmed up, timed, compared, and kept.

In: a pipeline, a `Study` and a folder. Out: records of runs (`CellRun`) in the folder's store, and
the videos that are shown. `experiment` is the study on its pipeline, `cell_runner` runs one cell,
`rounds` all of them, `ray_runner` has `workers` of a cluster run them; `judging` compares frames,
and `store` keeps what was measured, under the `header` of what must not change (`schema`: its
tables; `damage`: what can be wrong with its file).

Others use: `store`, `watcher`, `ray_runner`, `workers`, `header`, `judging` (kept frames),
`cell_runner.check_call`, and by way of `sraccel.study.measure` the rest.
"""
