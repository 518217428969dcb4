"""Fitting TeaCache's coefficients for a model, and the file that keeps them.

In: a pipeline, prompts, seeds. Out: a JSON file of polynomials, a picture of each fit, the runs.
Others use: `calibrator` (`calibrate`), `runs` (how many are on disk).
"""
