"""Blocks are compiled while the stack is attached; how long that took is said apart."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import WanPipeline
from sraccel_compile import RegionalCompile
from tiny_models import IDENTITY, call_arguments, tiny_pipeline, tiny_transformer
from untouched import untouched

import sraccel
from sraccel.testing import check_accelerator, standard_targets

STEPS = 4


@pytest.fixture(scope="module")
def wan() -> WanPipeline:
    torch.set_grad_enabled(False)
    return tiny_pipeline(layers=2)


def made(**options: Any) -> RegionalCompile:
    return RegionalCompile(RegionalCompile.Options(**{"backend": "aot_eager", **options}))


def test_compiling_is_said_apart_and_only_where_it_happens(wan: WanPipeline) -> None:
    torch.compiler.reset()
    bare = wan(**call_arguments(STEPS)).frames
    with untouched(wan), sraccel.compose(wan, [made()]) as stack:
        assert all(block._compiled_call_impl for block in wan.transformer.blocks)
        first, second = wan(**call_arguments(STEPS)).frames, wan(**call_arguments(STEPS)).frames
    torch.testing.assert_close(first, bare)
    assert torch.equal(first, second)
    seconds = [report.accelerators[0].notes["compile_seconds"] for report in stack.reports]
    assert seconds[0] > 0
    assert seconds[1] == 0
    said = [any("spent compiling" in text for text in one.warnings) for one in stack.reports]
    assert said == [True, False]
    assert not any(block._compiled_call_impl for block in wan.transformer.blocks)


def test_beside_a_switch_and_a_cache_both_models_are_compiled(wan: WanPipeline) -> None:
    render = tiny_transformer(seed=7, layers=2)
    both = {"transformer": IDENTITY, "render": IDENTITY}
    others: list[Any] = [
        {"use": "srdiffusion", "render": render, "switch_step": 2},
        {"use": "teacache", "threshold": 3.0, "coefficients": both},
    ]
    with sraccel.compose(wan, others) as stack:
        expected = wan(**call_arguments(STEPS)).frames
    skipped = stack.report.accelerators[1].reused_calls
    with untouched(wan, render), sraccel.compose(wan, [*others, made()]) as stack:
        found = wan(**call_arguments(STEPS)).frames
    torch.testing.assert_close(found, expected)
    assert stack.report.accelerators[1].reused_calls == skipped


def test_a_comparison_compiles_before_it_measures_the_later_model_too(wan: WanPipeline) -> None:
    torch.compiler.reset()
    switch = {"use": "srdiffusion", "render": tiny_transformer(seed=7, layers=2), "switch_step": 4}
    report = sraccel.compare(wan, [switch, made()], **call_arguments(6)).report
    assert report.switch_step == 4
    assert report.accelerators[1].notes["compile_seconds"] == 0
    assert not any("spent compiling" in text for text in report.warnings)


def test_blocks_that_are_compiled_already_are_refused() -> None:
    pipe = tiny_pipeline(layers=1)
    pipe.transformer.compile_repeated_blocks(backend="aot_eager")
    with pytest.raises(sraccel.ConflictError, match="compiled already"):
        sraccel.compose(pipe, [made()])


def test_what_changes_linear_layers_or_attention_comes_before_it(wan: WanPipeline) -> None:
    kernel = {"use": "sageattention", "kernel": "emulated"}
    with pytest.raises(sraccel.ConflictError, match="must come after 'sageattention'"):
        sraccel.compose(wan, [made(), kernel])
    sraccel.compose(wan, [kernel, made()])


def test_what_changes_blocks_from_within_is_refused(wan: WanPipeline) -> None:
    caches = pytest.importorskip("sraccel_diffusers_caches")
    with pytest.raises(sraccel.ConflictError, match="compiled again and again"):
        sraccel.compose(wan, [caches.TaylorSeer(), made()])


@pytest.mark.parametrize(
    "target",
    [
        "a toy denoiser",
        pytest.param("Wan with two experts", marks=pytest.mark.slow),
        pytest.param("Wan", marks=pytest.mark.slow),
    ],
)
def test_it_behaves(target: str) -> None:
    torch.compiler.reset()
    options = {"backend": "aot_eager"}
    targets = [one for one in standard_targets() if one.name == target]
    assert check_accelerator(RegionalCompile, options=options, targets=targets).targets == (target,)
