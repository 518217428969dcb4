"""Each family's adapter against its real model: where the residual ends, what is decided by."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_families import ReuseFromStep1
from tiny import (
    BLOCK_STACKS,
    COGVIDEOX_DDIM,
    COGVIDEOX_IMAGE_TO_VIDEO,
    HALF,
    LTX,
    PAIRS,
    SD3,
    SDXL,
    STEPS,
    TinyFamily,
)
from tiny.cogvideox import cogvideox_transformer
from torch import nn

import sraccel
from sraccel.catalogue import installed
from sraccel.plugin import Accelerator, Call, ConflictError, ModelError, hookimpl

each_transformer = pytest.mark.parametrize("tiny", BLOCK_STACKS, ids=str)
STREAM = {"wan": None, "cogvideox": 0, "sd3": 1}
"""Which of a block's outputs holds the video, per family; None: its only output."""


def blocks_of(model: Any) -> list[Any]:
    return list(model.blocks if hasattr(model, "blocks") else model.transformer_blocks)


class OfficialArithmetic:
    """Reuses each branch's first residual, by torch's own hooks and without sraccel.

    The residual ends where the official code of TeaCache lets it end: at the last block, for LTX
    at the output head. Nothing is skipped here: all blocks run, and their result is replaced.
    """

    def __init__(self, model: Any, family: str, branches: int) -> None:
        self.branches, self.family = branches, family
        self.residuals: dict[int, torch.Tensor] = {}
        self.calls = 0
        blocks = blocks_of(model)
        blocks[0].register_forward_pre_hook(self._begin, with_kwargs=True)
        if family == "ltx":
            model.proj_out.register_forward_pre_hook(lambda _, args: (self._end(args[0]),))
        else:
            blocks[-1].register_forward_hook(self._end_of_blocks)

    def _begin(self, block: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        self.start = args[0] if args else kwargs["hidden_states"]
        self.branch, self.calls = self.calls % self.branches, self.calls + 1

    def _end_of_blocks(self, block: nn.Module, args: Any, output: Any) -> Any:
        stream = STREAM[self.family]
        if stream is None:
            return self._end(output)
        parts = list(output)
        parts[stream] = self._end(parts[stream])
        return tuple(parts)

    def _end(self, computed: torch.Tensor) -> torch.Tensor:
        if self.branch in self.residuals:
            return self.start + self.residuals[self.branch]
        self.residuals[self.branch] = computed - self.start
        return computed


@each_transformer
@pytest.mark.parametrize("guidance", [1.0, 4.0], ids=["unguided", "guided"])
def test_a_reused_residual_is_what_the_official_code_adds(tiny: TinyFamily, guidance: float):
    branches = tiny.calls_per_step if guidance > 1 else 1
    reference = tiny.pipeline()
    for model in tiny.denoisers(reference):
        OfficialArithmetic(model, tiny.family, branches)
    expected = tiny.generate(reference, guidance=guidance)
    pipe = tiny.pipeline()
    with sraccel.compose(pipe, [ReuseFromStep1.Options()]) as stack:
        assert torch.equal(tiny.generate(pipe, guidance=guidance), expected)
    roles = [None, *(step.denoiser for step in stack.report.steps)]
    for step, previous in zip(stack.report.steps, roles, strict=False):
        assert [call.reused for call in step.calls] == [step.denoiser == previous] * branches
    assert not torch.equal(tiny.generate(pipe, guidance=guidance), expected)


@each_transformer
def test_the_render_model_reuses_residuals_of_its_own(tiny: TinyFamily):
    def swap(pipe: Any, index: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        if index + 1 == HALF:
            for attribute in tiny.attributes:
                setattr(pipe, attribute, reference_render)
        return {}

    reference, reference_render = tiny.pipeline(), tiny.render()
    for model in (*tiny.denoisers(reference), reference_render):
        OfficialArithmetic(model, tiny.family, tiny.calls_per_step)
    expected = tiny.generate(reference, callback_on_step_end=swap)
    pipe = tiny.pipeline()
    switch = {"use": "srdiffusion", "render": tiny.render(), "switch_step": HALF}
    with sraccel.compose(pipe, [switch, ReuseFromStep1.Options()]):
        assert torch.equal(tiny.generate(pipe), expected)


def recorded_calls(tiny: TinyFamily, model: nn.Module, pipe: Any, seed: int) -> list[Any]:
    """What a pipeline passes to its denoiser, step by step, without guidance."""
    calls: list[Any] = []
    handle = model.register_forward_pre_hook(
        lambda _, args, kwargs: calls.append((args, dict(kwargs))), with_kwargs=True
    )
    tiny.generate(pipe, guidance=1.0, seed=seed)
    handle.remove()
    return calls[:3]


@each_transformer
def test_guidance_in_two_calls_keeps_the_branches_apart(tiny: TinyFamily):
    """In a loop of one's own, for families whose pipelines make one batch of both."""
    pipe = tiny.pipeline()
    model, *_ = tiny.denoisers(pipe)
    inputs = [recorded_calls(tiny, model, pipe, seed) for seed in (1, 2)]
    reference, *_ = tiny.denoisers(tiny.pipeline())
    OfficialArithmetic(reference, tiny.family, branches=2)
    steps = list(zip(*inputs, strict=True))
    expected = [[reference(*args, **kwargs)[0] for args, kwargs in step] for step in steps]
    outputs = []
    with (
        sraccel.compose(model, [ReuseFromStep1.Options()]) as stack,
        stack.run(num_inference_steps=len(steps)) as run,
    ):
        for index, both in enumerate(steps):
            with run.step(index) as step:
                outputs.append([])
                for branch, (args, kwargs) in zip(("cond", "uncond"), both, strict=True):
                    with step.branch(branch):
                        outputs[-1].append(model(*args, **kwargs)[0])
    torch.testing.assert_close(outputs, expected, rtol=0, atol=0)
    reused = [call.reused for step in stack.report.steps for call in step.calls]
    assert reused == [False] * 2 + [True] * 2 * (len(steps) - 1)
    assert len(steps) > 1


class SeesModulatedInput(Accelerator):
    """Asks for the family's modulated inputs, and lets the blocks run."""

    name = "sees-modulated-input"
    seen: list[torch.Tensor]

    @hookimpl
    def reuse_residual(self, call: Call) -> torch.Tensor | None:
        adapter = call.denoiser.adapter
        self.seen = getattr(self, "seen", [])
        self.seen.append(call.modulated_input())
        assert torch.equal(self.seen[-1], call.modulated_input(adapter.modulated_inputs[0]))
        return None


def modulated_by_the_model(model: Any, family: str, seen: list[torch.Tensor]) -> None:
    """Collect, by torch's own hooks, what the first block really computes."""
    block = blocks_of(model)[0]
    if family == "sd3":
        block.norm1.register_forward_hook(lambda _, args, output: seen.append(output[0]))
    elif family == "ltx":
        block.attn1.register_forward_pre_hook(
            lambda _, args, kwargs: seen.append(kwargs["hidden_states"]), with_kwargs=True
        )
    elif family == "cogvideox":
        block.norm1.register_forward_pre_hook(lambda _, args: seen.append(args[2]))
    else:
        embedder = model.condition_embedder.time_embedder
        embedder.register_forward_hook(lambda _, args, output: seen.append(output))


@each_transformer
def test_the_modulated_input_is_what_the_first_block_computes(tiny: TinyFamily):
    reference = tiny.pipeline()
    expected: list[torch.Tensor] = []
    for model in tiny.denoisers(reference):
        modulated_by_the_model(model, tiny.family, expected)
    tiny.generate(reference)
    pipe = tiny.pipeline()
    with sraccel.compose(pipe, [SeesModulatedInput.Options()]) as stack:
        tiny.generate(pipe)
        (accelerator,) = stack.accelerators
    assert isinstance(accelerator, SeesModulatedInput)
    assert len(expected) == STEPS * tiny.calls_per_step
    torch.testing.assert_close(accelerator.seen, expected, rtol=0, atol=0)
    assert not torch.equal(expected[0], expected[-1])


def test_a_unet_has_no_modulated_input():
    (adapter,) = (adapter for adapter in installed().adapters if adapter.family == "sdxl")
    call: Any = None
    with pytest.raises(ConflictError, match="no block stack"):
        adapter.modulated_input(call, adapter.modulated_inputs[0])


def test_the_frame_offset_of_cogvideox_1_5_is_part_of_the_modulated_input():
    tiny = COGVIDEOX_IMAGE_TO_VIDEO
    pipe = tiny.pipeline()
    embeddings = (pipe.transformer.time_embedding, pipe.transformer.ofs_embedding)
    parts: list[torch.Tensor] = []
    for embedding in embeddings:
        embedding.register_forward_hook(lambda _, args, output: parts.append(output))
    with sraccel.compose(pipe, [SeesModulatedInput.Options()]) as stack:
        tiny.generate(pipe, steps=1)
        (accelerator,) = stack.accelerators
    assert isinstance(accelerator, SeesModulatedInput)
    assert torch.equal(accelerator.seen[0], parts[0] + parts[1])


def adapter_of(model: nn.Module) -> Any:
    (adapter,) = (adapter for adapter in installed().adapters if adapter.recognises(model))
    return adapter


@pytest.mark.parametrize("tiny", PAIRS, ids=str)
def test_one_adapter_recognises_a_model_and_its_subclasses(tiny: TinyFamily):
    model = tiny.render()
    assert adapter_of(model).family == tiny.family
    model.__class__ = type("Derived", (type(model),), {})
    assert adapter_of(model).family == tiny.family
    assert not any(adapter.recognises(nn.Linear(1, 1)) for adapter in installed().adapters)


def test_a_unet_of_stable_diffusion_1_is_not_taken_for_sdxl():
    unet = SDXL.render(addition_embed_type=None, projection_class_embeddings_input_dim=None)
    assert not any(adapter.recognises(unet) for adapter in installed().adapters)


PARAMETERS = ("hidden_states", "encoder_hidden_states", "temb")
OUTPUT = {"wan": "h", "ltx": "h", "cogvideox": "he", "sd3": "eh"}


@each_transformer
@settings(suppress_health_check=list(HealthCheck), max_examples=10)
@given(positional=st.integers(0, 3))
def test_blocks_may_be_called_by_position_or_by_name(tiny: TinyFamily, positional: int):
    adapter = adapter_of(tiny.render())
    given = dict(zip(PARAMETERS, (torch.ones(1), torch.zeros(1), torch.ones(2)), strict=True))
    args = tuple(given[name] for name in PARAMETERS[:positional])
    kwargs = {name: given[name] for name in PARAMETERS[positional:]}
    streams = {"h": given["hidden_states"], "e": given["encoder_hidden_states"]}
    assert adapter.block_input(args, kwargs) is streams["h"]

    output = adapter.unchanged(args, kwargs)
    parts = output if isinstance(output, tuple) else (output,)
    wanted = [streams[part] for part in OUTPUT[tiny.family]]
    assert [id(part) for part in parts] == [id(part) for part in wanted]
    assert adapter.carried(output) is streams["h"]

    replaced = torch.full((1,), 5.0)
    changed = adapter.with_carried(output, replaced)
    assert adapter.carried(changed) is replaced
    if isinstance(output, tuple):
        kept = OUTPUT[tiny.family].index("e")
        assert changed[kept] is streams["e"]


def test_what_was_made_for_one_sd3_model_is_refused_for_another():
    render = SD3.render()
    adapter = adapter_of(render)
    plain = {"hidden_states": torch.ones(1), "skip_layers": None}
    assert adapter.sibling_arguments(render, plain) == plain
    with pytest.raises(ModelError, match="block_controlnet_hidden_states"):
        adapter.sibling_arguments(render, {"block_controlnet_hidden_states": [torch.ones(1)]})
    image = {"joint_attention_kwargs": {"ip_adapter_image_embeds": torch.ones(1)}}
    with pytest.raises(ModelError, match="IP-Adapter"):
        adapter.sibling_arguments(render, image)
    render.image_proj = nn.Identity()
    assert adapter.sibling_arguments(render, image) == image


def test_a_controlnets_residuals_must_be_as_many_as_the_answering_unet_takes():
    render = SDXL.render()
    adapter = adapter_of(render)
    shapes = [(8, 8), (8, 8), (8, 4), (16, 4)]  # channels and size: first convolution, then blocks
    residuals = tuple(torch.ones(1, channels, size, size) for channels, size in shapes)
    arguments = {
        "sample": torch.ones(1, 4, 8, 8),
        "timestep": 1,
        "encoder_hidden_states": torch.ones(1, 2, 16),
        "added_cond_kwargs": {"text_embeds": torch.ones(1, 12), "time_ids": torch.ones(1, 6)},
        "down_block_additional_residuals": residuals,
        "mid_block_additional_residual": torch.ones(1, 16, 4, 4),
    }
    assert adapter.sibling_arguments(render, arguments) == arguments
    assert render(**arguments)[0].isfinite().all()
    with pytest.raises(ModelError, match=r"makes 3 residuals, .* takes 4"):
        adapter.sibling_arguments(
            render, {**arguments, "down_block_additional_residuals": residuals[:-1]}
        )


def test_the_cogvideox_adapter_leaves_out_what_a_model_does_not_take():
    adapter = adapter_of(COGVIDEOX_DDIM.render())
    (args, kwargs), *_ = recorded_calls(
        COGVIDEOX_DDIM, (pipe := COGVIDEOX_DDIM.pipeline()).transformer, pipe, 0
    )
    assert not args
    given = {**kwargs, "ofs": torch.full((1,), 2.0)}
    for_5b = adapter.sibling_arguments(cogvideox_transformer("5b"), given)
    assert for_5b.keys() == given.keys() - {"ofs"}
    for_2b = adapter.sibling_arguments(cogvideox_transformer("2b"), given)
    assert for_2b.keys() == given.keys() - {"ofs", "image_rotary_emb"}
    for_1_5 = adapter.sibling_arguments(cogvideox_transformer("5b", ofs_embed_dim=8), given)
    assert for_1_5.keys() == given.keys()
    assert given.keys() == {*kwargs, "ofs"}


def test_ltx_packs_its_latents_by_patches_so_these_belong_to_the_interface():
    for key in ("patch_size", "patch_size_t"):
        switch = {"use": "srdiffusion", "render": LTX.render(**{key: 2})}
        with pytest.raises(ModelError, match=rf"{key}: 1 \(sketch\), 2 \(render\)"):
            sraccel.compose(LTX.pipeline(), [switch])
