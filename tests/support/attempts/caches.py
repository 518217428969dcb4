"""Caches that skip blocks: rules, predictors, and a way to calibrate one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sraccel.plugin import Accelerator, Call, Denoiser, Run, hookimpl, rel_l1_distance

if TYPE_CHECKING:
    import torch


class Schedule(Accelerator):
    """Computes the steps of a list; skips the others' blocks."""

    name = "schedule"

    def __init__(self, computed: Sequence[int] | None) -> None:
        super().__init__()
        self.computed = computed

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        return self.computed is not None and call.step.solver_step not in self.computed


class TaylorSeer(Accelerator):
    """Extrapolates by finite differences (arXiv 2503.06923); a predictor for any rule."""

    name = "taylorseer"
    history_length = 3

    @hookimpl
    def predict(self, call: Call) -> torch.Tensor:
        values = [item.value for item in call.history]
        steps = [item.step_index for item in call.history]
        ahead = call.step.solver_step - steps[-1]
        predicted, differences = values[-1], values
        for order in range(1, len(values)):
            gap = steps[-1] - steps[-2]
            differences = [(later - earlier) / gap for earlier, later in pairwise(differences)]
            predicted = predicted + differences[-1] * (ahead**order / math.factorial(order))
        return predicted


class MagCache(Accelerator):
    """Skips while the product of known magnitude ratios stays near 1 (arXiv 2506.09045)."""

    name = "magcache"

    def __init__(self, ratios: Sequence[float], threshold: float, at_most: int = 3) -> None:
        super().__init__()
        self.ratios, self.threshold, self.at_most = ratios, threshold, at_most

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        state: dict[str, float] = call.memory(self, lambda: {"product": 1.0, "error": 0.0, "k": 0})
        state["product"] *= self.ratios[min(call.step.solver_step, len(self.ratios) - 1)]
        state["error"] += abs(1 - state["product"])
        state["k"] += 1
        return state["error"] < self.threshold and state["k"] <= self.at_most

    @hookimpl
    def residual_computed(self, call: Call) -> None:
        state: dict[str, float] = call.memory(self, dict)
        state.update(product=1.0, error=0.0, k=0)


class MagCalibration(Accelerator):
    """Measures the ratios that `MagCache` goes by, in a full run; skips nothing."""

    name = "mag-calibration"

    def __init__(self) -> None:
        super().__init__()
        self.ratios: list[float] = []

    @hookimpl
    def run_started(self, run: Run) -> None:
        self.ratios = []

    @hookimpl
    def residual_computed(self, call: Call, residual: torch.Tensor) -> None:
        state: dict[str, float] = call.memory(self, dict)
        magnitude = float(residual.norm(dim=-1).mean())
        if call is call.step.calls[0]:
            self.ratios.append(magnitude / state.get("magnitude", magnitude))
        state["magnitude"] = magnitude

    @hookimpl
    def run_finished(self, run: Run) -> None:
        run.note(self, ratios=self.ratios)


class FirstBlocksCache(Accelerator):
    """Runs the first blocks, and skips the span behind them if they do what they did before.

    With a span to the end of the stack: FBCache. With one that ends earlier: DBCache.
    """

    name = "first-blocks-cache"

    def __init__(self, threshold: float, span: tuple[int, int | None] = (1, None)) -> None:
        super().__init__()
        self.threshold, self.block_span = threshold, span

    def span_of(self, denoiser: Denoiser) -> tuple[int, int | None]:
        """Of a small model, all behind the first block."""
        blocks = denoiser.adapter.blocks(denoiser.module)
        return self.block_span if len(blocks) > 2 else (1, None)

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        state: dict[str, torch.Tensor] = call.memory(self, dict)
        probe, before = call.probe_residual, state.get("computed")
        state["latest"] = probe
        return before is not None and float(rel_l1_distance(probe, before)) < self.threshold

    @hookimpl
    def residual_computed(self, call: Call) -> None:
        state: dict[str, Any] = call.memory(self, dict)
        state["computed"] = state["latest"]


class DiCache(Accelerator):
    """A rule and a predictor that both go by the first block (arXiv 2508.17356).

    It skips while the change of the first block's output, summed since the last computed step, is
    small; the way that its residual has gone since then says how far the whole stack's has gone.
    """

    name = "dicache"
    block_span = (1, None)
    history_length = 2

    def __init__(self, threshold: float, furthest: float = 1.5) -> None:
        super().__init__()
        self.threshold, self.furthest = threshold, furthest

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        state: dict[str, Any] = call.memory(self, lambda: {"changed": 0.0, "probes": []})
        output, before = call.span_input.clone(), state.get("output")
        state["output"] = output
        if before is None:
            return False
        state["changed"] += float(rel_l1_distance(output, before))
        return bool(state["changed"] < self.threshold)

    @hookimpl
    def residual_computed(self, call: Call) -> None:
        state: dict[str, Any] = call.memory(self, dict)
        state["changed"] = 0.0
        state["probes"] = [*state["probes"], call.probe_residual][-self.history_length :]

    def history_value(self, call: Call, value: torch.Tensor) -> torch.Tensor:
        return value + call.probe_residual

    @hookimpl
    def predict(self, call: Call) -> torch.Tensor:
        whole = call.history[-1].value
        if len(call.history) == self.history_length:
            older, newer = call.memory(self, dict)["probes"]
            gone = (call.probe_residual - older).abs().mean() / (newer - older).abs().mean()
            earlier = call.history[0].value
            whole = earlier + gone.clamp(1, self.furthest) * (whole - earlier)
        return whole - call.probe_residual
