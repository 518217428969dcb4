"""The predictor `forecast`: what stands in for skipped work, extrapolated from what was computed.

In: the core's history of computed values. Out: predictions of residuals, or of whole outputs.
Beside it: `extrapolation` (weights, without torch), `quantity` (velocity, x0, eps), `noise`.
"""

from __future__ import annotations

from collections.abc import Iterable

from sraccel.accelerators.forecast.accelerator import ForecastPredictor
from sraccel.plugin import Accelerator, hookimpl

__all__ = ["ForecastPredictor"]


@hookimpl
def sraccel_accelerators() -> Iterable[type[Accelerator]]:
    """The predictor."""
    return [ForecastPredictor]
