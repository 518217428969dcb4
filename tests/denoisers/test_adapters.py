"""Each family's adapter against its real model: where the residual ends, what is decided by."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from residual_rules import OfficialArithmetic, ReuseFromStep1, SeesModulatedInput, blocks_of
from tiny import (
    ALLEGRO,
    BLOCK_STACKS,
    COGVIDEOX_DDIM,
    COGVIDEOX_IMAGE_TO_VIDEO,
    COSMOS,
    COSMOS2,
    FLUX,
    FLUX2,
    FLUX2_KLEIN,
    FLUX_CONTROLNET,
    HIDREAM,
    HUNYUAN_VIDEO,
    KANDINSKY5,
    LTX,
    LTX2,
    LUMINA2,
    MOCHI,
    PAIRS,
    QWEN_IMAGE,
    QWEN_IMAGE_CONTROLNET,
    SANA_VIDEO,
    SD3,
    SDXL,
    WAN,
    WAN_5B_IMAGE_TO_VIDEO,
    WAN_ANIMATE_FACE_AT_THE_END,
    WAN_VACE,
    Z_IMAGE,
    TinyFamily,
)
from tiny.cogvideox import cogvideox_transformer
from tiny.family import Watch, argument_of
from torch import nn
from two_models import switching, with_models_swapped

import sraccel
from sraccel.plugin import Accelerator, Call, ConflictError, ModelError, hookimpl
from sraccel.recipe.catalogue import installed

CONTROLNETS = [FLUX_CONTROLNET, QWEN_IMAGE_CONTROLNET]
each_transformer = pytest.mark.parametrize("tiny", BLOCK_STACKS, ids=str)
each_pair = pytest.mark.parametrize(  # what a ControlNet adds is refused for another model
    "tiny",
    [*(tiny for tiny in BLOCK_STACKS if tiny not in CONTROLNETS), WAN_ANIMATE_FACE_AT_THE_END],
    ids=str,
)
FEW = 4
"""Steps that show every case: computed and reused ones, by both of Wan 2.2's experts."""


@each_transformer
def test_a_reused_call_runs_no_block(tiny: TinyFamily):
    pipe = tiny.pipeline()
    ran: list[nn.Module] = []
    blocks = [block for model in tiny.denoisers(pipe) for block in blocks_of(tiny).of(model)]
    for block in blocks:
        block.register_forward_pre_hook(lambda block, _: ran.append(block))
    with sraccel.compose(pipe, [ReuseFromStep1.Options()]):
        tiny.generate(pipe, FEW)
    assert [ran.count(block) for block in blocks] == [tiny.calls_per_step] * len(blocks)


@each_pair
def test_the_render_model_reuses_residuals_of_its_own(tiny: TinyFamily):
    reference, render = tiny.pipeline(), tiny.render()
    for model in (*tiny.denoisers(reference), render):
        OfficialArithmetic(model, tiny, tiny.calls_per_step)
    expected = with_models_swapped(tiny, render, FEW // 2, pipe=reference, steps=FEW)
    pipe = tiny.pipeline()
    recipe = [*switching(tiny.render(), FEW // 2), ReuseFromStep1.Options()]
    with sraccel.compose(pipe, recipe):
        assert torch.equal(tiny.generate(pipe, FEW), expected)


@pytest.mark.parametrize("tiny", [ALLEGRO, FLUX2_KLEIN, Z_IMAGE], ids=str)
def test_after_a_broken_run_the_next_one_is_as_the_first(tiny: TinyFamily):
    pipe = tiny.pipeline()
    bare = tiny.generate(pipe, FEW)

    def interrupted(pipe: Any, index: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        if index == FEW // 2:
            raise KeyboardInterrupt
        return {}

    with sraccel.compose(pipe, [*switching(tiny.render(), 1), ReuseFromStep1.Options()]):
        first = tiny.generate(pipe, FEW)
        with pytest.raises(KeyboardInterrupt):
            tiny.generate(pipe, FEW, callback_on_step_end=interrupted)
        assert torch.equal(tiny.generate(pipe, FEW), first)
    assert not torch.equal(first, bare)
    assert torch.equal(tiny.generate(pipe, FEW), bare)


def recorded_calls(tiny: TinyFamily, model: nn.Module, pipe: Any, seed: int) -> list[Any]:
    """What a pipeline passes to its denoiser, step by step, without guidance."""
    calls: list[Any] = []
    handle = model.register_forward_pre_hook(
        lambda _, args, kwargs: calls.append((args, dict(kwargs))), with_kwargs=True
    )
    tiny.generate(pipe, FEW, guidance=1.0, seed=seed)
    handle.remove()
    return calls[:3]


@each_transformer
def test_guidance_in_two_calls_keeps_the_branches_apart(tiny: TinyFamily):
    """In a loop of one's own, for families whose pipelines make one batch of both."""
    pipe = tiny.pipeline()
    model, *_ = tiny.denoisers(pipe)
    inputs = [recorded_calls(tiny, model, pipe, seed) for seed in (1, 2)]
    reference, *_ = tiny.denoisers(tiny.pipeline())
    OfficialArithmetic(reference, tiny, branches=2)
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


@each_transformer
def test_the_modulated_input_is_what_the_first_block_computes(tiny: TinyFamily):
    reference = tiny.pipeline()
    expected: list[torch.Tensor] = []
    for model in tiny.denoisers(reference):
        blocks_of(tiny).modulated(model, expected)
    tiny.generate(reference, FEW)
    pipe = tiny.pipeline()
    with sraccel.compose(pipe, [SeesModulatedInput.Options()]) as stack:
        tiny.generate(pipe, FEW)
        (accelerator,) = stack.accelerators
    assert isinstance(accelerator, SeesModulatedInput)
    assert len(expected) == FEW * tiny.calls_per_step
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


@pytest.mark.parametrize("tiny", [*BLOCK_STACKS, SDXL], ids=str)
def test_one_adapter_recognises_a_model_and_its_subclasses(tiny: TinyFamily):
    model = tiny.render()
    assert adapter_of(model).family == tiny.family
    model.__class__ = type("Derived", (type(model),), {})
    assert adapter_of(model).family == tiny.family
    assert not any(adapter.recognises(nn.Linear(1, 1)) for adapter in installed().adapters)


@pytest.mark.parametrize(
    ("tiny", "config"),
    [
        (SDXL, {"addition_embed_type": None, "projection_class_embeddings_input_dim": None}),
        (COSMOS2, {"use_crossattn_projection": True, "crossattn_proj_in_channels": 16}),
    ],
    ids=["Stable Diffusion 1", "Cosmos Predict2.5"],
)
def test_a_model_of_the_same_class_is_not_taken_for_a_family_it_is_not_of(
    tiny: TinyFamily, config: dict[str, Any]
):
    model = tiny.render(**config)
    assert sraccel.compose(model, []).denoisers["denoiser"].family == type(model).__name__


@pytest.mark.parametrize("tiny", [tiny for tiny in BLOCK_STACKS if tiny is not LTX2], ids=str)
def test_blocks_may_be_called_by_position_or_by_name(tiny: TinyFamily):
    adapter, blocks = adapter_of(tiny.render()), blocks_of(tiny)
    names = blocks.parameters
    given = {name: torch.full((1,), float(value)) for value, name in enumerate(names)}
    streams = {"h": given[names[0]], "e": given.get("encoder_hidden_states")}
    for positional in range(len(names) + 1):
        args = tuple(given[name] for name in names[:positional])
        kwargs = {name: given[name] for name in names[positional:]}
        assert adapter.block_input(args, kwargs) is streams["h"]
        output = adapter.unchanged(args, kwargs)
        parts = output if isinstance(output, tuple) else (output,)
        assert [id(part) for part in parts] == [id(streams[part]) for part in blocks.returns]
        assert adapter.carried(output) is streams["h"]

        replaced = torch.full((1,), 5.0)
        changed = adapter.with_carried(output, replaced)
        assert adapter.carried(changed) is replaced
        if isinstance(output, tuple):
            assert changed[blocks.returns.index("e")] is streams["e"]


def test_what_was_made_for_one_sd3_model_is_refused_for_another():
    render = SD3.render()
    adapter = adapter_of(render)
    plain = {"hidden_states": torch.ones(1), "skip_layers": None}
    assert adapter.sibling_arguments(render, plain) == plain
    for made in ({"skip_layers": [1]}, {"block_controlnet_hidden_states": [torch.ones(1)]}):
        with pytest.raises(ModelError, match=next(iter(made))):
            adapter.sibling_arguments(render, made)


MISFITS = {
    WAN: ("text_dim",),
    COGVIDEOX_DDIM: ("text_embed_dim",),
    SD3: ("pooled_projection_dim",),
    LTX: ("caption_channels", "patch_size", "patch_size_t"),  # it packs its latents by patches
    SDXL: ("projection_class_embeddings_input_dim",),
    WAN_VACE: ("text_dim", "vace_in_channels"),
    HUNYUAN_VIDEO: ("text_embed_dim", "pooled_projection_dim", "in_channels"),
    FLUX: ("joint_attention_dim", "pooled_projection_dim", "in_channels"),
    MOCHI: ("text_embed_dim", "in_channels"),
    LUMINA2: ("cap_feat_dim", "in_channels", "out_channels"),
    COSMOS: ("text_embed_dim", "in_channels", "out_channels"),
    HIDREAM: ("text_emb_dim", "in_channels", "out_channels"),
    QWEN_IMAGE: ("joint_attention_dim", "in_channels", "out_channels"),
    KANDINSKY5: ("in_text_dim", "in_text_dim2", "in_visual_dim", "out_visual_dim"),
    LTX2: ("caption_channels", "in_channels", "audio_in_channels", "audio_out_channels"),
    SANA_VIDEO: ("caption_channels", "in_channels", "out_channels"),
    ALLEGRO: ("caption_channels", "in_channels", "out_channels", "attention_head_dim"),
    FLUX2: ("joint_attention_dim", "in_channels"),
    Z_IMAGE: ("cap_feat_dim", "in_channels"),
}


@pytest.mark.parametrize("tiny", [*PAIRS, *MISFITS], ids=str)
def test_a_render_model_with_another_interface_is_refused(tiny: TinyFamily):
    keys = next(keys for other, keys in MISFITS.items() if other.family == tiny.family)
    for key in keys:
        with pytest.raises(ModelError, match=rf"{key}: \d+ \({tiny.attributes[0]}\), 8 \(render\)"):
            sraccel.compose(tiny.pipeline(), switching(tiny.render(**{key: 8})))


@pytest.mark.parametrize(("own", "other"), [(COSMOS, COSMOS2), (COSMOS2, COSMOS)], ids=str)
def test_a_model_of_one_generation_cannot_stand_in_for_another(own: TinyFamily, other: TinyFamily):
    with pytest.raises(ModelError, match=rf"family: '{own.family}'.*'{other.family}'"):
        sraccel.compose(own.pipeline(), switching(other.render()))


@pytest.mark.parametrize("tiny", [FLUX, FLUX2, HUNYUAN_VIDEO], ids=str)
def test_a_model_that_needs_the_guidance_scale_cannot_follow_one_that_does_not(tiny: TinyFamily):
    without, needing = tiny.pipeline(guidance_embeds=False), tiny.render(guidance_embeds=True)
    with pytest.raises(ModelError, match="needs the guidance scale"):
        sraccel.compose(without, switching(needing))


def test_a_flux_model_without_guidance_scale_follows_one_with_it():
    pipe, schnell = FLUX.pipeline(), FLUX.render(guidance_embeds=False)
    dev = FLUX.render()
    given = {"guidance": torch.ones(1), "timestep": torch.ones(1)}
    assert adapter_of(schnell).sibling_arguments(schnell, given).keys() == {"timestep"}
    assert adapter_of(dev).sibling_arguments(dev, given) == given
    with sraccel.compose(pipe, switching(schnell, 1)):
        assert FLUX.generate(pipe, FEW).isfinite().all()


@pytest.mark.parametrize("tiny", CONTROLNETS, ids=str)
def test_a_second_model_beside_a_controlnet_is_refused_when_composing(tiny: TinyFamily):
    pipe = tiny.pipeline()
    without = tiny.generate(pipe, FEW, controlnet_conditioning_scale=0.0)
    assert not torch.equal(tiny.generate(pipe, FEW), without)
    with pytest.raises(ModelError, match=r"`controlnet_block_samples`.*Leave the second model out"):
        sraccel.compose(pipe, switching(tiny.render(), 1))


@pytest.mark.parametrize(("tiny", "adapter"), [(FLUX, "encoder_hid_proj"), (SD3, "image_proj")])
def test_an_image_prompt_needs_an_ip_adapter_on_the_model_that_is_called(
    tiny: TinyFamily, adapter: str
):
    render = tiny.render()
    image = {"joint_attention_kwargs": {"ip_adapter_image_embeds": torch.ones(1)}}
    with pytest.raises(ModelError, match="IP-Adapter"):
        adapter_of(render).sibling_arguments(render, image)
    setattr(render, adapter, nn.Identity())
    assert adapter_of(render).sibling_arguments(render, image) == image


def test_a_wan_vace_model_with_more_hints_takes_the_one_scale_of_all_hints():
    pipe, render = WAN_VACE.pipeline(), WAN_VACE.render(layers=4, vace_layers=(0, 1, 2))
    with sraccel.compose(pipe, switching(render, 1)):
        one = WAN_VACE.generate(pipe, FEW, conditioning_scale=0.5)
        assert torch.equal(WAN_VACE.generate(pipe, FEW, conditioning_scale=[0.5, 0.5]), one)
        with pytest.raises(ModelError, match=r"scales 2 hints differently.* makes 3"):
            WAN_VACE.generate(pipe, FEW, conditioning_scale=[0.5, 1.0])
    adapter = adapter_of(render)
    scales = {"control_hidden_states_scale": torch.tensor([0.5, 0.5])}
    taken = adapter.sibling_arguments(render, scales)["control_hidden_states_scale"]
    assert taken.tolist() == [0.5] * 3


class SeesTimeProjection(Accelerator):
    """Asks for what Wan's retention variant decides by, and lets the blocks run."""

    name = "sees-time-projection"
    seen: list[torch.Tensor]

    @hookimpl
    def skip_blocks(self, call: Call) -> None:
        self.seen = [*getattr(self, "seen", []), call.modulated_input("time_projection")]


@pytest.mark.parametrize(
    ("tiny", "watch"),
    [
        (WAN, argument_of("blocks.0", 2)),
        (WAN_5B_IMAGE_TO_VIDEO, argument_of("blocks.0", 2)),
        (WAN_VACE, argument_of("vace_blocks.0", 3)),
    ],
    ids=["wan-t2v", "wan-2.2-ti2v-5b-i2v", "wan-vace"],
)
def test_wans_retention_variant_is_decided_by_what_the_first_block_gets(
    tiny: TinyFamily, watch: Watch
):
    pipe = tiny.pipeline()
    expected: list[torch.Tensor] = []
    watch(pipe.transformer, expected)
    with sraccel.compose(pipe, [SeesTimeProjection.Options()]) as stack:
        tiny.generate(pipe, FEW)
        (accelerator,) = stack.accelerators
    assert isinstance(accelerator, SeesTimeProjection)
    assert len(expected) == FEW * tiny.calls_per_step
    assert all(seen is given for seen, given in zip(accelerator.seen, expected, strict=True))


@pytest.mark.parametrize("tiny", [KANDINSKY5, LTX2, SANA_VIDEO], ids=str)
def test_a_run_after_a_failed_one_is_as_the_first(tiny: TinyFamily):
    pipe = tiny.pipeline()
    model, *_ = tiny.denoisers(pipe)
    left: list[int] = []

    def fail(module: nn.Module, args: Any) -> None:
        if left and not left.pop():
            raise RuntimeError("out of memory")

    bare = tiny.generate(pipe, FEW)
    model.register_forward_pre_hook(fail)
    with sraccel.compose(pipe, [*switching(tiny.render(), 2), ReuseFromStep1.Options()]):
        first = tiny.generate(pipe, FEW)
        left[:] = range(tiny.calls_per_step + 1)  # in the second step
        with pytest.raises(RuntimeError, match="out of memory"):
            tiny.generate(pipe, FEW)
        assert torch.equal(tiny.generate(pipe, FEW), first)
    assert torch.equal(tiny.generate(pipe, FEW), bare)


def test_a_controlnets_residuals_must_be_as_many_as_the_unet_takes():
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
