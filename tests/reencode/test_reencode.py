"""The hand-off between two pipelines, through frames."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    UniPCMultistepScheduler,
    WanPipeline,
    WanVideoToVideoPipeline,
)
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.pipelines.wan import pipeline_wan_video2video
from srdiffusion_report import switch_rule
from tiny import (
    COGVIDEOX_DDIM,
    COGVIDEOX_DPM,
    SD3,
    SDXL,
    TinyFamily,
)
from tiny.ltx import ltx_pipeline
from tiny_models import IDENTITY, TEXT_DIM, call_arguments, tiny_transformer, wan_vae

import sraccel
from sraccel.errors import ConflictError, LoopError, ModelError
from sraccel.loop.accelerator import Accelerator
from sraccel.loop.hookspecs import hookimpl
from sraccel.loop.intercept import _Link
from sraccel.models.loading import load_demo
from sraccel.noise.space import noise_space_of, scheduled_levels
from sraccel.recipe.catalogue import installed
from sraccel.reencode.comparison import compare_handoff
from sraccel.reencode.late_start import first_step_at, schedule_of, strength_for
from sraccel.reencode.pipeline_pair import PipelinePair
from sraccel.reencode.sketching import _clean
from sraccel.reencode.video_size import check_size, planned_size
from sraccel.reencode.video_to_video import SIBLINGS
from sraccel.report.model import Report

STEPS = 8


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


def flow_unipc() -> UniPCMultistepScheduler:
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )


def pipeline(
    vae: Any, seed: int, *, scheduler: Any = None, expand_timesteps: bool = False, layers: int = 2
) -> WanPipeline:
    channels = vae.config.z_dim
    made = WanPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=vae,
        scheduler=scheduler or flow_unipc(),
        transformer=tiny_transformer(
            seed, layers=layers, in_channels=channels, out_channels=channels
        ),
        expand_timesteps=expand_timesteps,
    )
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture
def sketch_pipe() -> WanPipeline:
    return pipeline(wan_vae(0, 4, spatial=8), seed=0)


@pytest.fixture
def render_pipe() -> WanPipeline:
    return pipeline(wan_vae(1, 6, spatial=16), seed=7, layers=1)


def recipe(*others: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    return [{"use": "srdiffusion", "handoff": "reencode", **options}, *others]


def call(steps: int = STEPS, **more: Any) -> dict[str, Any]:
    size = {"height": 32, "width": 64, "num_frames": 5, "output_type": "np"}
    return call_arguments(steps, **{**size, **more})


def roles(report: Report) -> str:
    """`s` for each step that was sketched, `r` for each that was rendered."""
    return "".join("r" if step.denoiser == "render" else "s" for step in report.steps)


# What comes out.


@pytest.mark.parametrize(
    ("z_dim", "expand_timesteps"), [(6, False), (48, False), (48, True)], ids=str
)
def test_another_vae_takes_over_at_the_same_step_and_level(
    sketch_pipe: WanPipeline, z_dim: int, expand_timesteps: bool
):
    render_pipe = pipeline(
        wan_vae(1, z_dim, spatial=16), seed=7, expand_timesteps=expand_timesteps, layers=1
    )
    made = sraccel.handoff(sketch_pipe, render_pipe, recipe(switch_step=3), **call())
    assert made.output.frames.shape == (1, 5, 32, 64, 3)
    report = made.report
    assert roles(report) == "sssrrrrr"
    assert [step.index for step in report.steps] == list(range(STEPS))
    assert (report.switch_step, switch_rule(report)) == (3, "fixed")
    assert (report.outcome, report.num_inference_steps) == ("finished", STEPS)
    assert report.handoff.first_step == 3
    assert report.handoff.noise_level_before == report.handoff.noise_level_after
    sigmas = flow_unipc()
    sigmas.set_timesteps(STEPS)
    assert [step.sigma for step in report.steps] == pytest.approx(sigmas.sigmas[:-1].tolist())


def test_per_token_timesteps_say_no_more_than_the_one_that_the_sibling_passes():
    plain, expanded = (
        pipeline(wan_vae(1, 6, spatial=16), seed=7, expand_timesteps=expand)(**call(4)).frames
        for expand in (False, True)
    )
    assert np.allclose(plain, expanded, atol=1e-5)


def test_the_report_joins_both_runs_and_names_the_cost(
    sketch_pipe: WanPipeline, render_pipe: WanPipeline
):
    made = sraccel.handoff(sketch_pipe, render_pipe, recipe(switch_step=3), **call())
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


def test_between_equal_models_it_is_the_latent_hand_off_but_for_the_noise(
    monkeypatch: pytest.MonkeyPatch,
):
    """With a VAE that loses nothing, and the predicted noise in place of new noise."""
    monkeypatch.setitem(installed().accelerators, RecordsNoise.name, RecordsNoise)
    monkeypatch.setattr(
        pipeline_wan_video2video, "randn_tensor", lambda *_, **__: RecordsNoise.noise
    )
    sketch_pipe, render_pipe = (
        pipeline(ScalingVAE(), seed, scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0))
        for seed in (0, 7)
    )
    size = {"height": 16, "width": 16, "num_frames": 4, "output_type": "latent"}
    made = sraccel.handoff(
        sketch_pipe, render_pipe, recipe({"use": "records-noise"}, switch_step=3), **call(**size)
    )
    latent = [{"use": "srdiffusion", "render": render_pipe.transformer, "switch_step": 3}]
    with sraccel.compose(sketch_pipe, latent):
        expected = sketch_pipe(**call(**size)).frames
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


def test_a_pipeline_that_takes_frames_itself_is_used_as_it_is(sketch_pipe: WanPipeline):
    render_pipe = pipeline(wan_vae(1, 6, spatial=8), seed=7, layers=1)
    itself = WanVideoToVideoPipeline(
        **{name: part for name, part in render_pipe.components.items() if name != "transformer_2"}
    )
    itself.set_progress_bar_config(disable=True)
    first, second = (
        sraccel.handoff(sketch_pipe, pipe, recipe(switch_step=3), **call()).output.frames
        for pipe in (render_pipe, itself)
    )
    assert np.array_equal(first, second)


def test_one_family_hands_over_to_another(render_pipe: WanPipeline):
    """Packed latents and a schedule that depends on the size on the one side."""
    made = sraccel.handoff(
        *(ltx_pipeline(), render_pipe, recipe(switch_step=3)),
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


def test_two_experts_can_sketch_but_not_render(sketch_pipe: WanPipeline, render_pipe: WanPipeline):
    second = tiny_transformer(3, layers=2)
    experts = WanPipeline(
        **{**sketch_pipe.components, "transformer_2": second}, boundary_ratio=0.92
    )
    made = sraccel.handoff(experts, render_pipe, recipe(switch_step=4), **call())
    assert [step.denoiser for step in made.report.steps[:5]] == [
        *("transformer", "transformer"),
        *("transformer_2", "transformer_2"),
        "render",
    ]
    with pytest.raises(ModelError, match="two experts"):
        sraccel.handoff(render_pipe, experts, recipe(switch_step=4), **call())


def test_a_seed_makes_one_video_run_after_run(sketch_pipe: WanPipeline, render_pipe: WanPipeline):
    first, again, other = (
        sraccel.handoff(
            sketch_pipe, render_pipe, recipe(switch_step=3), **call(seed=seed)
        ).output.frames
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_batch_goes_over_together(sketch_pipe: WanPipeline, render_pipe: WanPipeline):
    arguments = call(4)
    for name in ("prompt_embeds", "negative_prompt_embeds"):
        arguments[name] = arguments[name].repeat(2, 1, 1)
    made = sraccel.handoff(sketch_pipe, render_pipe, recipe(switch_step=2), **arguments)
    assert made.output.frames.shape[0] == 2


def test_the_render_pipeline_can_have_arguments_of_its_own(
    sketch_pipe: WanPipeline, render_pipe: WanPipeline
):
    made = sraccel.handoff(
        *(sketch_pipe, render_pipe, recipe(switch_step=4)),
        render_call={"guidance_scale": 1.0, "num_inference_steps": 16},
        **call(),
    )
    record = made.report.handoff
    assert [len(step.calls) for step in made.report.steps] == [2] * 4 + [1] * 8
    assert record.first_step == 8
    assert record.noise_level_after <= record.noise_level_before + 1e-6


def test_schedules_of_two_kinds_meet_at_the_nearest_level_that_is_not_above(
    render_pipe: WanPipeline,
):
    scheduler = UniPCMultistepScheduler(prediction_type="epsilon")
    sketch_pipe = pipeline(wan_vae(0, 4, spatial=8), seed=0, scheduler=scheduler)
    made = sraccel.handoff(sketch_pipe, render_pipe, recipe(switch_step=6), **call(12))
    record, schedule = made.report.handoff, schedule_of(render_pipe, 12)
    above = schedule.sigmas[record.first_step - 1]
    assert record.noise_level_after <= record.noise_level_before < above
    assert record.noise_level_after == pytest.approx(float(schedule.sigmas[record.first_step]))
    assert roles(made.report) == "s" * 6 + "r" * (12 - record.first_step)


# When it switches.


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"switch_step": 5}, "sssssrrr"),
        ({"switch_sigma": 0.76}, "ssssrrrr"),
        ({"threshold": 1e-9, "max_step": 1}, "ssrrrrrr"),
        ({"threshold": 100.0, "min_step": 4}, "sssssrrr"),
    ],
    ids=str,
)
def test_it_switches_where_srdiffusion_says(
    sketch_pipe: WanPipeline, render_pipe: WanPipeline, options: dict[str, Any], expected: str
):
    made = sraccel.handoff(sketch_pipe, render_pipe, recipe(**options), **call())
    assert roles(made.report) == expected


def test_the_adaptive_switch_is_that_of_the_latent_hand_off(
    sketch_pipe: WanPipeline, render_pipe: WanPipeline
):
    options = {"threshold": 0.05, "min_step": 1, "max_step": 6}
    made = sraccel.handoff(sketch_pipe, render_pipe, recipe(**options), **call(12))
    partner = tiny_transformer(7, layers=1)
    latent = [{"use": "srdiffusion", "render": partner, **options}]
    with sraccel.compose(sketch_pipe, latent) as stack:
        sketch_pipe(**call(12))
    assert made.report.switch_step == stack.report.switch_step
    assert switch_rule(made.report) == switch_rule(stack.report) == "paper"
    taken = made.report.switch_step
    for ours, theirs in zip(made.report.steps[:taken], stack.report.steps, strict=False):
        assert ours.measured == theirs.measured


@pytest.mark.parametrize("output_type", ["np", "pt", "pil", "latent"])
def test_without_a_switch_the_sketch_is_the_bare_pipeline_s_output_bit_for_bit(
    sketch_pipe: WanPipeline, render_pipe: WanPipeline, output_type: str
):
    bare = sketch_pipe(**call(3, output_type=output_type)).frames
    made = sraccel.handoff(
        sketch_pipe, render_pipe, recipe(switch_step=5), **call(3, output_type=output_type)
    )
    assert np.array_equal(np.asarray(made.output.frames), np.asarray(bare))
    assert type(made.output.frames) is type(bare)
    assert roles(made.report) == "sss"
    assert made.render_report is None
    assert made.report.handoff is None
    assert any("the render pipeline was not called" in text for text in made.report.warnings)


# What acts in both calls.


def test_what_attaching_refuses_is_refused_before_the_sketch(
    sketch_pipe: WanPipeline, render_pipe: WanPipeline
) -> None:
    cache = {"use": "teacache", "coefficients": dict.fromkeys(("transformer", "render"), IDENTITY)}
    render_pipe.transformer.compile()
    calls: list[int] = []
    sketch_pipe.transformer.register_forward_pre_hook(lambda *_: calls.append(1))
    with pytest.raises(sraccel.ConflictError, match="compiled as a whole"):
        sraccel.handoff(sketch_pipe, render_pipe, recipe(cache, switch_step=3), **call())
    assert not calls


@pytest.mark.parametrize(("start", "sketched"), [("always", True), ("after_switch", False)])
def test_other_accelerators_act_in_both_calls_with_their_model_s_coefficients(
    sketch_pipe: WanPipeline, render_pipe: WanPipeline, start: str, sketched: bool
):
    cache = {
        "use": "teacache",
        "threshold": 100.0,
        "start": start,
        "coefficients": {"transformer": IDENTITY, "render": [0.0, 0.0, 0.0, 2.0, 0.0]},
    }
    made = sraccel.handoff(sketch_pipe, render_pipe, recipe(cache, switch_step=4), **call(12))
    reused = [all(item.reused for item in step.calls) for step in made.report.steps]
    # The first step of each model and the very last are computed.
    assert reused == [False, *([sketched] * 3), False, *([True] * 6), False]
    record = made.report.accelerators[1]
    assert record.reused_calls == sum(reused) * 2
    assert {"coefficients_render"} <= record.notes.keys()


def test_the_user_s_callback_is_called_by_both(sketch_pipe: WanPipeline, render_pipe: WanPipeline):
    seen = []

    def callback(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append((type(pipe).__name__, step, sorted(tensors)))
        return {}

    sraccel.handoff(
        *(sketch_pipe, render_pipe, recipe(switch_step=2)),
        **call(4, callback_on_step_end=callback),
        callback_on_step_end_tensor_inputs=["latents", "prompt_embeds"],
    )
    names = ["latents", "prompt_embeds"]
    assert seen == [
        ("WanPipeline", 0, names),
        ("WanPipeline", 1, names),
        ("WanVideoToVideoPipeline", 0, names),
        ("WanVideoToVideoPipeline", 1, names),
    ]


# What is left behind.


def raising_at(pipeline_name: str) -> Callable[..., dict[str, Any]]:
    def callback(pipe: Any, step: int, *_: Any) -> dict[str, Any]:
        if type(pipe).__name__ == pipeline_name and step == 1:
            raise KeyboardInterrupt
        return {}

    return callback


@pytest.mark.parametrize("fails", [None, "WanPipeline", "WanVideoToVideoPipeline"])
def test_both_pipelines_are_as_before_whatever_happened(
    sketch_pipe: WanPipeline, render_pipe: WanPipeline, fails: str | None
):
    pipes = (sketch_pipe, render_pipe)
    before = [pipe(**call(4)).frames for pipe in pipes]
    arguments = call(6)
    if fails is None:
        sraccel.handoff(*pipes, recipe(switch_step=3), **arguments)
    else:
        arguments["callback_on_step_end"] = raising_at(fails)
        with pytest.raises(KeyboardInterrupt):
            sraccel.handoff(*pipes, recipe(switch_step=3), **arguments)
    for pipe, bare in zip(pipes, before, strict=True):
        for part in (pipe, pipe.vae, pipe.transformer, pipe.scheduler):
            assert not any(isinstance(value, _Link) for value in vars(part).values())
        assert not pipe.interrupt
        assert np.array_equal(pipe(**call(4)).frames, bare)


def test_a_run_after_an_interrupted_one_switches_anew(
    sketch_pipe: WanPipeline, render_pipe: WanPipeline
):
    pair = (sketch_pipe, render_pipe, recipe(switch_step=3))
    expected = sraccel.handoff(*pair, **call()).output.frames
    with pytest.raises(KeyboardInterrupt):
        sraccel.handoff(*pair, **call(callback_on_step_end=raising_at("WanVideoToVideoPipeline")))
    assert np.array_equal(sraccel.handoff(*pair, **call()).output.frames, expected)


def test_a_render_pipeline_that_fails_before_its_first_step_is_not_a_finished_run(
    sketch_pipe: WanPipeline, render_pipe: WanPipeline, monkeypatch: pytest.MonkeyPatch
):
    pair = PipelinePair(sketch_pipe, render_pipe, recipe(switch_step=3), **call())
    with pytest.raises(LoopError, match="no run yet"):
        _ = pair.report
    monkeypatch.setattr(render_pipe.vae, "encode", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pair.run()
    assert pair.report.outcome == "partial"
    assert roles(pair.report) == "sss"
    monkeypatch.undo()
    assert roles(pair.run().report) == "sssrrrrr"


def test_in_half_precision(sketch_pipe: WanPipeline, render_pipe: WanPipeline):
    for pipe in (sketch_pipe, render_pipe):
        pipe.to(torch.bfloat16)
    arguments = call(4)
    for name in ("prompt_embeds", "negative_prompt_embeds"):
        arguments[name] = arguments[name].bfloat16()
    made = sraccel.handoff(sketch_pipe, render_pipe, recipe(switch_step=2), **arguments)
    assert np.isfinite(made.output.frames).all()


# What is refused, before anything runs.


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"recipe": []}, ConflictError, "takes srdiffusion"),
        ({"recipe": recipe(switch_step=0)}, ConflictError, "leaves the sketch pipeline nothing"),
        ({"recipe": recipe(switch_step=3, residency="swap")}, ConflictError, "residency would"),
        ({"height": 48}, ModelError, r"height 48 \(possible: 32, 64\)"),
        ({"strenght": 1.0}, ModelError, "does not know strenght"),
        ({"num_videos_per_prompt": 2}, ModelError, "repeat the prompt"),
        ({"sigmas": [1.0]}, ModelError, "give num_inference_steps"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_what_cannot_work_is_refused_before_anything_runs(
    sketch_pipe: WanPipeline,
    render_pipe: WanPipeline,
    change: dict[str, Any],
    error: type[Exception],
    message: str,
):
    arguments = {"recipe": recipe(switch_step=3), **call(), **change}
    sketch_pipe.transformer.register_forward_hook(lambda *_: pytest.fail("it ran"))
    with pytest.raises(error, match=message):
        sraccel.handoff(sketch_pipe, render_pipe, **arguments)


def test_a_pipeline_that_cannot_stop_or_go_on_is_refused(
    sketch_pipe: WanPipeline, render_pipe: WanPipeline
):
    class Unstoppable(WanPipeline):
        interrupt = None

        def __call__(self, prompt: str, num_inference_steps: int = 4) -> None: ...

    class Unknown:
        def __call__(self, prompt: str) -> None: ...

    unstoppable = Unstoppable(**sketch_pipe.components)
    with pytest.raises(ModelError, match=r"no `callback_on_step_end`, so it cannot be stopped"):
        sraccel.handoff(unstoppable, render_pipe, recipe(switch_step=3), prompt="")
    with pytest.raises(ModelError, match="Unknown cannot go on with a sketch"):
        sraccel.handoff(sketch_pipe, Unknown(), recipe(switch_step=3), **call())


def test_a_render_pipeline_that_begins_elsewhere_is_refused(
    sketch_pipe: WanPipeline, render_pipe: WanPipeline, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sraccel.reencode.pipeline_pair.strength_for", lambda *_: 0.5)
    with pytest.raises(LoopError, match="begins at position 4 of its schedule"):
        sraccel.handoff(sketch_pipe, render_pipe, recipe(switch_step=3), **call())


# Sizes, levels, strengths.


@pytest.mark.parametrize(
    ("frames", "height", "problem"),
    [(5, 64, None), (None, None, None), (6, 64, "6 frames"), (5, 48, "height 48"), (1, 64, None)],
)
def test_only_whole_patches_of_latents_are_taken(
    render_pipe: WanPipeline, frames: int | None, height: int | None, problem: str | None
):
    if problem is None:
        check_size(render_pipe, frames, height, 32)
    else:
        with pytest.raises(ModelError, match=problem):
            check_size(render_pipe, frames, height, 32)


def test_frames_of_patches_in_time():
    vae = SimpleNamespace(vae_scale_factor_spatial=8, vae_scale_factor_temporal=4)
    vae.transformer = SimpleNamespace(config={"patch_size": (2, 1, 1)})
    check_size(vae, 13, 8, 8)
    with pytest.raises(ModelError, match=r"9 frames \(possible: 5, 13\)"):
        check_size(vae, 9, 8, 8)


def test_planned_sizes_are_the_pipeline_s(sketch_pipe: WanPipeline):
    assert planned_size(sketch_pipe, {}) == (81, 480, 832)
    assert planned_size(sketch_pipe, {"num_frames": 6, "height": 16}) == (5, 16, 832)


SCHEDULERS = [
    flow_unipc(),
    FlowMatchEulerDiscreteScheduler(shift=5.0),
    UniPCMultistepScheduler(prediction_type="epsilon"),
    DPMSolverMultistepScheduler(prediction_type="v_prediction", use_karras_sigmas=True),
    EulerDiscreteScheduler(),
    HeunDiscreteScheduler(),
    CogVideoXDDIMScheduler(prediction_type="v_prediction", snr_shift_scale=3.0),
]


def names(scheduler: Any) -> str:
    return type(scheduler).__name__


@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=names)
def test_a_schedule_finds_its_own_steps(scheduler: Any):
    schedule = schedule_of(SimpleNamespace(scheduler=scheduler), 10)
    space = noise_space_of(scheduler, None)
    for step in range(10):
        levels = scheduled_levels(schedule, space.schedule, step * schedule.order)
        assert first_step_at(schedule, space, levels, 10) == step
    assert first_step_at(schedule, space, (1.0, 0.0), 10) is None


@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=names)
def test_the_clean_latents_are_those_that_the_noise_was_added_to(scheduler: Any):
    scheduler = schedule_of(SimpleNamespace(scheduler=scheduler), 10)
    space = noise_space_of(scheduler, None)
    clean, noise = torch.randn(2, 1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    position = 4
    add_noise = getattr(scheduler, "add_noise", None)
    timestep = scheduler.timesteps[position : position + 1]
    if add_noise is not None:
        latents = add_noise(clean, noise, timestep)
    else:
        latents = scheduler.scale_noise(clean, timestep, noise)
    signal, level = scheduled_levels(scheduler, space.schedule, position)
    of_clean, of_noise = space.predicted(signal, level)
    step = SimpleNamespace(latents=latents, noise_pred=of_clean * clean + of_noise * noise)
    assert torch.allclose(_clean(step, scheduler, space, position), clean, atol=2e-3)


@pytest.mark.parametrize("name", SIBLINGS.values())
def test_every_step_of_every_schedule_has_its_strength(name: str):
    pipe = object.__new__(getattr(diffusers, name))
    for steps in (1, 2, 7, 30, 49, 50):
        scheduler = schedule_of(SimpleNamespace(scheduler=flow_unipc()), steps)
        for first_step in range(steps):
            assert 0 < strength_for(pipe, scheduler, steps, first_step) <= 1


# Measured.


def test_a_comparison_measures_both_ways_and_the_hand_off(
    sketch_pipe: WanPipeline, render_pipe: WanPipeline
):
    told, kept = [], []
    arguments = call(6)
    comparison = compare_handoff(
        *(sketch_pipe, render_pipe, recipe(switch_step=3)),
        repeats=2,
        progress=lambda *step: told.append(step),
        keep=lambda way, output, report: kept.append((way, roles(report))),
        **arguments,
    )
    bare = sketch_pipe(**call(6)).frames
    accelerated = sraccel.handoff(
        sketch_pipe, render_pipe, recipe(switch_step=3), **call(6)
    ).output.frames
    assert np.array_equal(comparison.bare.frames, bare)
    assert np.array_equal(comparison.accelerated.frames, accelerated)
    assert kept == [
        ("bare", "ssssss"),
        ("accelerated", "sssrrr"),
        ("accelerated", "sssrrr"),
        ("bare", "ssssss"),
    ]
    report = comparison.report
    assert report.speedup.measured is not None
    assert report.quality.keys() >= {"psnr_db", "ssim"}
    assert report.handoff.seconds < report.accelerated.repeats[-1]
    assert ("accelerated 1/2", 3, 6) in told
    assert ("accelerated 1/2, render pipeline", 3, 3) in told


def test_trained_models_go_on_with_the_same_video():
    """As near to the large model's own video as the latent hand-off comes, and no other seed's."""
    pipe, render = (load_demo(role) for role in ("transformer", "render"))
    for one in (pipe, render):
        one.set_progress_bar_config(disable=True)
    arguments = {"prompt": "a red circle moving left", "num_inference_steps": 12}

    def seeded(seed: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(seed)
        return {**arguments, "generator": generator, "output_type": "np"}

    bare, other = (pipe(**seeded(seed)).frames for seed in (0, 1))
    made = sraccel.handoff(pipe, render, recipe(switch_step=6), **seeded(0)).output.frames
    with sraccel.compose(
        pipe, [{"use": "srdiffusion", "render": render.transformer, "switch_step": 6}]
    ):
        latent = pipe(**seeded(0)).frames
    distance, of_latent, of_other = (
        float(np.square(frames - bare).mean()) for frames in (made, latent, other)
    )
    assert distance < 2 * of_latent
    assert distance < of_other / 4
