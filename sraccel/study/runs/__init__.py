"""Running a study: composed, warmed up, timed, compared, and kept.

In come a pipeline, a `Study` and a folder; out go records of runs (`CellRun`) in the folder's
store, with the videos that are shown. `experiment` is the study on its pipeline, `cell_runner` runs
one cell, `rounds` all of them; `judging` compares frames and `store` keeps what came of it, under
the `header` of what must not change. Others use `store.Store`, `watcher` and, by way of
`sraccel.study.measure`, the rest.
"""
