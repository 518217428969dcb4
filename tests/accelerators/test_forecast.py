"""The predictor `forecast`: its arithmetic, beside every rule, and what it does about noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from attempts.caches import Schedule
from diffusers import WanPipeline, WanTransformer3DModel
from diffusers.hooks.taylorseer_cache import TaylorSeerState
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tiny_models import IDENTITY
from untouched import untouched

import sraccel
from sraccel.accelerators.forecast import ForecastPredictor, noise
from sraccel.accelerators.forecast.extrapolation import hermite, weights
from sraccel.accelerators.forecast.quantity import OF_OUTPUT, to_prediction, to_quantity
from sraccel.noise.space import PREDICTIONS, FlowSchedule, NoiseSpace
from sraccel.plugin import Accelerator, Call, hookimpl

Generate = Callable[..., torch.Tensor]
SCHEDULE = Schedule([0, 1, 2, 5])
KINDS = ["reuse", "taylor", "hermite", "blend"]


class CallSchedule(Accelerator):
    """Computes the steps of a list; skips the others' calls."""

    name = "call-schedule"

    def __init__(self, computed: list[int]) -> None:
        super().__init__()
        self.computed = computed

    @hookimpl
    def skip_call(self, call: Call) -> bool:
        return call.step.solver_step not in self.computed


def forecast(**options: Any) -> ForecastPredictor:
    return ForecastPredictor(ForecastPredictor.Options(**options))


rising = st.lists(st.integers(1, 9), min_size=3, max_size=5).map(np.cumsum)


class TestWeights:
    @given(rising, st.integers(1, 9), st.integers(0, 2), st.randoms())
    def test_taylor_predicts_as_diffusers_taylorseer_does(
        self, steps: Any, ahead: int, order: int, random: Any
    ) -> None:
        state = TaylorSeerState(torch.float64, max_order=order)
        values = [random.uniform(-1, 1) for _ in steps]
        for step, value in zip(steps, values, strict=True):
            state.current_step = int(step)
            state.update((torch.tensor([value], dtype=torch.float64),))
        state.current_step = int(steps[-1]) + ahead
        kept = slice(-order - 1, None)
        found = weights("taylor", order, [float(s) for s in steps[kept]], state.current_step)
        assert np.dot(found, values[kept]) == pytest.approx(state.predict()[0].item(), abs=1e-9)

    @given(rising, st.integers(1, 9), st.floats(-3, 3), st.floats(-3, 3))
    def test_order_1_is_exact_on_a_line_and_blend_lies_between(
        self, times: Any, ahead: int, slope: float, offset: float
    ) -> None:
        times = [float(time) for time in times[-2:]]
        at, values = times[-1] + ahead, [offset + slope * time for time in times]

        def predicted(*arguments: Any) -> float:
            return float(np.dot(weights(*arguments), values))

        line = predicted("taylor", 1, times, at)
        assert line == pytest.approx(offset + slope * at, abs=1e-9)
        assert predicted("reuse", 3, times, at) == values[-1]
        half = predicted("blend", 1, times, at, 0.5)
        assert half == pytest.approx((line + values[-1]) / 2, abs=1e-9)
        assert predicted("hermite", 1, times, at) == pytest.approx(half, abs=1e-9)

    @given(st.integers(0, 6), st.floats(-3, 3))
    def test_hermite_polynomials_are_the_physicists(self, order: int, x: float) -> None:
        coefficients = [0.0] * order + [1.0]
        assert hermite(order, x) == pytest.approx(np.polynomial.hermite.hermval(x, coefficients))

    def test_too_few_or_simultaneous_values_lower_the_order(self) -> None:
        assert weights("taylor", 2, [4.0], 6.0) == [1.0]
        assert weights("taylor", 2, [4.0, 5.0], 6.0) == [-1.0, 2.0]
        assert weights("taylor", 1, [10.0, 10.0], 6.0) == [0.0, 1.0]


@given(
    st.sampled_from(sorted(PREDICTIONS)),
    st.sampled_from(sorted(OF_OUTPUT)),
    st.floats(0.02, 0.98),
    st.integers(0, 99),
)
def test_quantities_are_what_they_are_called_and_lead_back(
    prediction_type: str, of: str, sigma: float, seed: int
) -> None:
    space = NoiseSpace(FlowSchedule(), prediction_type)
    clean, pure = torch.randn(2, 5, dtype=torch.float64, generator=_generator(seed))
    levels = (1 - sigma, sigma)
    weights_of = PREDICTIONS[prediction_type](*levels)
    noisy, prediction = (a * clean + b * pure for a, b in (levels, weights_of))
    determinant = levels[0] * weights_of[1] - levels[1] * weights_of[0]
    if abs(determinant) < 1e-2:
        return
    quantity = to_quantity(of, space, levels, noisy, prediction)
    expected = {"velocity": pure - clean, "x0": clean, "eps": pure}[of]
    torch.testing.assert_close(quantity, expected)
    back = to_prediction(of, space, levels, noisy, quantity)
    torch.testing.assert_close(back, prediction)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class TestInARun:
    @pytest.mark.parametrize("rule", [SCHEDULE, CallSchedule([0, 1, 2, 5])])
    def test_reuse_is_the_cores_own_bit_for_bit(
        self, rule: Accelerator, pipe: WanPipeline, generate: Generate
    ) -> None:
        with sraccel.compose(pipe, [rule]):
            plain = generate(pipe)
        with untouched(pipe), sraccel.compose(pipe, [rule, forecast(kind="reuse")]) as stack:
            for _ in range(2):
                assert torch.equal(generate(pipe), plain)
        skipped = [call for step in stack.report.steps for call in step.calls if call.reused]
        assert {call.predicted_by for call in skipped} == {"forecast"}
        assert len(skipped) == 8

    def test_a_stack_that_skips_nothing_changes_no_bit(
        self, pipe: WanPipeline, generate: Generate
    ) -> None:
        bare = generate(pipe)
        with sraccel.compose(pipe, [CallSchedule(list(range(8))), forecast(of="eps")]):
            assert torch.equal(generate(pipe), bare)

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_same_weights_are_applied_to_residuals(
        self, kind: Any, pipe: WanPipeline, generate: Generate
    ) -> None:
        """Against a predictor of its own, which knows only the history."""
        seen: list[tuple[torch.Tensor, torch.Tensor]] = []

        class Checked(ForecastPredictor):
            name = "checked"

            @hookimpl
            def predict(self, call: Call) -> torch.Tensor:
                times = [float(item.step_index) for item in call.history]
                used = weights(kind, self.order, times, call.step.solver_step, 0.7)
                expected = sum(w * c.value for w, c in zip(used, call.history, strict=True))
                seen.append((super().predict(call), expected))
                return seen[-1][0]

        options = ForecastPredictor.Options(kind=kind, order=2, alpha=0.7)
        with sraccel.compose(pipe, [SCHEDULE, Checked(options)]):
            generate(pipe)
        assert len(seen) == 8
        for ours, expected in seen:
            torch.testing.assert_close(ours, expected)

    def test_every_quantity_and_variable_predicts_finite_videos_of_its_own(
        self, pipe: WanPipeline, generate: Generate
    ) -> None:
        rule, found = CallSchedule([0, 1, 2, 5]), []
        for of in ("velocity", "x0", "eps"):
            for variable in ("index", "sigma", "log_snr"):
                with sraccel.compose(
                    pipe, [rule, forecast(kind="taylor", of=of, variable=variable)]
                ):
                    found.append(generate(pipe))
        assert all(video.isfinite().all() for video in found)
        assert all(
            not torch.equal(one, other) for i, one in enumerate(found) for other in found[:i]
        )

    def test_beside_a_switch_it_starts_anew_and_never_mixes_models(
        self, pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
    ) -> None:
        switch = {"use": "srdiffusion", "render": render, "switch_step": 4}
        rule = {
            "use": "teacache",
            "threshold": 9.0,
            "coefficients": {"transformer": IDENTITY, "render": IDENTITY},
        }
        with sraccel.compose(pipe, [switch, rule, {"use": "forecast"}]) as stack:
            generate(pipe, steps=9)
        assert not any(call.reused for call in stack.report.steps[4].calls)
        assert any(call.reused for call in stack.report.steps[6].calls)

    @pytest.mark.parametrize(
        ("rule", "of", "said"),
        [(SCHEDULE, "velocity", "skips blocks"), (CallSchedule([0]), "residual", "whole calls")],
    )
    def test_a_rule_of_another_level_is_refused(
        self, rule: Accelerator, of: str, said: str, pipe: WanPipeline
    ) -> None:
        with untouched(pipe), pytest.raises(sraccel.ConflictError, match=said):
            sraccel.compose(pipe, [rule, forecast(of=of)])


class TestNoise:
    @given(st.floats(1e-4, 1e-1), st.integers(0, 50))
    def test_measured_noise_is_the_noise_there_is(self, size: float, seed: int) -> None:
        generator = _generator(seed)
        line, slope = torch.randn(2, 20_000, generator=generator)
        scale = line.square().mean().sqrt()
        values = [
            line + k * 0.01 * slope + size * scale * torch.randn(20_000, generator=generator)
            for k in range(3)
        ]
        assert noise.measured(values) == pytest.approx(size, rel=0.1)

    @given(st.floats(0, 0.5), st.integers(0, 50))
    def test_what_is_kept_of_a_slope_makes_the_least_error(self, size: float, seed: int) -> None:
        """Of all shares, against the slope without noise."""
        generator = _generator(seed)
        before, change = torch.randn(2, 20_000, generator=generator)
        last = before + 0.3 * change
        of_last, of_before = size * torch.randn(2, 20_000, generator=generator)
        relative = size / float((last + of_last).square().mean().sqrt())
        seen = last + of_last - before - of_before
        share = float(noise.kept_share(last + of_last, before + of_before, relative))
        shares = np.linspace(0, 1, 101)
        errors = [float((s * seen - 0.3 * change).square().mean()) for s in shares]
        assert share == pytest.approx(shares[int(np.argmin(errors))], abs=0.05)

    def test_float32_without_a_kernel_is_not_measured_and_bfloat16_is_once(
        self, pipe: WanPipeline, generate: Generate
    ) -> None:
        with sraccel.compose(pipe, [SCHEDULE, forecast()]) as stack:
            plain = generate(pipe)
        assert not any(call.evaluations for step in stack.report.steps for call in step.calls)
        pipe.transformer.to(torch.bfloat16)
        with sraccel.compose(pipe, [SCHEDULE, forecast()]) as stack:
            noisy = [generate(pipe) for _ in range(2)]
        assert torch.equal(*noisy)
        measured = [
            [len(call.evaluations) for step in report.steps for call in step.calls]
            for report in stack.reports
        ]
        assert [sum(numbers) for numbers in measured] == [3, 0]
        facts = next(one for one in stack.report.accelerators if one.name == "forecast").notes
        assert 1e-4 < facts["noise_transformer"] < 0.2
        assert any("forecast.slope_kept" in step.measured for step in stack.report.steps)
        assert not torch.equal(noisy[0].float(), plain.float())

    def test_noise_beyond_measure_is_plain_reuse(
        self, pipe: WanPipeline, generate: Generate
    ) -> None:
        with sraccel.compose(pipe, [SCHEDULE]):
            plain = generate(pipe)
        with sraccel.compose(pipe, [SCHEDULE, forecast(noise=1e6)]):
            assert torch.equal(generate(pipe), plain)


def test_options_that_cannot_be_meant_are_refused() -> None:
    for wrong in (
        {"kind": "hermite", "variable": "sigma"},
        {"kind": "cubic"},
        {"order": 9},
        {"noise": -1.0},
        {"alpha": math.nan},
    ):
        with pytest.raises(ValidationError):
            ForecastPredictor.Options(**wrong)
