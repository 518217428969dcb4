"""What a recipe would gain on this machine, before anything is downloaded.

In: a recipe, and the name of a published model or a folder with configurations. Out: a
`Prediction` (seconds, speedup, memory; what of it was measured and what assumed), or a `Bench`: the
same of each subset of the recipe's accelerators.

Denoisers are built from their configurations with random weights, which take as long as trained
ones; what a call costs is measured on them, and the decisions that a run would make are replayed.

Others use: `predict.predict`, `decisions.Given` (decisions of the user's own), `bench.bench`,
`bench_page` (a bench as HTML), `configuration.CONFIGURATIONS`, `stage_work` (which part of the work
either of two models does).
"""
