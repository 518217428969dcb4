"""What two pipelines make together: the video, and one report of both runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanPipeline,
    WanVideoToVideoPipeline,
)
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.pipelines.wan import pipeline_wan_video2video
from srdiffusion_report import switch_rule
from tiny import COGVIDEOX_DDIM, COGVIDEOX_DPM, SD3, SDXL, TinyFamily
from tiny.ltx import ltx_pipeline
from tiny_models import TEXT_DIM, tiny_transformer, wan_vae
from two_pipelines import STEPS, Pipes, call, pipeline, recipe, roles

import sraccel
from sraccel.errors import ModelError
from sraccel.loop.accelerator import Accelerator
from sraccel.loop.hookspecs import hookimpl
from sraccel.recipe.catalogue import installed
from sraccel.reencode.late_start import schedule_of
from sraccel.report.model import Report


@pytest.mark.parametrize(
    ("z_dim", "expand_timesteps"), [(6, False), (48, False), (48, True)], ids=str
)
def test_another_vae_takes_over_at_the_same_step_and_level(
    pipes: Pipes, z_dim: int, expand_timesteps: bool
):
    render_pipe = pipeline(
        wan_vae(1, z_dim, spatial=16), seed=7, expand_timesteps=expand_timesteps, layers=1
    )
    made = sraccel.handoff(pipes[0], render_pipe, recipe(switch_step=3), **call())
    assert made.output.frames.shape == (1, 5, 32, 64, 3)
    report = made.report
    assert roles(report) == "sssrrrrr"
    assert [step.index for step in report.steps] == list(range(STEPS))
    assert (report.switch_step, switch_rule(report)) == (3, "fixed")
    assert (report.outcome, report.num_inference_steps) == ("finished", STEPS)
    assert report.handoff.first_step == 3
    assert report.handoff.noise_level_before == report.handoff.noise_level_after
    sigmas = schedule_of(render_pipe, STEPS).sigmas[:-1]
    assert [step.sigma for step in report.steps] == pytest.approx(sigmas.tolist())


def test_per_token_timesteps_say_no_more_than_the_one_that_the_sibling_passes():
    plain, expanded = (
        pipeline(wan_vae(1, 6, spatial=16), seed=7, expand_timesteps=expand)(**call(4)).frames
        for expand in (False, True)
    )
    assert np.allclose(plain, expanded, atol=1e-5)


def test_the_report_joins_both_runs_and_names_the_cost(pipes: Pipes):
    made = sraccel.handoff(*pipes, recipe(switch_step=3), **call())
    report, record = made.report, made.report.handoff
    assert record.kind == "re-encode"
    assert 0 < record.decode_seconds + record.encode_seconds < record.seconds
    loops = [part.accelerated.seconds for part in (made.sketch_report, made.render_report)]
    assert report.accelerated.seconds == pytest.approx(sum(loops) + record.seconds)
    assert record.share == pytest.approx(record.seconds / report.accelerated.seconds)
    assert report.model.keys() == {"transformer", "render"}
    (srdiffusion,) = report.accelerators
    assert srdiffusion.chosen_calls == 2 * 5
    calls = [item for step in report.steps for item in step.calls]
    assert {item.branch for item in calls} == {"cond", "uncond"}
    assert {item.requested for item in calls} == {"transformer"}
    assert report.speedup.measured is None
    assert report.warnings == []
    assert Report.from_json(report.to_json()) == report
    assert "Hand-off" in str(report)
    assert "re-encode" in str(report)


class RecordsNoise(Accelerator):
    """Keeps the noise that each prediction implies (flow matching)."""

    name = "records-noise"
    noise: torch.Tensor

    @hookimpl
    def step_finished(self, step: Any) -> None:
        if step.denoiser == "transformer":
            type(self).noise = step.latents + (1 - step.sigma) * step.noise_pred


class ScalingVAE(ModelMixin, ConfigMixin):
    """Loses nothing: frames are latents, made small enough that no pipeline clips them."""

    temperal_downsample: list[bool] = []

    @register_to_config
    def __init__(
        self,
        z_dim: int = 3,
        latents_mean: tuple[float, ...] = (0.0,) * 3,
        latents_std: tuple[float, ...] = (1.0,) * 3,
        scale_factor_spatial: int = 1,
        scale_factor_temporal: int = 1,
    ) -> None:
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(0.05), requires_grad=False)

    def decode(self, latents: torch.Tensor, return_dict: bool = True) -> tuple[torch.Tensor]:
        return (latents * self.factor,)

    def encode(self, frames: torch.Tensor) -> Any:
        return SimpleNamespace(latents=frames / self.factor)


def test_between_equal_models_it_is_the_latent_hand_off_but_for_the_noise(
    monkeypatch: pytest.MonkeyPatch,
):
    """With a VAE that loses nothing, and the predicted noise in place of new noise."""
    monkeypatch.setitem(installed().accelerators, RecordsNoise.name, RecordsNoise)
    monkeypatch.setattr(
        pipeline_wan_video2video, "randn_tensor", lambda *_, **__: RecordsNoise.noise
    )
    pipes = tuple(
        pipeline(ScalingVAE(), seed, scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0))
        for seed in (0, 7)
    )
    size = {"height": 16, "width": 16, "num_frames": 4, "output_type": "latent"}
    made = sraccel.handoff(*pipes, recipe({"use": "records-noise"}, switch_step=3), **call(**size))
    latent = [{"use": "srdiffusion", "render": pipes[1].transformer, "switch_step": 3}]
    with sraccel.compose(pipes[0], latent):
        expected = pipes[0](**call(**size)).frames
    assert made.report.handoff.first_step == 3
    assert torch.allclose(made.output.frames, expected, atol=1e-3)
    assert expected.abs().max() > 0.1


@pytest.mark.parametrize("family", [COGVIDEOX_DDIM, COGVIDEOX_DPM, SD3, SDXL], ids=str)
def test_other_families_hand_over_at_the_same_level_too(family: TinyFamily):
    made = sraccel.handoff(
        *(family.pipeline(), family.pipeline(seed=5), recipe(switch_step=3)),
        **family.arguments(output_type="np"),
    )
    (pixels,) = made.output.to_tuple()
    assert pixels.shape[-3:-1] == (family.size["height"], family.size["width"])
    assert roles(made.report) == "sssrrr"
    record = made.report.handoff
    assert record.first_step == 3
    assert record.noise_level_before == pytest.approx(record.noise_level_after, rel=1e-12)


def test_a_pipeline_that_takes_frames_itself_is_used_as_it_is(pipes: Pipes):
    render_pipe = pipeline(wan_vae(1, 6, spatial=8), seed=7, layers=1)
    itself = WanVideoToVideoPipeline(
        **{name: part for name, part in render_pipe.components.items() if name != "transformer_2"}
    )
    itself.set_progress_bar_config(disable=True)
    first, second = (
        sraccel.handoff(pipes[0], pipe, recipe(switch_step=3), **call()).output.frames
        for pipe in (render_pipe, itself)
    )
    assert np.array_equal(first, second)


def test_one_family_hands_over_to_another(pipes: Pipes):
    """Packed latents and a schedule that depends on the size on the one side."""
    made = sraccel.handoff(
        *(ltx_pipeline(), pipes[1], recipe(switch_step=3)),
        prompt_embeds=torch.zeros(1, 6, TEXT_DIM),
        prompt_attention_mask=torch.ones(1, 6, dtype=torch.bool),
        render_call={"prompt_attention_mask": None},
        height=32,
        width=32,
        num_frames=9,
        guidance_scale=1.0,
        output_type="np",
        num_inference_steps=STEPS,
    )
    assert made.output.frames.shape == (1, 9, 32, 32, 3)
    assert set(roles(made.report)) == {"s", "r"}


def test_two_experts_can_sketch_but_not_render(pipes: Pipes):
    second = tiny_transformer(3, layers=2)
    experts = WanPipeline(**{**pipes[0].components, "transformer_2": second}, boundary_ratio=0.92)
    made = sraccel.handoff(experts, pipes[1], recipe(switch_step=4), **call())
    assert [step.denoiser for step in made.report.steps[:5]] == [
        *("transformer", "transformer"),
        *("transformer_2", "transformer_2"),
        "render",
    ]
    with pytest.raises(ModelError, match="two experts"):
        sraccel.handoff(pipes[1], experts, recipe(switch_step=4), **call())


def test_a_seed_makes_one_video_run_after_run(pipes: Pipes):
    first, again, other = (
        sraccel.handoff(*pipes, recipe(switch_step=3), **call(seed=seed)).output.frames
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_batch_in_half_precision_goes_over_together(pipes: Pipes):
    for pipe in pipes:
        pipe.to(torch.bfloat16)
    arguments = call(4)
    for name in ("prompt_embeds", "negative_prompt_embeds"):
        arguments[name] = arguments[name].repeat(2, 1, 1).bfloat16()
    made = sraccel.handoff(*pipes, recipe(switch_step=2), **arguments)
    assert made.output.frames.shape[0] == 2
    assert np.isfinite(made.output.frames).all()


def test_the_render_pipeline_can_have_arguments_of_its_own(pipes: Pipes):
    made = sraccel.handoff(
        *(*pipes, recipe(switch_step=4)),
        render_call={"guidance_scale": 1.0, "num_inference_steps": 16},
        **call(),
    )
    record = made.report.handoff
    assert [len(step.calls) for step in made.report.steps] == [2] * 4 + [1] * 8
    assert record.first_step == 8
    assert record.noise_level_after <= record.noise_level_before + 1e-6


def test_schedules_of_two_kinds_meet_at_the_nearest_level_that_is_not_above(
    pipes: Pipes,
):
    scheduler = UniPCMultistepScheduler(prediction_type="epsilon")
    sketch_pipe = pipeline(wan_vae(0, 4, spatial=8), seed=0, scheduler=scheduler)
    made = sraccel.handoff(sketch_pipe, pipes[1], recipe(switch_step=6), **call(12))
    record, schedule = made.report.handoff, schedule_of(pipes[1], 12)
    above = schedule.sigmas[record.first_step - 1]
    assert record.noise_level_after <= record.noise_level_before < above
    assert record.noise_level_after == pytest.approx(float(schedule.sigmas[record.first_step]))
    assert roles(made.report) == "s" * 6 + "r" * (12 - record.first_step)
