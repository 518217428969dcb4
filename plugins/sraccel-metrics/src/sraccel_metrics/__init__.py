"""LPIPS as a metric, and VBench's dimensions as scores where an environment for VBench is named."""

import math
from collections.abc import Iterable

from sraccel.plugin import Metric, Score, hookimpl
from sraccel_metrics.lpips import lpips, missing_weights
from sraccel_metrics.vbench import vbench_scores

__all__ = ["lpips"]


def as_it_is(value: float) -> float:
    """LPIPS is a distance: 0 for identical videos."""
    return value


@hookimpl
def sraccel_metrics() -> Iterable[Metric | Score]:
    """LPIPS, and a score for each of VBench's dimensions that is asked for."""
    distance = Metric(
        "lpips",
        lpips,
        loss=as_it_is,
        limits=(0.0, math.inf),
        requires=("torchmetrics>=1.4",),
        obstacles=missing_weights,
    )
    return [distance, *vbench_scores()]
