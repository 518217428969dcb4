"""Bare against accelerated: both run on the same noise, timed, compared and explained.

In: a pipeline, a recipe and the arguments of the call. Out: a `Comparison`: both outputs, and a
report with the measured and the predicted speedup, each accelerator's factor, and quality.

Others use: `compare.compare`, `comparison.Comparison`, `timed_call.TimedCall` (one call on given
noise, timed), `paired_runs.PairedRuns` (to compare what is run in another way), `costs`, `probing`
(short runs that measure what a call costs), `prediction` (replays decisions at given costs),
`quality.quality_of`, `verification` (every derived figure once more), `rival.rival_recipe`,
`purity` (whether weights were changed).
"""
