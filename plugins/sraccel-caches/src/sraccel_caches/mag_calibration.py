"""`sraccel calibrate magcache`: the magnitude ratios of a model for which none are published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.plugin import Calibration, Call, Run, RunRecorder, Trajectory, hookimpl

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes

CLIFF = 0.1
"""A ratio that differs so much from the one before ends any skipping there."""


class Ratios(RunRecorder):
    """The residual's magnitude over that of the step before, of a step's first guidance branch.

    As diffusers' `MagCacheConfig(calibrate=True)`: means over tokens of ratios of norms.
    """

    name = "magcache-ratios"

    def __init__(self) -> None:
        super().__init__()
        self._ratios: list[float] = []
        self._before: torch.Tensor | None = None
        self._branch: str | None = None

    @hookimpl
    def run_started(self, run: Run) -> None:
        self._ratios, self._before, self._branch = [], None, None

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        return False

    @hookimpl
    def residual_computed(self, call: Call, residual: torch.Tensor) -> None:
        self._branch = self._branch or call.branch
        if call.branch != self._branch:
            return
        norm = residual.float().norm(dim=-1)
        before, self._before = self._before, norm
        self._ratios.append(1.0 if before is None else float((norm / (before + 1e-8)).mean()))

    def recorded(self) -> list[float]:
        """A ratio a step."""
        self._before = None
        return self._ratios


class MagRatios(Calibration):
    """The option `ratios` of `magcache`."""

    name = "magcache"
    purpose = "Measure the magnitude ratios by which `magcache` decides, for a model of your own."
    unit = "mean absolute difference of ratios"

    def recorder(self) -> RunRecorder:
        """What sees the residuals."""
        return Ratios()

    def fit(self, runs: Sequence[Trajectory]) -> Mapping[str, Any]:
        """Means over runs, a value a step."""
        recorded = [run.more[self.name] for run in runs]
        return {"ratios": [sum(values) / len(values) for values in zip(*recorded, strict=True)]}

    def error(self, fit: Mapping[str, Any], run: Trajectory) -> float:
        """How far a run's own ratios are from these."""
        own = run.more[self.name]
        pairs = zip(fit["ratios"], own, strict=True)
        return sum(abs(mean - ratio) for mean, ratio in pairs) / len(own)

    def recipe(self, fit: Mapping[str, Any], path: Path) -> Sequence[Mapping[str, Any]]:
        """At the default threshold."""
        return [{"use": "magcache", "ratios": str(path)}]

    def warnings(self, fit: Mapping[str, Any]) -> Iterable[str]:
        """Where magnitudes jump."""
        for step, (one, other) in enumerate(pairwise(fit["ratios"]), start=1):
            if step > 1 and abs(other - one) > CLIFF:
                yield f"magcache: the ratio jumps from {one:.2f} to {other:.2f} at step {step}"

    def draw(self, axes: Axes, fit: Mapping[str, Any], runs: Sequence[Trajectory]) -> None:
        """Each run's ratios, and their means."""
        for run in runs:
            axes.plot(run.more[self.name], color="0.7", linewidth=0.8)
        axes.plot(fit["ratios"], "o-", color="#D55E00", markersize=3)
        axes.set_xlabel("step")
        axes.set_ylabel("magnitude of the residual over that of the step before")
