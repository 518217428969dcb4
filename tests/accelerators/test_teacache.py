"""TeaCache beside other accelerators, in short runs and after failures; what it keeps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from tiny import SD3, WAN, TinyFamily
from tiny_models import IDENTITY, call_arguments, tiny_pipeline, tiny_transformer
from torch import nn

import sraccel
from sraccel.report.words import size

Generate = Callable[..., torch.Tensor]


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_very_short_runs_work(pipe: WanPipeline, generate: Generate, steps: int) -> None:
    bare = generate(pipe, steps=steps)
    recipe = [{"use": "teacache", "threshold": 9.0, "coefficients": IDENTITY}]
    with sraccel.compose(pipe, recipe) as stack:
        ours = generate(pipe, steps=steps)
    assert torch.equal(ours, bare) == (steps < 3)
    assert any("leave little to skip" in warning for warning in stack.report.warnings)


NEVER = [0.0, 0.0, 0.0, 0.0, 100.0]
"""Coefficients with which no step is skipped."""


@pytest.mark.parametrize(
    ("start", "of_render", "expected"),
    [
        ("always", NEVER, [False] + [True] * 4 + [False] * 5),
        ("after_switch", IDENTITY, [False] * 6 + [True] * 3 + [False]),
    ],
)
def test_after_a_switch_the_render_model_computes_first_with_its_own_coefficients(
    start: str,
    of_render: list[float],
    expected: list[bool],
    pipe: WanPipeline,
    render: WanTransformer3DModel,
    generate: Generate,
) -> None:
    coefficients = {"transformer": IDENTITY, "render": of_render}
    recipe = [
        {"use": "srdiffusion", "render": render, "switch_step": 5},
        {"use": "teacache", "threshold": 50.0, "start": start, "coefficients": coefficients},
    ]
    with sraccel.compose(pipe, recipe) as stack:
        generate(pipe, steps=10)
    reused = [all(call.reused for call in step.calls) for step in stack.report.steps]
    assert reused == expected


def test_waiting_for_a_switch_that_nobody_makes_is_refused(pipe: WanPipeline) -> None:
    recipe = [{"use": "teacache", "start": "after_switch", "coefficients": IDENTITY}]
    with pytest.raises(sraccel.ConflictError, match="no accelerator of the recipe switches"):
        sraccel.compose(pipe, recipe)


def test_one_list_of_coefficients_is_refused_for_two_models(
    pipe: WanPipeline, render: WanTransformer3DModel
) -> None:
    recipe = [
        {"use": "srdiffusion", "render": render},
        {"use": "teacache", "coefficients": IDENTITY},
    ]
    with pytest.raises(sraccel.ModelError, match="must not share them"):
        sraccel.compose(pipe, recipe)


def bytes_of_a_branch(pipe: WanPipeline, transformer: WanTransformer3DModel) -> int:
    """What the rule must keep: a residual, and the time embedding of the step before."""
    sizes: dict[str, int] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, args, output: sizes.__setitem__(name, output.nbytes)

    embedder = transformer.condition_embedder.time_embedder
    handles = [
        transformer.blocks[0].register_forward_hook(keep("residual")),
        embedder.register_forward_hook(keep("embedding")),
    ]
    pipe.transformer, own = transformer, pipe.transformer
    pipe(**call_arguments(steps=1))
    pipe.transformer = own
    for handle in handles:
        handle.remove()
    return sum(sizes.values())


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_the_report_says_how_many_bytes_the_cache_held(pipe: WanPipeline, guidance: float) -> None:
    branches = 2 if guidance > 1 else 1
    expected = branches * bytes_of_a_branch(pipe, pipe.transformer)
    with sraccel.compose(pipe, [{"use": "teacache", "coefficients": IDENTITY}]) as stack:
        pipe(**call_arguments(steps=5, guidance=guidance))
    assert stack.report.accelerators[0].cache_bytes == expected
    assert f"kept between steps, at most: {size(expected)}" in str(stack.report)


def test_after_a_switch_the_other_models_residuals_are_let_go(pipe: WanPipeline) -> None:
    wide = tiny_transformer(seed=5, num_attention_heads=4)
    recipe = [
        {"use": "srdiffusion", "render": wide, "switch_step": 4},
        {"use": "teacache", "coefficients": {"transformer": IDENTITY, "render": IDENTITY}},
    ]
    with sraccel.compose(pipe, recipe) as stack:
        pipe(**call_arguments(steps=9))
    largest = max(bytes_of_a_branch(pipe, model) for model in (pipe.transformer, wide))
    assert stack.report.accelerators[1].cache_bytes == 2 * largest


@pytest.mark.parametrize("where", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_residuals_kept_in_main_memory_give_the_same_latents_and_skips(where: str) -> None:
    pipe, found = tiny_pipeline().to(where), []
    for device in ("model", "cpu"):
        options = {"threshold": 2.0, "coefficients": IDENTITY, "cache_device": device}
        with sraccel.compose(pipe, [{"use": "teacache", **options}]) as stack:
            latents = pipe(**call_arguments(steps=12)).frames
        assert stack.report.accelerators[0].reused_calls > 0
        found.append((latents, [call.reused for step in stack.report.steps for call in step.calls]))
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


def test_a_loop_that_goes_on_after_a_failed_step_gets_no_older_residual(pipe: WanPipeline) -> None:
    transformer, failing = pipe.transformer, [False]

    def fail(module: nn.Module, args: Any) -> None:
        if failing[0]:
            raise MemoryError("on purpose")

    transformer.blocks[-1].register_forward_pre_hook(fail)
    latents, text = torch.randn(1, 4, 2, 8, 8), torch.randn(1, 6, 16)
    recipe = [{"use": "teacache", "threshold": 0.5, "coefficients": IDENTITY}]
    reused = []
    with sraccel.compose(transformer, recipe) as stack, stack.run(num_inference_steps=20) as run:
        for index in range(12):
            # Nothing changes, so steps are skipped; a jump is computed, and fails.
            timestep = torch.tensor([900.0 if index < 4 else 100.0])
            failing[0] = index == 4
            with contextlib.suppress(MemoryError), run.step(index) as step:
                transformer(latents, timestep, text)
            reused.append(step.calls[-1].reused_by is not None)
    assert reused == [False, True, True, True, False, False] + [True] * 6


def test_guidance_that_is_dropped_within_a_batch_begins_anew() -> None:
    """As diffusers documents it for dynamic guidance: a batch of both becomes one of one."""

    def drop(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if step == 5:
            pipe._guidance_scale = 1.0
            tensors = {name: tensor[1:] for name, tensor in tensors.items()}
        return tensors

    pipe = SD3.pipeline()
    recipe = [{"use": "teacache", "threshold": 99.0, "coefficients": IDENTITY}]
    with sraccel.compose(pipe, recipe) as stack:
        latents = SD3.generate(
            pipe,
            12,
            callback_on_step_end=drop,
            callback_on_step_end_tensor_inputs=["prompt_embeds", "pooled_prompt_embeds"],
        )
    assert latents.shape[0] == 1
    reused = [step.calls[0].reused for step in stack.report.steps]
    assert reused == [False] + [True] * 5 + [False] + [True] * 4 + [False]


@pytest.mark.parametrize(("tiny", "refused"), [(SD3, True), (WAN, False)], ids=str)
def test_block_wise_offloading_is_refused_where_the_first_blocks_weights_decide(
    tiny: TinyFamily, refused: bool
) -> None:
    pipe, cpu = tiny.pipeline(), torch.device("cpu")
    pipe.transformer.enable_group_offload(
        onload_device=cpu, offload_device=cpu, offload_type="block_level", num_blocks_per_group=1
    )
    expected = pytest.raises(sraccel.ConflictError, match="block-wise offloading")
    with (
        sraccel.compose(pipe, [{"use": "teacache", "coefficients": IDENTITY}]),
        expected if refused else contextlib.nullcontext(),
    ):
        tiny.generate(pipe, 4)
