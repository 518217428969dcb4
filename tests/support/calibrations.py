"""Calibration files for tiny Wan models."""

from __future__ import annotations

from typing import Any

from sraccel.accelerators.teacache.calibration_file import CalibrationEntry, signature_of
from sraccel.calibration.budgets import BudgetFile
from sraccel.plugin import weights_checksum


def fitted_entry(model: Any, role: str = "transformer", **more: Any) -> CalibrationEntry:
    """The identity, as if it had been fitted for this model."""
    facts = {
        "role": role,
        "family": "wan",
        "class_name": type(model).__name__,
        "signature": signature_of(model.config),
        "variant": "plain",
        "coefficients": [0, 0, 0, 1, 0],
        "r2": 0.9,
        "x_range": (0.0, 1.0),
        "num_points": 100,
    }
    return CalibrationEntry(**{**facts, **more})


def calibration(pipe: Any, steps: int = 10, **changes: Any) -> BudgetFile:
    """Three of `steps` steps, as if they had been calibrated for this pipeline."""
    pipe.scheduler.set_timesteps(steps)
    content = {
        "what": "steps",
        "class_name": "WanTransformer3DModel",
        "weights": weights_checksum(pipe.transformer),
        "dtype": "float32",
        "scheduler": "UniPCMultistepScheduler",
        "sigmas": [float(sigma) for sigma in pipe.scheduler.sigmas[:-1]],
        "budgets": {"3": {"positions": [0, 1, 5]}},
        "prompts": ["a"],
        "seeds": [0],
        "versions": {},
        "date": "2026-11-22",
    }
    return BudgetFile.model_validate({**content, **changes})
