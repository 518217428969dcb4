"""`switch_sigma` fixes the switch by noise level, whatever the number of steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from analytic import AnalyticAdapter, analytic_pipeline
from diffusers import CogVideoXDDIMScheduler, WanPipeline, WanTransformer3DModel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from srdiffusion_report import switch_rule
from tiny_models import call_arguments, tiny_pipeline, tiny_transformer

import sraccel

Generate = Callable[..., torch.Tensor]


def recipe(render: Any, sigma: float) -> list[Any]:
    return [{"use": "srdiffusion", "render": render, "switch_sigma": sigma}]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sigma=st.floats(0.01, 1.2), steps=st.integers(2, 9))
def test_the_render_model_takes_the_steps_at_or_below_the_noise_level(
    sigma: float, steps: int
) -> None:
    pipe, render = tiny_pipeline(), tiny_transformer(seed=7, layers=1)
    with sraccel.compose(pipe, recipe(render, sigma)) as stack:
        pipe(**call_arguments(steps))
    assert len(stack.report.steps) == steps
    for step in stack.report.steps:
        assert step.sigma is not None
        assert (step.denoiser == "render") == (step.sigma <= sigma)
    assert switch_rule(stack.report) == "fixed"


def test_a_level_below_the_last_step_never_switches_and_says_so(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
) -> None:
    bare = generate(pipe)
    with sraccel.compose(pipe, recipe(render, 1e-6)) as stack:
        assert torch.equal(generate(pipe), bare)
    assert "never switched" in " ".join(stack.report.warnings)


def test_where_the_scheduler_keeps_no_sigmas_it_is_noise_over_signal() -> None:
    scheduler = CogVideoXDDIMScheduler(beta_schedule="scaled_linear", timestep_spacing="trailing")
    pipe = analytic_pipeline(scheduler, 1.0)
    render = analytic_pipeline(scheduler, 1.0).transformer
    mean = torch.zeros(2, 3, 4, 4, dtype=torch.float64)
    with sraccel.compose(pipe, recipe(render, 1.0), adapters=[AnalyticAdapter()]) as stack:
        pipe(10, [mean], [1.0], batched=False)
    for step, timestep in zip(stack.report.steps, scheduler.timesteps, strict=True):
        alpha = float(scheduler.alphas_cumprod[int(timestep)])
        assert step.sigma == pytest.approx(((1 - alpha) / alpha) ** 0.5)
        assert (step.denoiser == "render") == (alpha >= 0.5)


def test_an_own_loop_must_pass_the_noise_level(
    pipe: WanPipeline, render: WanTransformer3DModel
) -> None:
    with sraccel.compose(pipe.transformer, recipe(render, 0.5)) as stack:
        with stack.run(2) as run, run.step(0, sigma=0.4) as step:
            assert step.denoiser == "render"
        with pytest.raises(sraccel.LoopError, match=r"pass `sigma` to `run\.step`"):
            with stack.run(2) as run, run.step(0):
                pass
