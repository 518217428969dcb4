"""Every pair through its real pipeline: who denoises, what comes out, and what is left behind."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from tiny import (
    HALF,
    PAIRS,
    PAIRS_OF_TRANSFORMERS,
    SD3,
    SDXL,
    STEPS,
    TinyFamily,
)
from tiny_models import IDENTITY
from torch import nn
from two_models import Counted, few_examples, switching, with_models_swapped

import sraccel
from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    ConflictError,
    Denoiser,
    ModelError,
    Step,
    hookimpl,
)

ALWAYS = 1e9
"""A threshold of TeaCache that is never reached: only forced steps are computed."""

each_pair = pytest.mark.parametrize("tiny", PAIRS, ids=str)
each_transformer = pytest.mark.parametrize("tiny", PAIRS_OF_TRANSFORMERS, ids=str)


@each_pair
def test_calls_go_to_the_pipelines_models_until_the_switch_and_to_the_render_model_after_it(
    tiny: TinyFamily,
):
    pipe, render = tiny.pipeline(), tiny.render()
    own, rendering = [Counted(model) for model in tiny.denoisers(pipe)], Counted(render)
    with sraccel.compose(pipe, switching(render)) as stack:
        latents = tiny.generate(pipe)
    assert latents.isfinite().all()
    assert sum(len(model.calls) for model in own) == HALF * tiny.calls_per_step
    assert len(rendering.calls) == (STEPS - HALF) * tiny.calls_per_step
    roles = [step.denoiser for step in stack.report.steps]
    assert roles[HALF:] == ["render"] * (STEPS - HALF)
    assert set(roles[:HALF]) == set(tiny.attributes)
    assert stack.report.outcome == "finished"
    assert stack.report.model["render"]["family"] == tiny.family


@each_pair
@few_examples
@example(step=0, guidance=1.0, seed=0, dtype=torch.float32)
@example(step=HALF, guidance=4.0, seed=0, dtype=torch.bfloat16)
@given(
    step=st.integers(0, STEPS - 1),
    guidance=st.sampled_from([1.0, 4.0]),
    seed=st.integers(0, 9),
    dtype=st.just(torch.float32),
)
def test_the_render_model_goes_on_as_if_it_had_been_put_into_the_pipeline(
    tiny: TinyFamily, step: int, guidance: float, seed: int, dtype: torch.dtype
):
    arguments: dict[str, Any] = {"guidance": guidance, "seed": seed, "dtype": dtype}
    pipe, render = tiny.pipeline().to(dtype), tiny.render().to(dtype)
    with sraccel.compose(pipe, switching(render, step)):
        accelerated = tiny.generate(pipe, **arguments)
    assert torch.equal(accelerated, with_models_swapped(tiny, render, step, **arguments))
    assert not torch.equal(accelerated, tiny.generate(pipe, **arguments))


@each_pair
def test_an_empty_stack_changes_no_bit_and_nothing_stays_behind(tiny: TinyFamily):
    pipe = tiny.pipeline()
    bare = tiny.generate(pipe)
    with sraccel.compose(pipe, []) as stack:
        assert torch.equal(tiny.generate(pipe), bare)
    assert stack.report.steps[0].denoiser == tiny.attributes[0]
    with sraccel.compose(pipe, switching(tiny.render())):
        assert not torch.equal(tiny.generate(pipe), bare)
    assert torch.equal(tiny.generate(pipe), bare)


class Watching(Accelerator):
    """Notes which denoisers are prepared, and each step's end."""

    name = "watching"

    def __init__(self, options: AcceleratorOptions) -> None:
        super().__init__(options)
        self.prepared: list[str] = []
        self.finished: list[int] = []

    @hookimpl
    def prepare_denoiser(self, denoiser: Denoiser) -> AbstractContextManager[object] | None:
        self.prepared.append(denoiser.role)
        return nullcontext()

    @hookimpl
    def step_finished(self, step: Step) -> None:
        assert step.noise_pred is not None
        self.finished.append(step.index)


def kernel_sized(tiny: TinyFamily) -> tuple[Any, nn.Module]:
    """A pipeline and a render model with heads that SageAttention's kernels can take."""
    heads = {"attention_head_dim": 64, "num_attention_heads": 1}
    return tiny.pipeline(**heads), tiny.render(**heads)


@each_transformer
def test_a_switch_a_cache_and_an_attention_kernel_in_one_stack(tiny: TinyFamily):
    pipe, render = kernel_sized(tiny)
    bare = tiny.generate(pipe)
    roles = ("transformer", "transformer_2", "render")
    recipe: list[Any] = [
        {"use": "sageattention", "kernel": "emulated"},
        *switching(render),
        {"use": "teacache", "threshold": ALWAYS, "coefficients": dict.fromkeys(roles, IDENTITY)},
        Watching.Options(),
    ]
    with sraccel.compose(pipe, recipe) as stack:
        latents = tiny.generate(pipe)
        watching = stack.accelerators[-1]
    assert latents.isfinite().all()
    assert not torch.equal(latents, bare)
    assert torch.equal(tiny.generate(pipe), bare)

    steps = stack.report.steps
    before = [None, *(step.denoiser for step in steps)]
    for step, previous in zip(steps, before, strict=False):
        skipped = step.denoiser == previous and step.index < STEPS - 1
        assert [call.reused for call in step.calls] == [skipped] * tiny.calls_per_step
    sage, switch, cache, _ = stack.report.accelerators
    assert all(facts["served"] for facts in sage.notes["attention_calls"].values())
    assert switch.chosen_calls == (STEPS - HALF) * tiny.calls_per_step
    assert cache.reused_calls
    assert isinstance(watching, Watching)
    assert watching.prepared == list(stack.denoisers)
    assert watching.finished == list(range(STEPS))


def test_a_cache_on_a_unet_is_refused():
    recipe = [{"use": "teacache", "coefficients": IDENTITY}]
    with pytest.raises(ConflictError, match=r"UNet2DConditionModel.*no block stack.*'teacache'"):
        sraccel.compose(SDXL.pipeline(), recipe)


def test_skip_layer_guidance_is_refused_where_another_sd3_model_answers():
    pipe = SD3.pipeline()
    guidance = {"skip_guidance_layers": [1], "skip_layer_guidance_start": 0.6}
    with sraccel.compose(pipe, []):
        SD3.generate(pipe, **guidance, skip_layer_guidance_stop=1.0)
    with pytest.raises(ModelError, match="skip_layers"):
        with sraccel.compose(pipe, switching(SD3.render())):
            SD3.generate(pipe, **guidance, skip_layer_guidance_stop=1.0)
