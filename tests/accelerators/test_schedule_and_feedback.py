"""The rules `schedule` and `feedback`: which steps they compute, at both levels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from attempts.caches import Schedule as Reference
from calibrations import calibration
from diffusers import WanPipeline, WanTransformer3DModel
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from untouched import untouched

import sraccel
from sraccel.accelerators.feedback import Feedback
from sraccel.accelerators.schedule import Schedule
from sraccel.plugin import Accelerator, Call, hookimpl

Generate = Callable[..., torch.Tensor]


def computed(stack: sraccel.Stack) -> list[int]:
    """Steps of the last run in which every branch was computed; none may have skipped alone."""
    by_step = [{call.reused for call in step.calls} for step in stack.report.steps]
    assert all(len(decisions) == 1 for decisions in by_step)
    return [index for index, decisions in enumerate(by_step) if decisions == {False}]


class TestSchedule:
    def test_skipping_blocks_is_the_plain_rule_bit_for_bit(
        self, pipe: WanPipeline, generate: Generate
    ) -> None:
        steps, bare = [0, 1, 4], generate(pipe)
        with sraccel.compose(pipe, [Reference(steps)]):
            expected = generate(pipe)
        recipe = [{"use": "schedule", "steps": steps, "level": "blocks"}]
        with untouched(pipe), sraccel.compose(pipe, recipe) as stack:
            for _ in range(2):
                assert torch.equal(generate(pipe), expected)
        assert computed(stack) == steps
        assert torch.equal(generate(pipe), bare)

    def test_calls_are_left_out_whole_and_need_no_block_stack(
        self, pipe: WanPipeline, generate: Generate
    ) -> None:
        calls = 0

        def count(*_: Any) -> None:
            nonlocal calls
            calls += 1

        handle = pipe.transformer.condition_embedder.register_forward_pre_hook(count)
        with sraccel.compose(pipe, [{"use": "schedule", "steps": [0, 3]}]) as stack:
            generate(pipe)
        handle.remove()
        assert (computed(stack), calls) == ([0, 3], 4)
        skipped = [call for step in stack.report.steps for call in step.calls if call.reused]
        assert {call.level for call in skipped} == {"call"}

    def test_every_step_in_the_list_changes_no_bit(
        self, pipe: WanPipeline, generate: Generate
    ) -> None:
        bare = generate(pipe)
        with sraccel.compose(pipe, [{"use": "schedule", "steps": list(range(8))}]):
            assert torch.equal(generate(pipe), bare)

    def test_a_budget_computes_the_calibrated_steps_or_their_nearest(
        self, tmp_path: Path, pipe: WanPipeline, generate: Generate
    ) -> None:
        path = str(calibration(pipe, what="schedule").save(tmp_path / "schedule.json"))
        recipe = [{"use": "schedule", "budget": 3, "file": path}]
        with sraccel.compose(pipe, recipe) as stack:
            generate(pipe, steps=10)
            assert computed(stack) == [0, 1, 5]
            generate(pipe, steps=20)
            assert computed(stack) == [0, 2, 10]
            generate(pipe, steps=3)
            assert computed(stack) == [0, 1, 2]
            with pytest.raises(sraccel.SraccelError, match="has not 3 different ones"):
                generate(pipe, steps=4)

    def test_a_switch_computes_first_whatever_the_list_says(
        self, pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
    ) -> None:
        switch = {"use": "srdiffusion", "render": render, "switch_step": 3}
        with sraccel.compose(pipe, [switch, {"use": "schedule", "steps": [0, 5]}]) as stack:
            generate(pipe)
        assert computed(stack) == [0, 3, 5]

    def test_options_are_checked(self) -> None:
        for wrong in ({}, {"steps": [0], "budget": 3}, {"steps": [0], "file": "x"}, {"budget": 0}):
            with pytest.raises(ValidationError):
                Schedule.Options(**wrong)


class TestFeedback:
    @pytest.mark.parametrize("level", ["call", "blocks"])
    def test_no_tolerance_computes_everything_and_much_the_least(
        self, level: str, pipe: WanPipeline, generate: Generate
    ) -> None:
        bare = generate(pipe, steps=12)
        recipe = {"use": "feedback", "level": level, "tolerance": 1e-9}
        with untouched(pipe), sraccel.compose(pipe, [recipe]):
            assert torch.equal(generate(pipe, steps=12), bare)
        recipe |= {"tolerance": 1e6, "warm_up": 2, "max_gap": 4}
        with sraccel.compose(pipe, [recipe]) as stack:
            for _ in range(2):
                generate(pipe, steps=16)
                assert computed(stack) == [0, 1, 3, 7, 11, 15]
        facts = stack.report.steps[3].measured
        assert facts["feedback.error"] > 0

    def test_the_error_is_that_of_what_would_have_stood_in(
        self, pipe: WanPipeline, generate: Generate
    ) -> None:
        """Of plain reuse: the change from one computed output to the next."""
        seen: list[torch.Tensor] = []

        class Outputs(Accelerator):
            name = "outputs"

            @hookimpl
            def denoiser_called(self, call: Call, output: torch.Tensor) -> None:
                if call.branch == "cond":
                    seen.append(output.clone())

        with sraccel.compose(pipe, [{"use": "feedback", "tolerance": 1e-9}, Outputs()]) as stack:
            generate(pipe)
        for step, before, now in zip(stack.report.steps[1:], seen, seen[1:], strict=False):
            change = float((now - before).square().mean().sqrt() / now.square().mean().sqrt())
            expected = change / max(1 - step.sigma, 0.01)
            assert step.measured["feedback.error"] == pytest.approx(expected, rel=1e-4)

    @given(st.integers(1, 8), st.floats(1e-6, 1.0), st.floats(1e-6, 1.0))
    def test_a_greater_error_never_means_a_longer_gap(
        self, interval: int, one: float, other: float
    ) -> None:
        rule = Feedback(Feedback.Options())
        less, more = sorted((one, other))
        gaps = [rule._next_gap(interval, error) for error in (more, less)]
        assert 1 <= gaps[0] <= gaps[1] <= min(2 * interval, rule.options.max_gap)

    def test_beside_forecast_and_a_switch_it_starts_anew(
        self, pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
    ) -> None:
        recipe = [
            {"use": "srdiffusion", "render": render, "switch_step": 6},
            {"use": "feedback", "tolerance": 1e6},
            {"use": "forecast", "of": "x0"},
        ]
        with sraccel.compose(pipe, recipe) as stack:
            generate(pipe, steps=12)
        assert {0, 1, 6, 7} <= set(computed(stack)) < set(range(12))
