"""Loops that change on the way: FramePack's sections, and frames that ChronoEdit drops."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from residual_rules import OfficialArithmetic, ReuseFromStep1
from tiny import CHRONO_EDIT, FRAMEPACK, TinyFamily
from torch import nn

import sraccel

STEPS = 4
SECTIONS = {"num_frames": 10}
REASONING = {
    "num_frames": 13,
    "enable_temporal_reasoning": True,
    "num_temporal_reasoning_steps": STEPS // 2,
}


class ArithmeticAnew(OfficialArithmetic):
    """Begins anew after so many calls."""

    def __init__(self, model: Any, tiny: TinyFamily, branches: int, calls: int) -> None:
        super().__init__(model, tiny, branches)
        self.period = calls

    def _begin(self, block: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        if self.calls % self.period == 0:
            self.residuals.clear()
        super()._begin(block, args, kwargs)


@pytest.mark.parametrize(
    ("tiny", "arguments", "calls", "skipped"),
    [
        (FRAMEPACK, SECTIONS, STEPS, [False, True, True, True]),
        (CHRONO_EDIT, REASONING, STEPS, [False, True, False, True]),
    ],
    ids=["framepack", "chrono-edit"],
)
def test_a_cache_begins_anew_where_the_loop_does_or_its_frames_are_others(
    tiny: TinyFamily, arguments: dict[str, Any], calls: int, skipped: list[bool]
):
    """The report is of a video's last section."""
    reference = tiny.pipeline()
    ArithmeticAnew(reference.transformer, tiny, tiny.calls_per_step, calls)
    pipe = tiny.pipeline()
    bare = tiny.generate(pipe, STEPS, **arguments)
    with sraccel.compose(pipe, [ReuseFromStep1.Options()]) as stack:
        expected = tiny.generate(reference, STEPS, **arguments)
        for _ in range(2):
            assert torch.equal(tiny.generate(pipe, STEPS, **arguments), expected)
            reused = [all(call.reused for call in step.calls) for step in stack.report.steps]
            assert reused == skipped
    assert torch.equal(tiny.generate(pipe, STEPS, **arguments), bare)
    assert not torch.equal(expected, bare)
