"""Entries of calibration files for tiny Wan models."""

from __future__ import annotations

from typing import Any

from sraccel.accelerators.teacache.calibration_file import CalibrationEntry, signature_of


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
