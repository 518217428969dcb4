"""Invariant 2: leaving restores everything, however one leaves."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from diffusers.models.transformers import transformer_wan
from hypothesis import example, given, settings
from hypothesis import strategies as st
from misbehaving import interrupted, presses_ctrl_c, stops
from tiny_models import IDENTITY, call_arguments, tiny_pipeline, tiny_transformer
from untouched import untouched

import sraccel
from sraccel.loop.clock import CpuClock


def full_recipe(render: WanTransformer3DModel) -> list[dict[str, Any]]:
    return [
        {"use": "sageattention", "kernel": "emulated"},
        {"use": "srdiffusion", "render": render, "switch_step": 4},
        {"use": "teacache", "threshold": 5.0, "coefficients": dict.fromkeys(ROLES, IDENTITY)},
    ]


ROLES = ("transformer", "render")


def raises(pipe: Any, index: int, timestep: Any, tensors: Any) -> dict[str, Any]:
    if index == 4:
        raise ValueError("from a callback")
    return {}


LEAVE = {
    "normally": (None, "finished"),
    "by an exception": (raises, "failed: ValueError: from a callback"),
    "by Ctrl-C": (presses_ctrl_c(5), "failed: KeyboardInterrupt"),
    "by breaking off": (stops(5), "partial"),
}


@pytest.mark.parametrize("leave", LEAVE)
def test_all_is_restored_and_the_report_says_how_far_the_run_came(
    leave: str, pipe: WanPipeline, render: Any, generate: Callable[..., torch.Tensor]
) -> None:
    callback, outcome = LEAVE[leave]
    with untouched(pipe, render):
        stack = sraccel.compose(pipe, full_recipe(render))
        with suppress(ValueError, KeyboardInterrupt), stack:
            generate(pipe, callback_on_step_end=callback)
    report, steps = stack.report, 8 if leave == "normally" else 5
    assert report.outcome == outcome
    partial = f"the run is partial: {steps} of 8 steps"
    assert any(warning.startswith(partial) for warning in report.warnings) == (steps < 8)
    taken = [step.denoiser for step in report.steps]
    assert taken == ["transformer"] * 4 + ["render"] * (steps - 4)
    assert all(call.seconds is not None for step in report.steps for call in step.calls)


@pytest.fixture(scope="module")
def attached() -> Iterator[sraccel.Stack]:
    """A stack that lives through many broken runs; then all is checked to be restored."""
    pipe, render = tiny_pipeline(), tiny_transformer(seed=7, layers=2)
    with untouched(pipe, render), sraccel.compose(pipe, full_recipe(render)) as stack:
        stack.logs_warnings = False
        yield stack


@settings(max_examples=60, derandomize=True)
@example(1579)  # in `Run.close`, before the last mark
@given(st.integers(0, 6200))
def test_wherever_ctrl_c_hits_a_run_the_next_one_is_as_ever(
    attached: sraccel.Stack, after_lines: int
) -> None:
    def run() -> torch.Tensor:
        latents: torch.Tensor = attached.pipeline(**call_arguments(steps=6)).frames
        return latents

    expected = run()
    interrupted(run, after_lines, "sraccel/loop", transformer_wan.__file__)
    assert torch.equal(run(), expected)
    assert attached.current_run is None


def test_a_run_whose_clock_fails_is_over_all_the_same(
    pipe: WanPipeline, generate: Callable[..., torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `torch.cuda.synchronize` does after an error on the device."""
    with sraccel.compose(pipe, []) as stack:
        with monkeypatch.context() as patch:
            patch.setattr(CpuClock, "settle", fails)
            with pytest.raises(RuntimeError, match="on the device"):
                generate(pipe)
        assert stack.current_run is None
        generate(pipe)
    assert len(stack.reports) == 2


def fails(clock: CpuClock) -> None:
    raise RuntimeError("on the device")


def test_a_stack_that_nobody_detaches_goes_with_its_pipeline() -> None:
    pipe = tiny_pipeline()
    sraccel.compose(pipe, []).attach()
    model = weakref.ref(pipe.transformer)
    del pipe
    gc.collect()
    assert model() is None


def test_detaching_twice_and_attaching_again(
    pipe: WanPipeline, render: Any, generate: Callable[..., torch.Tensor]
) -> None:
    bare = generate(pipe)
    stack = sraccel.compose(pipe, full_recipe(render))
    outputs = []
    for _ in range(2):
        stack.attach()
        outputs.append(generate(pipe))
        stack.detach()
        stack.detach()
        assert torch.equal(generate(pipe), bare)
    assert torch.equal(*outputs)
    assert not torch.equal(outputs[0], bare)


def test_detaching_in_mid_run_restores_at_once(
    pipe: WanPipeline, generate: Callable[..., torch.Tensor]
) -> None:
    bare = generate(pipe)
    stack = sraccel.compose(pipe, []).attach()

    def detach(pipe: Any, index: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        if index == 2:
            stack.detach()
        return {}

    assert torch.equal(generate(pipe, callback_on_step_end=detach), bare)
    assert stack.report.outcome == "partial"
    assert len(stack.report.steps) == 3


def test_a_foreign_hook_added_inside_keeps_working_afterwards(
    pipe: WanPipeline, render: Any, generate: Callable[..., torch.Tensor]
) -> None:
    seen = []
    with sraccel.compose(pipe, full_recipe(render)):
        pipe.transformer.register_forward_hook(lambda *_: seen.append("forward"))
        inner = pipe.transformer.blocks[0].forward
        pipe.transformer.blocks[0].forward = lambda *a, **k: seen.append("block") or inner(*a, **k)
        generate(pipe)
    seen.clear()
    generate(pipe, steps=2, guidance=1.0)
    assert seen == ["block", "forward"] * 2


def test_the_render_models_training_mode_comes_back(
    pipe: WanPipeline, render: WanTransformer3DModel
) -> None:
    render.train()
    with sraccel.compose(pipe, full_recipe(render)):
        assert not render.training
        pipe(**call_arguments(steps=5))
    assert render.training


def test_an_attached_model_that_is_pickled_or_copied_is_its_plain_self(
    pipe: WanPipeline, render: Any
) -> None:
    import io

    with sraccel.compose(pipe, full_recipe(render)):
        kept = io.BytesIO()
        torch.save(pipe.transformer, kept)
    kept.seek(0)
    again = torch.load(kept, weights_only=False)
    assert again._compiled_call_impl is None
    assert all("forward" not in vars(block) for block in again.blocks)
