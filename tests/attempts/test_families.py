"""Families that a package of its own brings, with TeaCache and SRDiffusion on them."""

from __future__ import annotations

import pytest
import torch
from attempts.families import LatteAdapter, SanaAdapter
from tiny import TinyFamily
from tiny.unadapted.images import SANA
from tiny.unadapted.videos import LATTE
from tiny_models import IDENTITY

import sraccel
from sraccel.plugin import DenoiserAdapter

STEPS, SWITCH = 6, 4


@pytest.mark.parametrize(
    ("tiny", "adapter"),
    [(LATTE, LatteAdapter()), (SANA, SanaAdapter())],
    ids=["latte", "sana"],
)
def test_a_brought_family_runs_unchanged_or_skips_and_switches_as_the_report_says(
    tiny: TinyFamily, adapter: DenoiserAdapter
) -> None:
    pipe = tiny.pipeline()
    switch = {"use": "srdiffusion", "render": tiny.render(), "switch_step": SWITCH}
    coefficients = {"transformer": IDENTITY, "render": IDENTITY}
    cache = {"use": "teacache", "coefficients": coefficients}
    with sraccel.compose(pipe, [switch], adapters=[adapter]):
        expected = tiny.generate(pipe, STEPS)
    with sraccel.compose(pipe, [switch, {**cache, "threshold": 1e-12}], adapters=[adapter]):
        assert torch.equal(tiny.generate(pipe, STEPS), expected)
    with sraccel.compose(pipe, [switch, {**cache, "threshold": 1e9}], adapters=[adapter]) as stack:
        skipping = tiny.generate(pipe, STEPS)
    assert torch.isfinite(skipping).all()
    assert not torch.equal(skipping, expected)
    computed = {0, SWITCH, STEPS - 1}  # of each model the first, and the last of all
    for step in stack.report.steps:
        assert step.denoiser == ("render" if step.index >= SWITCH else "transformer")
        assert {call.reused for call in step.calls} == {step.index not in computed}
    assert stack.report.model["transformer"]["family"] == adapter.family
