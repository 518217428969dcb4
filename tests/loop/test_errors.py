"""What goes wrong in a run is one clear error with fields, and the pipeline is as before."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from misbehaving import made
from tiny_models import call_arguments, tiny_transformer
from untouched import untouched

import sraccel
from sraccel.loop.hookspecs import Loop
from sraccel.plugin import Accelerator, hookimpl

Generate = Callable[..., torch.Tensor]


@pytest.mark.parametrize("steps", [0, -1])
def test_a_run_without_steps_is_refused_by_that_name(
    steps: int, pipe: WanPipeline, generate: Generate
) -> None:
    message = f"num_inference_steps must be 1 or more, not {steps}"
    with untouched(pipe):
        with sraccel.compose(pipe, []) as stack, pytest.raises(sraccel.LoopError, match=message):
            generate(pipe, steps=steps)
        assert stack.reports == []
        with pytest.raises(sraccel.LoopError, match=message):
            sraccel.compare(pipe, [], **call_arguments(steps=steps))
        with sraccel.compose(pipe.transformer, []) as stack:
            with pytest.raises(sraccel.LoopError, match=message):
                stack.run(num_inference_steps=steps)


def test_a_prediction_that_is_not_finite_names_the_step_and_the_model(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
) -> None:
    render.proj_out.weight[0, 0] = float("nan")
    recipe = [{"use": "srdiffusion", "render": render, "switch_step": 4}]
    with untouched(pipe, render):
        stack = sraccel.compose(pipe, recipe)
        with pytest.raises(sraccel.NonFiniteError, match=r"step 4: denoiser 'render'") as found:
            with stack:
                generate(pipe)
    error = found.value
    assert (error.step, error.role, error.model) == (4, "render", "WanTransformer3DModel")
    assert stack.report.outcome.startswith("failed: NonFiniteError: step 4")
    assert stack.report.warnings[-1] == "the run is partial: 5 of 8 steps were begun"


def raising(hook: str, step: int) -> Accelerator:
    """An accelerator whose hook raises: where it is asked of a step, in that one."""
    arguments = list(inspect.signature(getattr(Loop, hook)).parameters)
    lines = [f"def {hook}({', '.join(arguments)}):"]
    if arguments[1] in ("step", "call"):
        index = {"step": "step.index", "call": "call.step.index"}[arguments[1]]
        lines.append(f"    if {index} < {step}: return")
    namespace: dict[str, Any] = {}
    exec("\n".join([*lines, "    raise KeyError('oops')"]), namespace)
    return made("raises", **{hook: hookimpl(namespace[hook])})


class SwitchAt2(Accelerator):
    """Makes `denoiser_switched` be asked."""

    name = "switch-at-2"

    @hookimpl
    def contribute_denoisers(self) -> dict[str, Any]:
        return {"other": tiny_transformer(seed=3, layers=1)}

    @hookimpl
    def select_denoiser(self, step: Any) -> str | None:
        return "other" if step.index >= 2 else None


OF_A_STEP = {
    "select_denoiser": 1,
    "answer_call": 1,
    "skip_call": 1,
    "skip_blocks": 1,
    "predict": 1,
    "residual_computed": 1,
    "denoiser_called": 1,
    "step_finished": 1,
    "denoiser_switched": 2,
}


@pytest.mark.parametrize("hook", [name for name in vars(Loop) if not name.startswith("_")])
def test_a_plugin_that_raises_in_any_hook_is_named_with_hook_and_step_and_all_is_restored(
    hook: str, pipe: WanPipeline, generate: Generate
) -> None:
    recipe = [{"use": "sageattention", "kernel": "emulated"}, raising(hook, 1).Options()]
    if hook == "denoiser_switched":
        recipe.append(SwitchAt2.Options())
    if hook == "predict":
        recipe.append(made("rule", skip_call=hookimpl(lambda self, call: True)).Options())
    with untouched(pipe):
        with pytest.raises(
            sraccel.PluginError, match=f"'raises' raised KeyError in hook {hook} .*'oops'"
        ) as found:
            with sraccel.compose(pipe, recipe):
                generate(pipe)
        assert len(str(found.value)) < 200
        sraccel.compose(pipe, []).attach().detach()
    error = found.value
    assert (error.accelerator, error.hook, error.step) == ("raises", hook, OF_A_STEP.get(hook))
    assert isinstance(error.__cause__, KeyError)


@contextmanager
def fails_on_entering() -> Iterator[None]:
    raise KeyError("oops")
    yield


@contextmanager
def fails_on_leaving() -> Iterator[None]:
    yield
    raise KeyError("oops")


@pytest.mark.parametrize(
    "context", [fails_on_entering, fails_on_leaving, lambda: "no context manager"]
)
def test_a_plugin_whose_context_fails_is_named_and_all_is_restored(
    context: Callable[[], Any], pipe: WanPipeline, generate: Generate
) -> None:
    bad = made("bad", prepare_denoiser=hookimpl(lambda self: context()))
    recipe = [bad.Options(), {"use": "sageattention", "kernel": "emulated"}]
    with untouched(pipe):
        with pytest.raises(sraccel.PluginError, match=r"'bad' raised .* in hook prepare_denoiser"):
            with sraccel.compose(pipe, recipe):
                generate(pipe, steps=2)
