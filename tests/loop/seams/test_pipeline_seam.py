"""How pipelines drive runs: late beginnings, Heun's double steps, replaced parts, compilation."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    WanPipeline,
    WanTransformer3DModel,
    WanVideoToVideoPipeline,
)
from misbehaving import stops
from tiny_models import IDENTITY, call_arguments, tiny_pipeline, tiny_transformer

import sraccel

Generate = Callable[..., torch.Tensor]


@pytest.mark.parametrize(("guidance", "branches"), [(4.0, ["cond", "uncond"]), (1.0, ["cond"])])
def test_steps_carry_the_schedulers_timesteps_and_sigmas(
    guidance: float, branches: list[str], pipe: WanPipeline, generate: Generate
) -> None:
    with sraccel.compose(pipe, []) as stack:
        generate(pipe, steps=6, guidance=guidance)
    steps = stack.report.steps
    assert [step.index for step in steps] == list(range(6))
    assert [step.timestep for step in steps] == pipe.scheduler.timesteps.tolist()
    assert [step.sigma for step in steps] == pytest.approx(pipe.scheduler.sigmas[:-1].tolist())
    assert [[call.branch for call in step.calls] for step in steps] == [branches] * 6


def test_video_to_video_begins_late_and_counts_its_own_steps() -> None:
    tiny = tiny_pipeline(scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0))
    pipe = WanVideoToVideoPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=tiny.vae,
        scheduler=tiny.scheduler,
        transformer=tiny.transformer,
    )
    pipe.set_progress_bar_config(disable=True)
    arguments = call_arguments(steps=10)
    arguments.pop("num_frames")
    recipe = [{"use": "teacache", "threshold": 3.0, "coefficients": IDENTITY}]
    with sraccel.compose(pipe, recipe) as stack:
        pipe(latents=torch.randn(1, 4, 2, 8, 8), strength=0.6, **arguments)
    report = stack.report
    assert report.outcome == "finished"
    assert [step.timestep for step in report.steps] == pipe.scheduler.timesteps[4:].tolist()
    assert [step.index for step in report.steps] == list(range(6))
    reused = [all(call.reused for call in step.calls) for step in report.steps]
    assert not reused[0]
    assert not reused[-1], "the last step of this run is forced, not of the whole schedule"


@pytest.mark.parametrize("first", ["run", "timesteps"])
def test_a_loop_of_ones_own_may_set_the_timesteps_before_or_in_its_run(
    first: str, pipe: WanPipeline, generate: Generate
) -> None:
    scheduler, text = pipe.scheduler, torch.ones(1, 6, 16)
    latents = torch.ones(1, 4, 2, 8, 8)
    with sraccel.compose(pipe, []) as stack:
        if first == "timesteps":
            scheduler.set_timesteps(4)
        with stack.run(num_inference_steps=4) as run:
            if first == "run":
                scheduler.set_timesteps(4)
            for t in scheduler.timesteps:
                with run.step(timestep=float(t)) as step:
                    noise = pipe.transformer(latents, t.expand(1), text, return_dict=False)[0]
                    step.finish(noise, latents)
                latents = scheduler.step(noise, t, latents, return_dict=False)[0]
        assert (stack.report.outcome, len(stack.report.steps)) == ("finished", 4)
        generate(pipe)
        assert (stack.report.outcome, len(stack.reports)) == ("finished", 2)


def test_an_error_that_the_user_is_handling_is_not_the_runs_own(
    pipe: WanPipeline, generate: Generate
) -> None:
    with sraccel.compose(pipe, []) as stack:
        try:
            raise ValueError("of the user's")
        except ValueError:
            generate(pipe, callback_on_step_end=stops(3))
    assert stack.report.outcome == "partial"


def test_heun_has_about_twice_as_many_steps(generate: Generate) -> None:
    pipe = tiny_pipeline(scheduler=FlowMatchHeunDiscreteScheduler(shift=3.0))
    with sraccel.compose(pipe, []) as stack:
        generate(pipe, steps=5)
    assert (len(stack.report.steps), stack.report.outcome) == (9, "finished")


@pytest.mark.parametrize("parts", ["transformer", "scheduler", "transformer and scheduler"])
def test_a_part_replaced_inside_the_block_is_an_error_not_a_bare_run(
    parts: str, pipe: WanPipeline, generate: Generate
) -> None:
    other = tiny_pipeline(seed=9)
    with sraccel.compose(pipe, []):
        for part in parts.split(" and "):
            setattr(pipe, part, getattr(other, part))
        with pytest.raises(sraccel.LoopError, match=f"pipeline.{parts} was replaced"):
            generate(pipe)


def test_a_second_expert_set_inside_the_block_is_an_error(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
) -> None:
    with sraccel.compose(pipe, []):
        pipe.transformer_2 = render
        with pytest.raises(sraccel.LoopError, match="transformer_2 was set while"):
            generate(pipe)
        pipe.transformer_2 = None
        generate(pipe)


def test_the_schedulers_signature_can_still_be_inspected(pipe: WanPipeline) -> None:
    before = inspect.signature(pipe.scheduler.step)
    with sraccel.compose(pipe, []):
        assert inspect.signature(pipe.scheduler.step) == before
        assert inspect.signature(pipe.scheduler.set_timesteps).parameters["num_inference_steps"]


def test_users_callback_gets_what_it_always_got(pipe: WanPipeline, generate: Generate) -> None:
    def record(log: list[Any]) -> Callable[..., dict[str, Any]]:
        def callback(pipe: Any, index: int, t: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            log.append((index, float(t), float(tensors["latents"].sum())))
            return tensors

        return callback

    bare: list[Any] = []
    ours: list[Any] = []
    generate(pipe, callback_on_step_end=record(bare))
    with sraccel.compose(pipe, []):
        generate(pipe, callback_on_step_end=record(ours))
    assert ours == bare


def test_a_diffusers_cache_on_the_denoiser_works_beside_srdiffusion(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
) -> None:
    from diffusers import FirstBlockCacheConfig

    pipe.transformer.enable_cache(FirstBlockCacheConfig(threshold=0.5))
    with sraccel.compose(
        pipe, [{"use": "srdiffusion", "render": render, "switch_step": 6}]
    ) as stack:
        first = generate(pipe, steps=10)
        assert torch.equal(generate(pipe, steps=10), first)
    assert stack.report.switch_step == 6
    pipe.transformer.disable_cache()


def test_a_diffusers_cache_and_a_residual_rule_are_refused_together(pipe: WanPipeline) -> None:
    from diffusers import FirstBlockCacheConfig

    pipe.transformer.enable_cache(FirstBlockCacheConfig(threshold=0.5))
    recipe = [{"use": "teacache", "threshold": 0.5, "coefficients": IDENTITY}]
    with pytest.raises(sraccel.ConflictError, match=r"FirstBlockCacheConfig.*disable_cache"):
        sraccel.compose(pipe, recipe)


class TestCompile:
    """With the backend `eager`: graphs are what matters here, not their speed."""

    RECIPE = [{"use": "teacache", "threshold": 1.2, "coefficients": IDENTITY}]

    @pytest.fixture(autouse=True)
    def _fresh_dynamo(self) -> Any:
        torch._dynamo.reset()
        yield
        torch._dynamo.reset()

    def skips(self, stack: Any) -> list[bool]:
        return [call.reused for step in stack.report.steps for call in step.calls]

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_blocks_compiled_before_or_after_attaching(
        self, when: str, pipe: WanPipeline, generate: Generate
    ) -> None:
        with sraccel.compose(pipe, self.RECIPE) as stack:
            expected = generate(pipe, steps=12)
        wanted = self.skips(stack)
        stack = sraccel.compose(pipe, self.RECIPE)
        if when == "before":
            pipe.transformer.compile_repeated_blocks(backend="eager")
        with stack:
            if when == "after":
                pipe.transformer.compile_repeated_blocks(backend="eager")
            out = generate(pipe, steps=12)
        assert torch.allclose(out, expected, atol=1e-5)
        assert self.skips(stack) == wanted
        assert any(wanted)

    @pytest.mark.parametrize("wrapped", [False, True])
    def test_a_whole_model_compile_is_refused_with_advice(
        self, wrapped: bool, pipe: WanPipeline
    ) -> None:
        if wrapped:
            pipe.transformer = torch.compile(pipe.transformer, backend="eager")
        else:
            pipe.transformer.compile(backend="eager")
        with pytest.raises(sraccel.ConflictError, match="compile_repeated_blocks"):
            sraccel.compose(pipe, [] if wrapped else self.RECIPE)

    def test_a_whole_model_compile_inside_the_block_is_noticed(
        self, pipe: WanPipeline, generate: Generate
    ) -> None:
        with sraccel.compose(pipe, self.RECIPE):
            pipe.transformer.compile(backend="eager")
            with pytest.raises((sraccel.LoopError, sraccel.ConflictError), match="compile"):
                generate(pipe)

    def test_srdiffusion_alone_works_with_a_whole_model_compile(
        self, pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
    ) -> None:
        recipe = [{"use": "srdiffusion", "render": render, "switch_step": 4}]
        with sraccel.compose(pipe, recipe):
            expected = generate(pipe)
        pipe.transformer.compile(backend="eager")
        with sraccel.compose(pipe, recipe) as stack:
            assert torch.allclose(generate(pipe), expected, atol=1e-5)
        assert stack.report.switch_step == 4


def test_a_render_model_larger_in_depth_is_no_obstacle(
    pipe: WanPipeline, generate: Generate
) -> None:
    deeper = tiny_transformer(seed=2, layers=6)
    with sraccel.compose(
        pipe, [{"use": "srdiffusion", "render": deeper, "switch_step": 1}]
    ) as stack:
        generate(pipe)
    assert stack.report.switch_step == 1


def test_a_scheduler_whose_step_says_nothing_of_its_arguments_is_followed(
    pipe: WanPipeline, generate: Generate, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = generate(pipe)
    kind = type(pipe.scheduler)
    step = kind.step
    monkeypatch.setattr(kind, "step", lambda *args, **kwargs: step(*args, **kwargs))
    with sraccel.compose(pipe, []) as stack:
        assert torch.equal(generate(pipe), bare)
    assert len(stack.report.steps) == 8


def test_a_stack_is_not_attached_in_the_middle_of_a_run(
    pipe: WanPipeline, generate: Generate
) -> None:
    stack = sraccel.compose(pipe, [])

    def attach(pipe: Any, index: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        stack.attach()
        return {}

    with pytest.raises(sraccel.LoopError, match="attach it before the call"):
        generate(pipe, callback_on_step_end=attach)
    assert not stack.attached
