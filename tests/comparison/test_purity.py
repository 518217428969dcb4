"""A comparison's baseline is bare, whatever the recipe does; what is not is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from tiny_models import call_arguments

import sraccel
from sraccel.plugin import Accelerator, Contribution, Denoiser, Run, Step, hookimpl


class Polluter(Accelerator):
    """Changes a weight and leaves it changed."""

    name = "polluter"

    @hookimpl
    def run_started(self, run: Run) -> None:
        with torch.no_grad():
            next(run.stack.own.module.parameters()).add_(0.01)


class Quits(Accelerator):
    """Ends the process, or so it thinks."""

    name = "quits"

    @hookimpl
    def run_started(self, run: Run) -> None:
        raise SystemExit(0)


class BringsAndPrepares(Accelerator):
    """Brings a render model that it also prepares."""

    name = "both"
    model: WanTransformer3DModel

    @hookimpl
    def contribute_denoisers(self) -> Mapping[str, Contribution]:
        return {"render": Contribution(self.model)}

    @hookimpl
    def prepare_denoiser(self, denoiser: Denoiser) -> Any:
        return self._prepared()

    @contextmanager
    def _prepared(self) -> Iterator[None]:
        yield

    @hookimpl
    def select_denoiser(self, step: Step) -> str | None:
        return "render" if step.index >= 2 else None


@pytest.mark.parametrize("warmup", [True, False])
def test_a_recipe_that_leaves_weights_changed_is_refused(pipe: WanPipeline, warmup: bool) -> None:
    with pytest.raises(sraccel.PluginError, match=r"polluter.*transformer\..*would not be bare"):
        sraccel.compare(pipe, [Polluter.Options()], warmup=warmup, **call_arguments(steps=3))


def test_a_plugin_that_calls_sys_exit_is_an_error(pipe: WanPipeline) -> None:
    with pytest.raises(sraccel.PluginError, match="'quits' raised SystemExit in hook run_started"):
        sraccel.compare(pipe, [Quits.Options()], warmup=False, **call_arguments(steps=3))


def test_an_accelerator_that_brings_and_prepares_models_is_compared(
    pipe: WanPipeline, render: WanTransformer3DModel
) -> None:
    BringsAndPrepares.model = render
    report = sraccel.compare(
        pipe, [BringsAndPrepares.Options()], warmup=False, **call_arguments(steps=4)
    ).report
    assert report.accelerators[0].factor is not None
    assert not report.accelerators[0].estimated
