"""Invariant 2: leaving restores everything, however one leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from tiny_models import IDENTITY, call_arguments

import sraccel
from sraccel.plugin import Accelerator, hookimpl


def full_recipe(render: WanTransformer3DModel) -> list[dict[str, Any]]:
    return [
        {"use": "sageattention", "kernel": "emulated"},
        {"use": "srdiffusion", "render": render, "switch_step": 4},
        {"use": "teacache", "threshold": 5.0, "coefficients": dict.fromkeys(ROLES, IDENTITY)},
    ]


ROLES = ("transformer", "render")


def state(*objects: Any) -> list[dict[str, Any]]:
    """Instance dictionaries of objects and all their modules: what a stack could leave behind."""
    everything = []
    for item in objects:
        modules = list(item.modules()) if hasattr(item, "modules") else [item]
        everything += [{k: id(v) for k, v in vars(module).items()} for module in modules]
    return everything


def raise_at(step: int, error: BaseException) -> Callable[..., dict[str, Any]]:
    def callback(pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if index == step:
            raise error
        return {}

    return callback


def interrupt_at(step: int) -> Callable[..., dict[str, Any]]:
    def callback(pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        pipe._interrupt = index >= step
        return {}

    return callback


@pytest.mark.parametrize("leave", ["normally", "exception", "ctrl-c", "interrupt"])
def test_call_path_scheduler_and_processors_are_what_they_were(
    leave: str, pipe: WanPipeline, render: Any, generate: Callable[..., torch.Tensor]
) -> None:
    bare = generate(pipe)
    with render.cache_context("any"):  # diffusers keeps a registry on a module from then on
        pass
    before = state(pipe.transformer, render)
    callbacks = {
        "normally": None,
        "exception": raise_at(3, ValueError("from a callback")),
        "ctrl-c": raise_at(3, KeyboardInterrupt()),
        "interrupt": interrupt_at(3),
    }
    stack = sraccel.compose(pipe, full_recipe(render))
    try:
        with stack:
            generate(pipe, callback_on_step_end=callbacks[leave])
    except (ValueError, KeyboardInterrupt):
        assert leave in ("exception", "ctrl-c")
    assert state(pipe.transformer, render) == before
    for name in ("step", "set_timesteps"):
        assert name not in vars(pipe.scheduler)
    assert "progress_bar" not in vars(pipe)
    assert torch.equal(generate(pipe), bare)
    outcome = {
        "normally": "finished",
        "exception": "failed: ValueError: from a callback",
        "ctrl-c": "failed: KeyboardInterrupt",
        "interrupt": "partial",
    }
    assert stack.report.outcome == outcome[leave]


def test_an_exception_in_the_denoiser_ends_the_run_and_the_next_one_is_fresh(
    pipe: WanPipeline, render: Any, generate: Callable[..., torch.Tensor]
) -> None:
    with sraccel.compose(pipe, full_recipe(render)) as stack:
        expected = generate(pipe)
        with pytest.raises(RuntimeError):  # wrong text width: raises inside the transformer
            generate(pipe, prompt_embeds=torch.zeros(1, 6, 5))
        assert stack.reports[1].outcome.startswith("failed: RuntimeError")
        assert torch.equal(generate(pipe), expected)


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


def test_a_failing_attach_leaves_nothing_behind(pipe: WanPipeline) -> None:
    class Fails(Accelerator):
        """Fails while attaching."""

        name = "fails"

        @hookimpl
        def prepare_denoiser(self, denoiser: Any) -> None:
            raise ValueError("no")

    before = state(pipe.transformer, pipe.scheduler)
    recipe = [{"use": "sageattention", "kernel": "emulated"}, Fails.Options()]
    with pytest.raises(sraccel.PluginError, match=r"'fails' raised ValueError.*prepare_denoiser"):
        sraccel.compose(pipe, recipe).attach()
    assert state(pipe.transformer, pipe.scheduler) == before
    sraccel.compose(pipe, []).attach().detach()


def test_the_render_models_training_mode_comes_back(
    pipe: WanPipeline, render: WanTransformer3DModel
) -> None:
    render.train()
    with sraccel.compose(pipe, full_recipe(render)):
        assert not render.training
        pipe(**call_arguments(steps=5))
    assert render.training
