"""TeaCache (Liu et al., arXiv 2411.19108): skip steps whose input hardly changed.

In: the calls of a denoiser, and coefficients that fit its model. Out: residuals to reuse.
Others use: `calibrate`, which fits coefficients; `calibration`, for the command of that name.
"""

from __future__ import annotations

from collections.abc import Iterable

from sraccel.accelerators.teacache.accelerator import TeaCache
from sraccel.accelerators.teacache.calibration.calibrator import calibrate
from sraccel.plugin import Accelerator, hookimpl

__all__ = ["TeaCache", "calibrate"]


@hookimpl
def sraccel_accelerators() -> Iterable[type[Accelerator]]:
    """TeaCache."""
    return [TeaCache]
