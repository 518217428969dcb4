"""The sampling loop: a stack of accelerators on a pipeline or a denoiser, whoever drives it.

In come accelerators and denoisers, which the composer has found to fit each other. Out come the
pipeline's own results, and a report of each run by the reporter that the stack was handed.

Bottom to top: `hookspecs` says what an accelerator may do, `hooks` asks the accelerators of one
stack; a `run` has a `step` has a `call`; `tracker` owns the open run; `seams/` is where diffusers
is met; `skipping` asks a stack's rule and predictor; `stack` attaches all of it and restores the
target. Where several ranks make one video, `agreement` sees to one decision. The way of one call
through these files is in docs/explanation/how-it-works.md.

Others use: accelerator, answers, call, claims, clean_latents, clock, column, continuation,
denoiser, denoiser_adapter, edition, finding, forecast, history, hooks, hookspecs, intercept,
measure, numbers_only, obstacle, placement, ranks, run, scope, stack, step, step_plan,
tunable.
"""
