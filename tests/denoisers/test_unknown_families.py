"""Denoisers that no adapter knows: what needs no knowledge of blocks, and blocks that are found."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from any_pipeline import STEPS, output_of, same, tried
from diffusers import QwenImage21Transformer2DModel
from diffusers.models.transformers.transformer_qwenimage21 import QwenImage21KVCache
from residual_rules import ReuseFromStep1
from tiny import FLUX_CONTROLNET, QWEN_IMAGE_CONTROLNET, TinyFamily
from tiny.unadapted import CONTROLLED, UNADAPTED, VARIANTS
from tiny.unadapted.controlled import SDXL_CONTROLNET, STABLE_DIFFUSION_CONTROLNET
from tiny.unadapted.images import AURA_FLOW, ERNIE, SANA
from tiny.unadapted.made import HEADS, ROPE, lively
from tiny.unadapted.unets import CASCADE_DECODER, STABLE_DIFFUSION
from tiny.unadapted.videos import LATTE, MOTIF
from tiny_models import IDENTITY, TEXT_DIM
from torch import nn
from two_models import switching, with_models_swapped

import sraccel
from sraccel.plugin import ConflictError, ModelError

FAST = [STABLE_DIFFUSION, STABLE_DIFFUSION_CONTROLNET, AURA_FLOW, ERNIE, MOTIF]
"""A UNet, one with a ControlNet, two streams, one joined stream, a video's."""
STACKS = [AURA_FLOW, ERNIE, MOTIF]


def check(tiny: TinyFamily) -> None:
    found = tried(tiny)
    assert found.empty
    assert found.steps
    assert found.calls_seen >= found.steps_seen >= 2
    assert isinstance(found.switched, int) == (not hasattr(tiny.pipeline(), "controlnet"))
    unet = "UNet" in found.denoiser
    assert isinstance(found.reused, int) == (not unet)
    if unet:
        assert "no block stack that could be skipped" in str(found.reused)


@pytest.mark.parametrize("tiny", FAST, ids=str)
def test_a_pipeline_without_an_adapter_runs_unchanged_where_nothing_is_decided(tiny: TinyFamily):
    check(tiny)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "tiny", [tiny for tiny in [*UNADAPTED, *CONTROLLED, *VARIANTS] if tiny not in FAST], ids=str
)
def test_every_pipeline_of_diffusers_that_is_built_offline(tiny: TinyFamily):
    found = tried(tiny)
    assert found.empty
    assert found.steps
    assert found.calls_seen >= found.steps_seen >= 2
    assert isinstance(found.reused, int) or "no block stack" in found.reused


@pytest.mark.parametrize(
    ("tiny", "evaluation"),
    [(STABLE_DIFFUSION, 3), (AURA_FLOW, 2)],  # PNDM evaluates the model twice in its first step
    ids=str,
)
def test_a_second_model_of_the_class_takes_over_as_if_it_were_swapped_in(
    tiny: TinyFamily, evaluation: int
):
    pipe = tiny.pipeline()
    with sraccel.compose(pipe, switching(tiny.render(), 2)) as stack:
        switched = tiny.generate(pipe, STEPS)
    assert stack.report.steps[evaluation].denoiser == "render"
    expected = with_models_swapped(tiny, tiny.render(), evaluation, steps=STEPS)
    assert torch.equal(switched, expected)


def test_models_of_one_class_that_take_other_inputs_are_refused():
    other = STABLE_DIFFUSION.render(cross_attention_dim=8)
    with pytest.raises(ModelError, match="cross_attention_dim"):
        sraccel.compose(STABLE_DIFFUSION.pipeline(), switching(other))


@pytest.mark.parametrize("tiny", STACKS, ids=str)
def test_a_reused_call_runs_no_block_and_leaves_the_model_as_it_was(tiny: TinyFamily):
    pipe = tiny.pipeline()
    bare = output_of(tiny, pipe)
    before = {name: dict(vars(part)) for name, part in pipe.transformer.named_modules()}
    with sraccel.compose(pipe, [ReuseFromStep1.Options()]) as stack:
        output_of(tiny, pipe)
        blocks = stack.own.adapter.blocks(pipe.transformer)
        ran: list[nn.Module] = []
        handles = [
            block.register_forward_pre_hook(lambda one, _: ran.append(one)) for block in blocks
        ]
        output_of(tiny, pipe)  # found already: each block runs in the first step alone
        for handle in handles:
            handle.remove()
    assert [ran.count(block) for block in blocks] == [len(ran) // len(blocks)] * len(blocks)
    assert len(ran) // len(blocks) == len(stack.report.steps[0].calls)
    after = {name: dict(vars(part)) for name, part in pipe.transformer.named_modules()}
    assert {name: set(part) for name, part in before.items()} == {
        name: set(part) for name, part in after.items()
    }
    assert same(output_of(tiny, pipe), bare)


def with_kept_keys(model: nn.Module, step: int, cache: QwenImage21KVCache) -> torch.Tensor:
    """A prediction of Qwen-Image 2.1, whose blocks see the text's tokens in the first step only."""
    latents = torch.randn(1, 16, 8, generator=torch.Generator().manual_seed(step))
    text = torch.randn(1, 6, TEXT_DIM, generator=torch.Generator().manual_seed(99))
    is_image = torch.tensor([[False] * 6 + [True] * 4])
    prediction: torch.Tensor = model(
        hidden_states=latents,
        encoder_hidden_states=text,
        timestep=torch.tensor([1 - step / STEPS]),
        img_shapes=[[(1, 4, 4)]],
        img_mask=is_image,
        kv_cache=cache,
        kv_cache_mode="cached" if step else "extract",
        return_dict=False,
    )[0]
    return prediction[:, -16:]


def test_where_blocks_see_other_tokens_than_before_they_run_again():
    model = lively(
        QwenImage21Transformer2DModel,
        0,
        **HEADS,
        in_channels=8,
        out_channels=8,
        num_layers=2,
        context_in_dim=TEXT_DIM,
        axes_dims_rope=ROPE,
    )
    outputs: list[list[torch.Tensor]] = []
    for recipe in ([], [ReuseFromStep1.Options()]):
        cache = QwenImage21KVCache(2)
        outputs.append([])
        with sraccel.compose(model, recipe) as stack, stack.run(num_inference_steps=STEPS) as run:
            for index in range(STEPS):
                with run.step(index) as step, step.branch("cond"):
                    outputs[-1].append(with_kept_keys(model, index, cache))
    reused = [call.reused for step in stack.report.steps for call in step.calls]
    assert reused == [False, False, True, True]
    bare, cached = outputs
    assert [torch.equal(*both) for both in zip(bare, cached, strict=True)] == [
        not one for one in reused
    ]


class TwoOutputs(nn.Module):
    """Its second stream is an output, too: a residual of the first cannot stand in for both."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(TwoStreams() for _ in range(2))

    def forward(self, hidden_states: torch.Tensor, timestep: Any, audio: torch.Tensor) -> Any:
        for block in self.blocks:
            hidden_states, audio = block(hidden_states, audio)
        return hidden_states, audio


class TwoStreams(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, hidden_states: torch.Tensor, audio: torch.Tensor) -> Any:
        return hidden_states + self.linear(audio).mean(), audio + self.linear(audio)


def test_blocks_whose_work_reaches_the_output_by_another_way_are_refused_in_words():
    denoiser = TwoOutputs().eval()
    with (
        sraccel.compose(denoiser, [ReuseFromStep1.Options()]) as stack,
        stack.run(num_inference_steps=2) as run,
        run.step(0),
        pytest.raises(ConflictError, match=r"TwoOutputs.*could not be found.*'reuse-from-step-1'"),
    ):
        denoiser(torch.ones(1, 3, 4), None, torch.ones(1, 5, 4))


@pytest.mark.parametrize("tiny", [SANA, LATTE], ids=str)
def test_teacache_decides_by_the_time_embedding_with_coefficients_of_ones_own(tiny: TinyFamily):
    pipe = tiny.pipeline()
    bare = output_of(tiny, pipe)
    for threshold, reused in ((0.0, False), (1e9, True)):
        recipe = [{"use": "teacache", "threshold": threshold, "coefficients": IDENTITY}]
        with sraccel.compose(pipe, recipe) as stack:
            assert same(output_of(tiny, pipe), bare) != reused
        assert any(call.reused for step in stack.report.steps for call in step.calls) == reused
    with pytest.raises(ModelError, match="none are published"):
        sraccel.compose(pipe, [{"use": "teacache"}])


def test_teacache_says_in_words_that_there_is_nothing_to_decide_by():
    recipe = [{"use": "teacache", "coefficients": IDENTITY}]
    with pytest.raises(ModelError, match="decides by a modulated input, and none is known"):
        sraccel.compose(TwoOutputs(), recipe)


@pytest.mark.parametrize(
    "tiny", [FLUX_CONTROLNET, QWEN_IMAGE_CONTROLNET, STABLE_DIFFUSION_CONTROLNET], ids=str
)
def test_a_second_model_beside_a_controlnet_is_refused_when_composing(tiny: TinyFamily):
    with pytest.raises(ModelError, match=r"ControlNet.*made for its own model"):
        sraccel.compose(tiny.pipeline(), switching(tiny.render()))


def test_a_unet_that_takes_another_number_of_residuals_is_refused_when_composing():
    other = SDXL_CONTROLNET.render(layers_per_block=2)
    with pytest.raises(ModelError, match=r"ControlNet makes 4 residuals.*takes 6"):
        sraccel.compose(SDXL_CONTROLNET.pipeline(), switching(other))


def test_a_timestep_that_no_call_belongs_to_is_no_step():
    pipe = CASCADE_DECODER.pipeline()
    with sraccel.compose(pipe, []) as stack:
        output_of(CASCADE_DECODER, pipe)
    assert (stack.report.outcome, len(stack.report.steps)) == ("finished", STEPS)
    assert list(stack.denoisers) == ["decoder"]
