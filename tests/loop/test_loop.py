"""Loops that are not a diffusers pipeline equal the same loop through a pipeline."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from tiny_models import IDENTITY, call_arguments

import sraccel


def recipe(render: WanTransformer3DModel) -> list[dict[str, Any]]:
    both = dict.fromkeys(("transformer", "denoiser", "render"), IDENTITY)
    return [
        {"use": "srdiffusion", "render": render, "max_step": 6},
        {"use": "teacache", "threshold": 1.2, "coefficients": both},
    ]


def own_loop(pipe: WanPipeline, run: Any, latents: torch.Tensor) -> torch.Tensor:
    """What a user's own sampling loop looks like."""
    arguments, scheduler = call_arguments(), pipe.scheduler
    texts = {"cond": arguments["prompt_embeds"], "uncond": arguments["negative_prompt_embeds"]}
    scheduler.set_timesteps(run.num_inference_steps)
    scheduler.set_begin_index(0)
    for i, t in enumerate(scheduler.timesteps):
        with run.step(i, timestep=t, sigma=scheduler.sigmas[i]) as step:
            prediction = {}
            for branch, text in texts.items():
                with step.branch(branch):
                    prediction[branch] = pipe.transformer(
                        hidden_states=latents,
                        timestep=t.expand(1),
                        encoder_hidden_states=text,
                        return_dict=False,
                    )[0]
            noise_pred = prediction["uncond"] + 4.0 * (prediction["cond"] - prediction["uncond"])
            step.finish(noise_pred, latents)
        latents = scheduler.step(noise_pred, t, latents, return_dict=False)[0]
    return latents


def decisions(report: sraccel.Report) -> list[Any]:
    return [
        (
            *(step.index, step.timestep, step.sigma, step.denoiser == "render"),
            tuple(step.measured.items()),
            *((call.branch, call.reused) for call in step.calls),
        )
        for step in report.steps
    ]


@pytest.mark.parametrize("target", [lambda pipe: pipe.transformer, lambda pipe: pipe])
def test_an_own_loop_equals_the_pipeline_in_result_and_report(
    target: Any, pipe: WanPipeline, render: WanTransformer3DModel
) -> None:
    with sraccel.compose(pipe, recipe(render)) as stack:
        expected = pipe(**call_arguments(steps=12)).frames
    noise = torch.randn(expected.shape, generator=call_arguments()["generator"])
    own = sraccel.compose(target(pipe), recipe(render))
    with pytest.raises(sraccel.LoopError, match="not attached"):
        own.run(num_inference_steps=12)
    assert own.attach() is own
    with own.run(num_inference_steps=12) as run:
        latents = own_loop(pipe, run, noise)
    own.detach()
    assert torch.equal(latents, expected)
    assert own.report.outcome == "finished"
    assert decisions(own.report) == decisions(stack.report)
    assert any(call.reused for step in stack.report.steps for call in step.calls)


def test_no_report_before_the_first_run(pipe: WanPipeline) -> None:
    with sraccel.compose(pipe, []) as stack, pytest.raises(sraccel.LoopError, match="no run yet"):
        _ = stack.report


def test_a_loop_that_stops_early_is_partial(pipe: WanPipeline) -> None:
    with sraccel.compose(pipe.transformer, []) as stack, stack.run(num_inference_steps=9) as run:
        with run.step(0):
            pass
    assert stack.report.outcome == "partial"
    assert any("1 of 9 steps" in warning for warning in stack.report.warnings)


def test_misuse_of_the_loop_is_refused_with_advice(pipe: WanPipeline) -> None:
    with sraccel.compose(pipe.transformer, []) as stack:
        with pytest.raises(sraccel.LoopError, match="outside a step"):
            pipe.transformer(torch.ones(1, 4, 2, 8, 8), torch.tensor([9]), torch.zeros(1, 6, 16))
        with stack.run(num_inference_steps=3) as run:
            with pytest.raises(sraccel.LoopError, match="one at a time"), stack.run(3):
                pass
            with run.step(0) as step:
                with pytest.raises(sraccel.LoopError, match="while step 0 is open"), run.step(1):
                    pass
                with step.branch("cond"), pytest.raises(sraccel.LoopError, match="inside branch"):
                    with step.branch("uncond"):
                        pass
            with pytest.raises(sraccel.LoopError, match="step 5 opened where step 1"):
                run.step(5)
            with pytest.raises(sraccel.LoopError, match="step 0 opened where step 1"), step:
                pass
        for over in (run, run.step()):
            with pytest.raises(sraccel.LoopError, match="the run is over"), over:
                pass
        with stack.run(num_inference_steps=1):  # none of this is in its way
            pass


def test_the_same_branch_twice_in_a_step_gets_an_ordinal(pipe: WanPipeline) -> None:
    with sraccel.compose(pipe.transformer, []) as stack, stack.run(num_inference_steps=1) as run:
        with run.step(0) as step:
            for _ in range(3):
                with step.branch("cond"):
                    pipe.transformer(
                        torch.ones(1, 4, 2, 8, 8), torch.tensor([9]), torch.zeros(1, 6, 16)
                    )
    assert [call.branch for call in stack.report.steps[0].calls] == ["cond", "cond#2", "cond#3"]
