"""The example plugin's accelerators do what its pages say, alone and in a stack."""

from __future__ import annotations

import copy
import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from accelerate import cpu_offload
from diffusers import WanPipeline, WanTransformer3DModel
from sraccel_example import Bf16Linear, SkipSchedule
from sraccel_example.bf16_linear import plain_layers
from tiny_models import tiny_transformer
from torch import nn

import sraccel
from sraccel.demo.pair import DEMO_WEIGHTS
from sraccel.loop.denoiser import Denoiser, recognise
from sraccel.recipe.catalogue import installed
from sraccel.testing import load_demo_pipeline

Generate = Callable[..., torch.Tensor]
BF16 = [{"use": "bf16-linear"}]
FOUR = [
    {"use": "srdiffusion", "render": "demo", "switch_step": 4},
    {"use": "teacache", "threshold": 0.3},
    {"use": "sageattention", "kernel": "emulated"},
    *BF16,
]
PROMPT = "a red circle moving left"

has_demo = pytest.mark.skipif(
    not (DEMO_WEIGHTS / "teacache.json").is_file(),
    reason="the demo pair's weights, or the coefficients fitted for them, are not here",
)


def denoiser_of(module: Any) -> Denoiser:
    return recognise("transformer", module, installed().adapters)


def forwards(module: nn.Module) -> list[bool]:
    """Of each part, whether its forward is another one than its class's."""
    return ["forward" in vars(part) for part in module.modules()]


def test_the_plugin_brings_both_and_imports_no_torch() -> None:
    (plugin,) = [item for item in installed().plugins if item.name == "example"]
    assert plugin.accelerators == ("skip-schedule", "bf16-linear")
    code = "import sys, sraccel_example; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_skip_schedule_computes_every_nth_step(pipe: WanPipeline, generate: Generate) -> None:
    with sraccel.compose(pipe, [SkipSchedule.Options(every=3, warm_up=2)]) as stack:
        generate(pipe, steps=9)
    reused = [all(call.reused for call in step.calls) for step in stack.report.steps]
    assert reused == [False, False, True, False, True, True, False, True, True]


def test_bf16_linear_computes_the_blocks_linear_layers_in_bfloat16() -> None:
    module = tiny_transformer(layers=2)
    layers = list(plain_layers(denoiser_of(module)))
    assert len(layers) == sum(isinstance(part, nn.Linear) for part in module.blocks.modules())
    layer, given = layers[0], torch.randn(3, layers[0].in_features)
    exact = layer(given)
    with Bf16Linear(Bf16Linear.Options()).prepare_denoiser(denoiser_of(module)):
        rounded = layer(given)
        assert layer.weight.dtype == torch.float32  # diffusers asks for it
        assert not any(forwards(module.condition_embedder))
    assert rounded.dtype == exact.dtype
    expected = nn.functional.linear(
        given.bfloat16(), layer.weight.bfloat16(), layer.bias.bfloat16()
    )
    assert torch.equal(rounded, expected.float())
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, rtol=0.02, atol=0.02)


def test_bf16_linear_leaves_the_pipeline_as_it_was(pipe: WanPipeline, generate: Generate) -> None:
    bare = generate(pipe)
    parameters = list(pipe.transformer.parameters())
    with sraccel.compose(pipe, BF16) as stack:
        accelerated = generate(pipe)
    assert not torch.equal(accelerated, bare)
    torch.testing.assert_close(accelerated, bare, rtol=0.1, atol=0.1)
    assert not any(forwards(pipe.transformer))

    def fail(*_: Any) -> Any:
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"), stack:
        generate(pipe, callback_on_step_end=fail)
    assert not any(forwards(pipe.transformer))
    assert all(a is b for a, b in zip(pipe.transformer.parameters(), parameters, strict=True))
    assert torch.equal(generate(pipe), bare)
    assert stack.reports[0].accelerators[0].notes["layers"]["transformer"] > 0
    assert stack.reports[0].warnings == []


def test_a_copy_or_a_file_of_a_model_with_bf16_linear_is_plain(pipe: WanPipeline) -> None:
    with sraccel.compose(pipe, BF16):
        copied, kept = copy.deepcopy(pipe.transformer), io.BytesIO()
        torch.save(pipe.transformer, kept)
    kept.seek(0)
    loaded = torch.load(kept, weights_only=False)
    block, given = pipe.transformer.blocks[0].attn1, torch.ones(1, 2, 32)
    for other in (copied, loaded):
        assert torch.equal(other.blocks[0].attn1.to_q(given), block.to_q(given))


def test_bf16_linear_says_so_where_there_is_nothing_to_do(
    pipe: WanPipeline, generate: Generate
) -> None:
    pipe.transformer.to(torch.bfloat16)
    bare = generate(pipe)
    with sraccel.compose(pipe, BF16) as stack:
        assert torch.equal(generate(pipe), bare)
    (warning,) = stack.report.warnings
    assert "bf16-linear does nothing for the denoiser 'transformer'" in warning


class Quantised(nn.Linear):
    """As quantising libraries replace a layer."""


@pytest.mark.parametrize("kind", ["subclass", "float16", "tensor subclass", "meta, offloaded"])
def test_bf16_linear_leaves_other_layers_alone(kind: str) -> None:
    module: Any = tiny_transformer(layers=1)
    attention = module.blocks[0].attn1
    every = len(list(plain_layers(denoiser_of(module))))
    if kind == "subclass":
        attention.to_q = Quantised(8, 8)
    elif kind == "float16":
        attention.to_q.half()
    elif kind == "tensor subclass":

        class Packed(nn.Parameter):
            pass

        attention.to_q.weight = Packed(attention.to_q.weight.data)
    else:
        cpu_offload(module, torch.device("cpu"))
        every = 1
    assert len(list(plain_layers(denoiser_of(module)))) == every - 1


def test_bf16_linear_composes_without_weights() -> None:
    with torch.device("meta"):
        module = WanTransformer3DModel.from_config(tiny_transformer().config)
    stack = sraccel.compose(module, BF16)
    with stack:
        assert any(forwards(module))
    assert not any(forwards(module))


@pytest.mark.parametrize("residency", ["both", "swap", "prefetch"])
def test_bf16_linear_goes_with_a_render_model_that_moves(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate, residency: str
) -> None:
    bare = generate(pipe)
    switch = {"use": "srdiffusion", "render": render, "switch_step": 4, "residency": residency}
    with sraccel.compose(pipe, [switch, *BF16]) as stack:
        generate(pipe)
    assert stack.report.accelerators[1].notes["layers"].keys() == {"transformer", "render"}
    assert not any(forwards(render))
    assert torch.equal(generate(pipe), bare)


def test_bf16_linear_serves_a_model_with_a_lora(pipe: WanPipeline, generate: Generate) -> None:
    from peft import LoraConfig

    torch.manual_seed(3)
    config = LoraConfig(r=4, target_modules=["to_q"], init_lora_weights=False)
    pipe.transformer.add_adapter(config)
    bare = generate(pipe)
    with sraccel.compose(pipe, BF16):
        torch.testing.assert_close(generate(pipe), bare, rtol=0.1, atol=0.1)
    assert torch.equal(generate(pipe), bare)


def test_bf16_linear_serves_compiled_blocks(pipe: WanPipeline, generate: Generate) -> None:
    with sraccel.compose(pipe, BF16):
        expected = generate(pipe)
    bare = generate(pipe)
    pipe.transformer.compile_repeated_blocks(backend="eager")
    with sraccel.compose(pipe, BF16):
        assert torch.equal(generate(pipe), expected)
    assert torch.equal(generate(pipe), bare)


@has_demo
def test_four_accelerators_run_together_and_leave_the_demo_pipeline_as_it_was() -> None:
    pipe = load_demo_pipeline()

    def generate() -> torch.Tensor:
        seeded = torch.Generator().manual_seed(0)
        done = pipe(PROMPT, num_inference_steps=8, generator=seeded, output_type="latent")
        return done.frames

    bare = generate()
    with sraccel.compose(pipe, FOUR) as stack:
        accelerated = generate()
    report = stack.report
    assert report.switch_step == 4
    assert accelerated.isfinite().all()
    assert not torch.equal(accelerated, bare)
    assert all(report.accelerators[-1].notes["layers"][role] for role in ("transformer", "render"))
    assert torch.equal(generate(), bare)
