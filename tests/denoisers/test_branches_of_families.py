"""Pipelines without a cache context, or with two scheduler steps a step: calls find their place.

Lumina 2, Cosmos and HiDream say nowhere which guidance branch a call belongs to.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from diffusers import EDMEulerScheduler, FlowMatchEulerDiscreteScheduler
from residual_rules import OfficialArithmetic, ReuseFromStep1
from tiny import (
    ALLEGRO,
    COSMOS,
    COSMOS2,
    COSMOS2_VIDEO_TO_WORLD,
    COSMOS_VIDEO_TO_WORLD,
    FLUX2,
    HALF,
    HIDREAM,
    HIDREAM_WIDE,
    KANDINSKY5,
    LTX2,
    LTX2_IMAGE_TO_VIDEO,
    LUMINA2,
    QWEN_IMAGE,
    SANA_VIDEO,
    SANA_VIDEO_IMAGE_TO_VIDEO,
    STEPS,
    Z_IMAGE,
    TinyFamily,
)
from torch import nn

import sraccel
from sraccel.loop.denoiser_adapter import named
from sraccel.recipe.catalogue import installed

TWO_CALLS = [
    LUMINA2,
    COSMOS,
    COSMOS_VIDEO_TO_WORLD,
    COSMOS2,
    COSMOS2_VIDEO_TO_WORLD,
    KANDINSKY5,
]
"""Families that guide by two calls a step, outside any cache context."""

ONE_BATCH = [
    HIDREAM,
    HIDREAM_WIDE,
    LTX2,
    LTX2_IMAGE_TO_VIDEO,
    SANA_VIDEO,
    SANA_VIDEO_IMAGE_TO_VIDEO,
]
"""Families that guide by one call a step, with a batch of both."""

PADDED = torch.tensor([[1, 1, 1, 1, 0, 0]], dtype=torch.bool)
in_each_precision = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)


def recorded(model: nn.Module, name: str) -> list[Any]:
    """What a model is given under this name, call by call."""
    seen: list[Any] = []
    model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(named(model, args, kwargs)[name]), with_kwargs=True
    )
    return seen


def branches(stack: sraccel.Stack) -> list[list[str]]:
    return [[call.branch for call in step.calls] for step in stack.report.steps]


@pytest.mark.parametrize("tiny", TWO_CALLS, ids=str)
@in_each_precision
def test_a_branch_has_one_name_in_every_step_and_every_run(tiny: TinyFamily, dtype: torch.dtype):
    pipe = tiny.pipeline().to(dtype)
    prompts = recorded(pipe.transformer, "encoder_hidden_states")
    with sraccel.compose(pipe, []) as stack:
        for _ in range(2):
            prompts.clear()
            tiny.generate(pipe, dtype=dtype)
            assert branches(stack) == [["branch0", "branch1"]] * STEPS
            given = [prompt.float().sum() for prompt in prompts]
            assert given == given[:2] * STEPS
            assert given[0] != given[1]


def test_a_prompt_that_is_cast_in_each_step_is_one_branch_all_the_same():
    pipe = KANDINSKY5.pipeline().to(torch.bfloat16)
    with sraccel.compose(pipe, [ReuseFromStep1.Options()]) as stack:
        KANDINSKY5.generate(pipe, 3, dtype=torch.float32)
    assert branches(stack) == [["branch0", "branch1"]] * 3
    assert [call.reused for call in stack.report.steps[-1].calls] == [True] * 2


@pytest.mark.parametrize(
    ("tiny", "guidance"),
    [*((tiny, 1.0) for tiny in TWO_CALLS), *itertools.product(ONE_BATCH, (1.0, 4.0))],
    ids=str,
)
def test_one_call_a_step_is_one_branch_of_one_name(tiny: TinyFamily, guidance: float):
    pipe = tiny.pipeline()
    inputs = recorded(pipe.transformer, "hidden_states")
    with sraccel.compose(pipe, []) as stack:
        tiny.generate(pipe, guidance=guidance)
    ((name,), *others) = branches(stack)
    assert others == [[name]] * (STEPS - 1)
    assert {len(latents) for latents in inputs} == {2 if guidance > 1 else 1}


class ArithmeticByPrompt(OfficialArithmetic):
    """Tells the branches by what they are given, not by counting calls."""

    def __init__(self, model: Any, tiny: TinyFamily) -> None:
        super().__init__(model, tiny, branches=1)
        self.prompts = recorded(model, "encoder_hidden_states")

    def _begin(self, block: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        super()._begin(block, args, kwargs)
        self.branch = float(self.prompts[-1].sum())


@pytest.mark.parametrize("negative", [None, PADDED], ids=["equal lengths", "shorter negative"])
def test_lumina2_may_drop_the_unconditional_call_and_the_other_goes_on_reusing_its_own(
    negative: torch.Tensor | None,
):
    arguments: dict[str, Any] = {"cfg_trunc_ratio": 0.5}
    if negative is not None:
        arguments["negative_prompt_attention_mask"] = negative
    reference = LUMINA2.pipeline()
    ArithmeticByPrompt(reference.transformer, LUMINA2)
    expected = LUMINA2.generate(reference, **arguments)
    pipe = LUMINA2.pipeline()
    with sraccel.compose(pipe, [ReuseFromStep1.Options()]) as stack:
        for _ in range(2):  # the second run starts with both branches again
            assert torch.equal(LUMINA2.generate(pipe, **arguments), expected)
            assert branches(stack) == [["branch0", "branch1"]] * HALF + [["branch0"]] * HALF
            reused = [[call.reused for call in step.calls] for step in stack.report.steps]
            assert reused == [[False] * 2] + [[True] * 2] * (HALF - 1) + [[True]] * HALF


class CountingEDM(EDMEulerScheduler):
    """Notes the timesteps at which it is asked to step."""

    def step(self, model_output: Any, timestep: Any, sample: Any, **kwargs: Any) -> Any:
        self.stepped = [*getattr(self, "stepped", []), float(timestep)]
        return super().step(model_output, timestep, sample, **kwargs)


@pytest.mark.parametrize("tiny", [COSMOS, COSMOS_VIDEO_TO_WORLD], ids=str)
@pytest.mark.parametrize("guidance", [1.0, 4.0], ids=["unguided", "guided"])
def test_a_scheduler_step_taken_twice_is_one_step_of_the_run(tiny: TinyFamily, guidance: float):
    pipe = tiny.pipeline()
    bare = tiny.generate(pipe, guidance=guidance)
    pipe.scheduler = CountingEDM.from_config(pipe.scheduler.config)
    with sraccel.compose(pipe, []) as stack:
        for _ in range(2):
            pipe.scheduler.stepped = []
            assert torch.equal(tiny.generate(pipe, guidance=guidance), bare)
            timesteps = pipe.scheduler.timesteps.tolist()
            assert pipe.scheduler.stepped == [t for t in timesteps for _ in range(2)]
            assert [step.timestep for step in stack.report.steps] == timesteps
            assert stack.report.outcome == "finished"


def test_a_run_interrupted_between_double_steps_is_partial_and_the_next_one_is_whole():
    def interrupt(pipe: Any, index: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        pipe._interrupt = index + 1 == HALF
        return {}

    pipe = COSMOS.pipeline()
    bare = COSMOS.generate(pipe)
    with sraccel.compose(pipe, []) as stack:
        COSMOS.generate(pipe, callback_on_step_end=interrupt)
        assert (len(stack.report.steps), stack.report.outcome) == (HALF, "partial")
        assert torch.equal(COSMOS.generate(pipe), bare)
        assert (len(stack.report.steps), stack.report.outcome) == (STEPS, "finished")


def test_stepping_to_a_timestep_without_a_call_is_still_an_error():
    pipe = COSMOS.pipeline()
    embeddings = COSMOS.arguments()["prompt_embeds"]
    latents = torch.ones(1, 4, 2, 4, 4)
    with sraccel.compose(pipe, []), torch.no_grad():
        pipe.scheduler.set_timesteps(STEPS)
        now, later, *_ = pipe.scheduler.timesteps
        predicted = pipe.transformer(latents, now.expand(1), embeddings)[0]
        pipe.scheduler.step(predicted, now, latents)
        pipe.scheduler._step_index -= 1
        pipe.scheduler.step(predicted, now, latents)
        with pytest.raises(sraccel.LoopError, match="none of its denoiser calls"):
            pipe.scheduler.step(predicted, later, latents)


@pytest.mark.parametrize(
    "tiny",
    [
        *TWO_CALLS,
        HIDREAM,
        QWEN_IMAGE,
        ALLEGRO,
        FLUX2,
        LTX2,
        LTX2_IMAGE_TO_VIDEO,
        SANA_VIDEO_IMAGE_TO_VIDEO,
        Z_IMAGE,
    ],
    ids=str,
)
def test_the_adapter_knows_what_timestep_the_pipeline_passes_and_back(tiny: TinyFamily):
    pipe = tiny.pipeline()
    (adapter,) = (found for found in installed().adapters if found.recognises(pipe.transformer))
    given = recorded(pipe.transformer, adapter.timestep)
    tiny.generate(pipe, guidance=1.0)
    scheduled = pipe.scheduler.timesteps.tolist()
    passed = [float(timestep.max()) for timestep in given]
    assert [adapter.model_timestep(timestep) for timestep in scheduled] == pytest.approx(passed)
    again = [adapter.loop_timestep(adapter.model_timestep(timestep)) for timestep in scheduled]
    assert again == pytest.approx(scheduled)
    assert len(set(passed)) == STEPS


@pytest.mark.parametrize("tiny", [LUMINA2, HIDREAM, COSMOS2, LTX2], ids=str)
def test_a_change_of_variables_is_refused_where_the_prediction_is_not_the_schedulers(
    tiny: TinyFamily,
):
    """Lumina 2 and HiDream predict the image minus the noise: a conversion would turn the sign."""
    pipe, partner = tiny.pipeline(), tiny.pipeline()
    partner.vae.register_to_config(scaling_factor=pipe.vae.config.get("scaling_factor", 1.0) * 2)
    partner.scheduler = FlowMatchEulerDiscreteScheduler()
    recipe = [{"use": "srdiffusion", "render": partner, "switch_step": HALF}]
    with pytest.raises(sraccel.ModelError, match="its prediction is not what its scheduler takes"):
        sraccel.compose(pipe, recipe)


def test_a_model_of_another_precision_gets_an_exact_timestep_whatever_its_name():
    pipe, render = HIDREAM.pipeline(), HIDREAM.render().to(torch.bfloat16)
    seen = recorded(render, "timesteps")
    with sraccel.compose(pipe, [{"use": "srdiffusion", "render": render, "switch_step": HALF}]):
        HIDREAM.generate(pipe)
    expected = pipe.scheduler.timesteps[HALF:].to(seen[0].dtype)
    assert torch.equal(torch.stack([timestep[0] for timestep in seen]), expected)
