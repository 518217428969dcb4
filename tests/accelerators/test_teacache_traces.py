"""Golden traces: every family skips what the official rule skips, and computes what it computes.

The reference does without sraccel. It watches the real model by torch's own hooks, always runs all
blocks, and puts the cached residual in their place wherever a few lines of numpy say so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import BLOCK_STACKS, WAN, TinyFamily
from tiny.family import BlockStack, Watch, argument_of
from torch import nn

import sraccel

STEPS = 14
FORCED = {"hidream": (0.1 * STEPS, None)}
"""(how many of the first steps, which last one), where it is not the first and the last."""
THRESHOLDS = (1.05, 1.3, 1.7, 2.2)
"""In units of the median rescaled distance."""
RETENTION = ("wan", "skyreels-v2", "wan-animate", "chrono-edit")
RETENTION_INPUT = argument_of("blocks.0", 2)  # Wan's time projection


def official_skips(
    distances: list[float], polynomial: Any, threshold: float, first: float, last: int | None
) -> list[bool]:
    """The official rule on recorded distances; NaN stands for a step without a predecessor."""
    accumulated, skips = 0.0, []
    rescale = np.poly1d(polynomial)
    for step, distance in enumerate(distances):
        forced = step < first or step == last or np.isnan(distance)
        if forced:
            accumulated = 0.0
        else:
            accumulated += rescale(distance)
        skips.append(not forced and accumulated < threshold)
        if not skips[-1]:
            accumulated = 0.0
    return skips


class Official:
    """TeaCache around the real models of a pipeline, written without sraccel.

    Attributes:
        distances: of each branch of each model, step by step.
        skipped: what the rule said, call by call.
    """

    def __init__(self, tiny: TinyFamily, watch: Watch, branches: int, rule: Any) -> None:
        assert tiny.blocks is not None
        self.stack, self.watch, self.branches, self.rule = tiny.blocks, watch, branches, rule
        self.distances: dict[Any, list[float]] = defaultdict(list)
        self.skipped: list[bool] = []
        self.previous: dict[Any, torch.Tensor] = {}
        self.residuals: dict[Any, torch.Tensor] = {}
        self.seen: list[torch.Tensor] = []

    def around(self, model: Any) -> None:
        first, *_, last = self.stack.of(model)
        self.watch(model, self.seen)
        first.register_forward_pre_hook(self._begin, with_kwargs=True)
        if self.stack.tail is None:
            last.register_forward_hook(lambda *args: self._end_of_blocks(model, args[2]))
        else:
            model.get_submodule(self.stack.tail).register_forward_pre_hook(
                lambda _, args: (self._end(model, args[0]), *args[1:])
            )

    def _begin(self, block: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        self.start = self.stack.start(args, kwargs)

    def _end_of_blocks(self, model: nn.Module, output: Any) -> Any:
        hidden = self._end(model, self.stack.hidden(output))
        return self.stack.with_hidden(output, hidden)

    def _end(self, model: nn.Module, computed: torch.Tensor) -> torch.Tensor:
        step, branch = divmod(len(self.skipped), self.branches)
        key, modulated = (model, branch), self.seen[-1]
        self.seen.clear()
        distances = self.distances[key]
        distances += [np.nan] * (step - len(distances))  # steps of the pipeline's other model
        distances.append(self._distance(modulated, self.previous.get(key)))
        self.previous[key] = modulated
        self.skipped.append(official_skips(distances, *self.rule)[-1])
        if self.skipped[-1]:
            return self.start + self.residuals[key]
        self.residuals[key] = computed - self.start
        return computed

    @staticmethod
    def _distance(current: torch.Tensor, previous: torch.Tensor | None) -> float:
        if previous is None:
            return float("nan")
        return ((current - previous).abs().mean() / previous.abs().mean()).cpu().item()


def reference(
    tiny: TinyFamily,
    watch: Watch,
    rule: Any,
    guidance: float,
    dtype: torch.dtype,
    steps: int = STEPS,
) -> tuple[torch.Tensor, Official]:
    pipe = tiny.pipeline().to(dtype)
    official = Official(tiny, watch, tiny.calls_at(guidance), rule)
    for model in tiny.denoisers(pipe):
        official.around(model)
    return tiny.generate(pipe, steps, guidance=guidance, dtype=dtype), official


def ours(
    tiny: TinyFamily,
    options: dict[str, Any],
    guidance: float,
    dtype: torch.dtype,
    steps: int = STEPS,
) -> tuple[torch.Tensor, list[bool]]:
    pipe = tiny.pipeline().to(dtype)
    with sraccel.compose(pipe, [{"use": "teacache", **options}]) as stack:
        latents = tiny.generate(pipe, steps, guidance=guidance, dtype=dtype)
    return latents, [call.reused for step in stack.report.steps for call in step.calls]


def polynomials(distances: list[float]) -> list[list[float]]:
    """The identity, and one that is negative where the distance is small."""
    middle = float(np.nanmedian(distances))
    return [[0.0, 0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1 / middle**2, 0.0, -0.25]]


def compare(
    tiny: TinyFamily,
    watch: Watch,
    *,
    retention: bool = False,
    guidance: float = 4.0,
    dtype: torch.dtype = torch.float32,
    thresholds: Sequence[float] = THRESHOLDS,
) -> list[float]:
    """Skip list and latents of both, for each polynomial and threshold; the shares skipped."""
    first, last = (5, None) if retention else FORCED.get(tiny.family, (1, STEPS - 1))
    _, bare = reference(tiny, watch, ([0.0] * 5, 0.0, first, last), guidance, dtype)
    assert not any(bare.skipped)
    recorded = next(iter(bare.distances.values()))
    roles = ("transformer", "transformer_2")[: len(tiny.attributes)]
    shares = []
    for number, relative in enumerate(thresholds):
        polynomial = polynomials(recorded)[number % 2]
        usual = float(np.nanmedian(np.poly1d(polynomial)(np.array(recorded))))
        rule = (polynomial, relative * usual, first, last)
        latents, official = reference(tiny, watch, rule, guidance, dtype)
        options = {
            "coefficients": dict.fromkeys(roles, polynomial),
            "threshold": relative * usual,
            "retention": retention,
        }
        found, skipped = ours(tiny, options, guidance, dtype)
        assert skipped == official.skipped
        assert torch.equal(found, latents)
        shares.append(sum(skipped) / len(skipped))
    return shares


@pytest.mark.parametrize("tiny", BLOCK_STACKS, ids=str)
def test_the_skips_and_latents_are_the_official_rules(tiny: TinyFamily) -> None:
    assert isinstance(tiny.blocks, BlockStack)
    shares = compare(tiny, tiny.blocks.modulated)
    assert sum(0.2 <= share <= 0.7 for share in shares) >= 3, shares


@pytest.mark.parametrize("tiny", BLOCK_STACKS, ids=str)
def test_so_they_are_in_bfloat16_and_without_guidance(tiny: TinyFamily) -> None:
    assert isinstance(tiny.blocks, BlockStack)
    compare(
        tiny, tiny.blocks.modulated, guidance=1.0, dtype=torch.bfloat16, thresholds=THRESHOLDS[1:2]
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "tiny", [tiny for tiny in BLOCK_STACKS if tiny.family in RETENTION], ids=str
)
def test_so_they_are_in_the_retention_variant(tiny: TinyFamily, dtype: torch.dtype) -> None:
    compare(tiny, RETENTION_INPUT, retention=True, dtype=dtype, thresholds=THRESHOLDS[1:2])


CURVED = [0.0, 0.0, 1.0, -0.3, -0.05]
"""Coefficients that are negative below a distance of 0.42, as some published ones are near 0."""


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("retention", [False, True])
@settings(max_examples=6)
@given(threshold=st.floats(0.01, 3.0), steps=st.integers(9, 20))
def test_so_they_are_at_any_threshold_in_runs_of_any_length(
    dtype: torch.dtype, retention: bool, threshold: float, steps: int
) -> None:
    assert WAN.blocks is not None
    watch = RETENTION_INPUT if retention else WAN.blocks.modulated
    rule = (CURVED, threshold, *((5, None) if retention else (1, steps - 1)))
    latents, official = reference(WAN, watch, rule, 4.0, dtype, steps)
    options = {"coefficients": CURVED, "threshold": threshold, "retention": retention}
    found, skipped = ours(WAN, options, 4.0, dtype, steps)
    assert skipped == official.skipped
    assert torch.equal(found, latents)
