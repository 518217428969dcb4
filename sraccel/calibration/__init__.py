"""Calibrating: what recorded bare runs say, and the files that keep it beside a model's weights.

In: bare runs of a pipeline, as `Trajectory` (matrices of scalar products, not tensors).
Out: budgets, the steps to take or to compute for each number of them, as a file with provenance.
Others use: budgets, calibration, fitting, picture, recording, trajectory.
"""
