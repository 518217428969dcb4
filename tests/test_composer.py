"""The composer refuses contradictions before anything is touched, and says how to mend them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from tiny_models import IDENTITY, tiny_transformer

import sraccel
from sraccel.plugin import Accelerator, Call, Denoiser, Stack, Step, hookimpl


class OtherCache(Accelerator):
    """A second residual rule."""

    name = "other-cache"

    @hookimpl
    def reuse_residual(self, call: Call) -> None:
        return None


class OtherSwitch(Accelerator):
    """A second switcher."""

    name = "other-switch"

    @hookimpl
    def select_denoiser(self, step: Step) -> None:
        return None


class OtherAttention(Accelerator):
    """A second owner of the attention."""

    name = "other-attention"
    claims = frozenset({"attention"})


class FluxOnly(Accelerator):
    """Made for another family."""

    name = "flux-only"
    families = frozenset({"flux"})


def test_contradictions_are_refused_and_nothing_is_touched(
    pipe: WanPipeline, render: WanTransformer3DModel
) -> None:
    switch = {"use": "srdiffusion", "render": render}
    cache = {"use": "teacache", "coefficients": dict.fromkeys(("transformer", "render"), IDENTITY)}
    sage = {"use": "sageattention", "kernel": "emulated"}
    cases: list[tuple[list[Any], str]] = [
        ([switch, OtherSwitch.Options()], "both choose which model"),
        ([cache, OtherCache.Options()], "both predict the block stack's residual"),
        ([sage, OtherAttention.Options()], "both own the attention"),
        ([FluxOnly.Options()], r"works with flux; .* family 'wan'"),
    ]
    before = [dict(vars(module)) for module in pipe.transformer.modules()]
    for recipe, message in cases:
        with pytest.raises(sraccel.ConflictError, match=message):
            sraccel.compose(pipe, recipe)
    assert [dict(vars(module)) for module in pipe.transformer.modules()] == before


def test_what_is_no_pipeline_and_no_denoiser_is_refused() -> None:
    with pytest.raises(sraccel.ModelError, match="cannot accelerate a str"):
        sraccel.compose("Wan-AI/Wan2.1-T2V-14B-Diffusers", [])
    with pytest.raises(
        sraccel.ModelError, match=r"no denoiser adapter knows Linear .*families: .*wan"
    ):
        sraccel.compose(torch.nn.Linear(2, 2), [])


def test_a_role_that_nobody_brings_is_an_error_that_names_the_accelerator(
    pipe: WanPipeline, generate: Any
) -> None:
    class Lost(Accelerator):
        """Chooses a denoiser that is not there."""

        name = "lost"

        @hookimpl
        def select_denoiser(self, step: Step) -> str:
            return "nowhere"

    with sraccel.compose(pipe, [Lost.Options()]):
        with pytest.raises(sraccel.PluginError, match=r"'lost' chose the denoiser 'nowhere'"):
            generate(pipe)


class Noting(Accelerator):
    """Notes when it is asked."""

    name = "noting"
    log: list[str] = []

    @hookimpl
    def contribute_denoisers(self, stack: Stack) -> dict[str, Any]:
        self.log.append(f"contribute {self.name}")
        return {self.name: tiny_transformer(seed=4, layers=1)}

    @hookimpl
    def prepare_denoiser(self, denoiser: Denoiser) -> AbstractContextManager[None]:
        return self._prepared(denoiser.role)

    @contextmanager
    def _prepared(self, role: str) -> Iterator[None]:
        self.log.append(f"enter {self.name} {role}")
        yield
        self.log.append(f"leave {self.name} {role}")

    @hookimpl
    def run_started(self) -> None:  # a hook may take fewer arguments
        self.log.append(f"run_started {self.name}")


class One(Noting):
    """First of the recipe."""

    name = "one"


class Two(Noting):
    """Second of the recipe."""

    name = "two"


def test_accelerators_act_in_recipe_order_and_contexts_nest(
    pipe: WanPipeline, generate: Any
) -> None:
    Noting.log.clear()
    with sraccel.compose(pipe, [One.Options(), Two.Options(use="two")]):
        generate(pipe, steps=1)
    roles = ["transformer", "one", "two"]
    entered = [f"{name} {role}" for role in roles for name in ("one", "two")]
    assert Noting.log == (
        ["contribute one", "contribute two"]
        + [f"enter {each}" for each in entered]
        + ["run_started one", "run_started two"]
        + [f"leave {each}" for each in reversed(entered)]
    )


def test_inline_options_need_no_registration(pipe: WanPipeline, generate: Any) -> None:
    with sraccel.compose(pipe, [OtherCache.Options()]) as stack:
        generate(pipe)
    assert stack.report.accelerators[0].name == "other-cache"
    assert "other-cache skipped nothing in 8 steps" in stack.report.warnings
