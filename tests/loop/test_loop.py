"""Loops that are not a diffusers pipeline equal the same loop through a pipeline."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from tiny_models import IDENTITY, call_arguments, tiny_pipeline

import sraccel


def recipe(render: WanTransformer3DModel) -> list[dict[str, Any]]:
    both = dict.fromkeys(("transformer", "denoiser", "render"), IDENTITY)
    return [
        {"use": "srdiffusion", "render": render, "max_step": 6},
        {"use": "teacache", "threshold": 1.2, "coefficients": both},
    ]


def own_loop(pipe: WanPipeline, run: Any, steps: int, seed: int = 0) -> torch.Tensor:
    """What a user's own sampling loop looks like."""
    arguments = call_arguments(steps=steps, seed=seed)
    latents = torch.randn(1, 4, 5, 8, 8, generator=arguments["generator"])
    scheduler = pipe.scheduler
    scheduler.set_timesteps(steps)
    for i, t in enumerate(scheduler.timesteps):
        with run.step(i, timestep=t, sigma=scheduler.sigmas[i]) as step:
            prediction = {}
            for branch, text in (
                ("cond", arguments["prompt_embeds"]),
                ("uncond", arguments["negative_prompt_embeds"]),
            ):
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


def test_an_own_loop_equals_the_pipeline_in_result_and_report(
    render: WanTransformer3DModel,
) -> None:
    pipe, own = tiny_pipeline(), tiny_pipeline()
    with sraccel.compose(pipe, recipe(render)) as stack:
        # The pipeline makes 5 frames of 3 latent frames; take its latents' shape from there.
        expected = pipe(**call_arguments(steps=12)).frames
    arguments = call_arguments(steps=12)
    shape = expected.shape
    noise = torch.randn(shape, generator=arguments["generator"])
    with (
        sraccel.compose(own.transformer, recipe(render)) as own_stack,
        own_stack.run(num_inference_steps=12) as run,
    ):
        latents = _loop_from(own, run, noise, arguments)
    assert torch.equal(latents, expected)
    assert decisions(own_stack.report) == decisions(stack.report)
    assert any(call.reused for step in stack.report.steps for call in step.calls)


def _loop_from(pipe: WanPipeline, run: Any, latents: torch.Tensor, arguments: Any) -> torch.Tensor:
    scheduler = pipe.scheduler
    scheduler.set_timesteps(run.num_inference_steps)
    scheduler.set_begin_index(0)
    for i, t in enumerate(scheduler.timesteps):
        with run.step(i, timestep=t, sigma=scheduler.sigmas[i]) as step:
            call = {"hidden_states": latents, "timestep": t.expand(1), "return_dict": False}
            with step.branch("cond"):
                cond = pipe.transformer(**call, encoder_hidden_states=arguments["prompt_embeds"])[0]
            with step.branch("uncond"):
                uncond = pipe.transformer(
                    **call, encoder_hidden_states=arguments["negative_prompt_embeds"]
                )[0]
            noise_pred = uncond + 4.0 * (cond - uncond)
            step.finish(noise_pred, latents)
        latents = scheduler.step(noise_pred, t, latents, return_dict=False)[0]
    return latents


def test_an_own_loop_over_a_composed_pipeline_works_too(
    pipe: WanPipeline, render: WanTransformer3DModel
) -> None:
    with sraccel.compose(pipe, recipe(render)) as stack, stack.run(num_inference_steps=9) as run:
        own_loop(pipe, run, 9)
    assert stack.report.outcome == "finished"
    assert [call.branch for call in stack.report.steps[0].calls] == ["cond", "uncond"]


def test_attach_and_detach_without_a_with_block(pipe: WanPipeline) -> None:
    stack = sraccel.compose(pipe.transformer, [])
    with pytest.raises(sraccel.LoopError, match="not attached"):
        stack.run(num_inference_steps=3)
    assert stack.attach() is stack
    with stack.run(num_inference_steps=3) as run:
        own_loop(pipe, run, 3)
    stack.detach()
    assert stack.report.outcome == "finished"


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
        with pytest.raises(sraccel.LoopError, match="must be 1 or more"):
            stack.run(num_inference_steps=0)
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
        with pytest.raises(sraccel.LoopError, match="the run is over"), run.step():
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


def test_a_prediction_that_is_not_finite_is_an_error_that_names_step_and_model(
    pipe: WanPipeline, render: WanTransformer3DModel
) -> None:
    render.proj_out.bias.fill_(float("nan"))
    with sraccel.compose(pipe, [{"use": "srdiffusion", "render": render, "switch_step": 2}]):
        with pytest.raises(sraccel.NonFiniteError, match="step 2: denoiser 'render' predicted NaN"):
            pipe(**call_arguments(steps=4))
