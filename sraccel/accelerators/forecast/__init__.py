"""The predictor `forecast`: what stands in for skipped work, extrapolated from what was computed.

In: the core's history of computed values. Out: predictions of residuals, or of whole outputs.
Beside it: `extrapolation` (weights, without torch), `quantity` (velocity, x0, eps), `noise`,
`calibration` (alpha of a blend).
"""

from __future__ import annotations

from collections.abc import Iterable

from sraccel.accelerators.forecast.accelerator import ForecastPredictor
from sraccel.accelerators.forecast.calibration import Blend
from sraccel.plugin import Accelerator, Calibration, hookimpl

__all__ = ["ForecastPredictor"]


@hookimpl
def sraccel_accelerators() -> Iterable[type[Accelerator]]:
    """The predictor."""
    return [ForecastPredictor]


@hookimpl
def sraccel_calibrations() -> Iterable[type[Calibration]]:
    """The factor of a blend."""
    return [Blend]
