"""Linear layers are int8 while the stack is attached, and what they were afterwards."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from diffusers import WanPipeline
from sraccel_torchao import TorchaoInt8
from tiny_models import IDENTITY, call_arguments, tiny_pipeline, tiny_transformer
from untouched import untouched

import sraccel
from sraccel.testing import check_accelerator, standard_targets

pytest.importorskip("torchao", reason="torchao is not installed: `pip install torchao`")


@pytest.fixture(scope="module")
def wan() -> WanPipeline:
    torch.set_grad_enabled(False)
    return tiny_pipeline()


def made(**options: Any) -> TorchaoInt8:
    return TorchaoInt8(TorchaoInt8.Options(**options))


@pytest.mark.parametrize("inputs", ["float", "int8"])
def test_it_is_near_the_bare_run_and_nothing_stays(inputs: Any, wan: WanPipeline) -> None:
    bare = wan(**call_arguments(4)).frames
    weight = wan.transformer.blocks[0].attn1.to_q.weight
    with untouched(wan), sraccel.compose(wan, [made(inputs=inputs)]) as stack:
        assert type(wan.transformer.blocks[0].attn1.to_q.weight) is not torch.nn.Parameter
        first, second = wan(**call_arguments(4)).frames, wan(**call_arguments(4)).frames
    assert wan.transformer.blocks[0].attn1.to_q.weight is weight
    assert torch.equal(first, second)
    assert not torch.equal(first, bare)
    assert float((first - bare).abs().mean() / bare.abs().mean()) < 0.05
    assert stack.report.accelerators[0].notes["layers"] == {"transformer": 10 * 3}


def test_without_layers_no_bit_changes_and_it_says_so(wan: WanPipeline) -> None:
    bare = wan(**call_arguments(3)).frames
    with sraccel.compose(wan, [made(smallest=10_000)]) as stack:
        assert torch.equal(wan(**call_arguments(3)).frames, bare)
    assert any("does nothing" in warning for warning in stack.report.warnings)


def test_a_copy_or_a_file_that_is_made_meanwhile_is_plain(wan: WanPipeline) -> None:
    block, kept = wan.transformer.blocks[0], io.BytesIO()
    given = torch.ones(1, 2, block.attn1.to_q.in_features)
    expected = block.attn1.to_q(given)
    with sraccel.compose(wan, [made()]):
        copied = copy.deepcopy(block)
        torch.save(block, kept)
    kept.seek(0)
    for other in (copied, torch.load(kept, weights_only=False)):
        assert type(other.attn1.to_q.weight) is torch.nn.Parameter
        assert torch.equal(other.attn1.to_q(given), expected)


def test_weights_are_restored_after_an_error(wan: WanPipeline) -> None:
    with untouched(wan), pytest.raises(KeyboardInterrupt), sraccel.compose(wan, [made()]):
        raise KeyboardInterrupt


def test_beside_a_switch_and_a_cache_both_models_are_quantised(wan: WanPipeline) -> None:
    render = tiny_transformer(seed=7, layers=2)
    both = {"transformer": IDENTITY, "render": IDENTITY}
    recipe: list[Any] = [
        made(),
        {"use": "srdiffusion", "render": render, "switch_step": 3},
        {"use": "teacache", "threshold": 3.0, "coefficients": both},
    ]
    with untouched(wan, render), sraccel.compose(wan, recipe) as stack:
        wan(**call_arguments(6))
    record = stack.report.accelerators
    assert record[0].notes["layers"] == {"transformer": 30, "render": 20}
    assert record[2].reused_calls > 0


@pytest.mark.parametrize(
    "target", ["Wan with two experts", pytest.param("Wan", marks=pytest.mark.slow)]
)
def test_it_behaves(target: str) -> None:
    targets = [one for one in standard_targets() if one.name == target]
    idle = {"smallest": 10_000}
    assert check_accelerator(TorchaoInt8, idle=idle, targets=targets).targets == (target,)
