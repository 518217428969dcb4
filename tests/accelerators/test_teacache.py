"""TeaCache decides and computes as the official code does, with the right model's coefficients."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import IDENTITY, call_arguments, tiny_pipeline, tiny_transformer
from torch import nn

import sraccel
from sraccel.accelerators.teacache.coefficients import PUBLISHED, candidates, choose
from sraccel.accelerators.teacache.rule import Variant
from sraccel.denoiser import Denoiser
from sraccel.denoisers.wan import WanAdapter

Generate = Callable[..., torch.Tensor]
CURVED = [0.0, 0.0, 1.0, -0.3, -0.05]
"""Coefficients that are negative below a distance of 0.42, as some published ones are near 0."""


class OfficialStack(nn.Module):
    """TeaCache's official rule around a whole block stack, written as its Wan script does it.

    Branches alternate by a counter; each has its accumulator, previous input and residual.
    """

    def __init__(self, pipe: WanPipeline, threshold: float, retention: bool, steps: int) -> None:
        super().__init__()
        self.inner = pipe.transformer.blocks
        self.rescale = np.poly1d(CURVED)
        self.threshold, self.retention = threshold, retention
        self.count, self.calls = 0, 2 * steps
        self.first = 10 if retention else 2
        self.last = 2 * steps if retention else 2 * steps - 2
        self.state: list[dict[str, Any]] = [{}, {}]
        self.skipped: list[bool] = []
        self.embedding: torch.Tensor | None = None
        pipe.transformer.condition_embedder.time_embedder.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, args: Any, output: torch.Tensor) -> None:
        self.embedding = output

    def forward(self, hidden: torch.Tensor, text: Any, temb: Any, rotary: Any) -> torch.Tensor:
        state = self.state[self.count % 2]
        modulated = temb if self.retention else self.embedding
        if self.count < self.first or self.count >= self.last:
            compute, state["accumulated"] = True, 0
        else:
            previous = state["previous"]
            distance = ((modulated - previous).abs().mean() / previous.abs().mean()).cpu().item()
            state["accumulated"] += self.rescale(distance)
            compute = not state["accumulated"] < self.threshold
            if compute:
                state["accumulated"] = 0
        state["previous"] = modulated.clone()
        self.count += 1
        self.skipped.append(not compute)
        if not compute:
            return hidden + state["residual"]
        original = hidden.clone()
        for block in self.inner:
            hidden = block(hidden, text, temb, rotary)
        state["residual"] = hidden - original
        return hidden


def official(pipe: WanPipeline, threshold: float, retention: bool, steps: int) -> Any:
    reference = tiny_pipeline()
    reference.transformer.to(pipe.transformer.dtype)
    stack = OfficialStack(reference, threshold, retention, steps)
    reference.transformer.blocks = nn.ModuleList([stack])
    latents = reference(**call_arguments(steps=steps)).frames
    return latents, stack.skipped


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("retention", [False, True])
@settings(max_examples=6)
@given(threshold=st.floats(0.01, 3.0), steps=st.integers(9, 20))
def test_skips_and_latents_equal_the_official_rules(
    dtype: torch.dtype, retention: bool, threshold: float, steps: int
) -> None:
    pipe = tiny_pipeline()
    pipe.transformer.to(dtype)
    latents, skipped = official(pipe, threshold, retention, steps)
    recipe = [
        {
            "use": "teacache",
            "threshold": threshold,
            "retention": retention,
            "coefficients": CURVED,
        }
    ]
    with sraccel.compose(pipe, recipe) as stack:
        ours = pipe(**call_arguments(steps=steps)).frames
    assert [call.reused for step in stack.report.steps for call in step.calls] == skipped
    assert torch.equal(ours, latents)


def test_the_reference_itself_skips_some_and_computes_some(pipe: WanPipeline) -> None:
    for retention in (False, True):
        _, skipped = official(pipe, 0.5, retention, 16)
        assert 4 < sum(skipped) < 30


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_very_short_runs_work(pipe: WanPipeline, generate: Generate, steps: int) -> None:
    bare = generate(pipe, steps=steps)
    recipe = [{"use": "teacache", "threshold": 9.0, "coefficients": IDENTITY}]
    with sraccel.compose(pipe, recipe) as stack:
        ours = generate(pipe, steps=steps)
    assert torch.equal(ours, bare) == (steps < 3)
    assert any("leave little to skip" in warning for warning in stack.report.warnings)


def test_after_a_switch_the_render_model_computes_first_with_its_own_coefficients(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
) -> None:
    never = [0.0, 0.0, 0.0, 0.0, 100.0]
    recipe = [
        {"use": "srdiffusion", "render": render, "switch_step": 5},
        {
            "use": "teacache",
            "threshold": 50.0,
            "coefficients": {"sketch": IDENTITY, "render": never},
        },
    ]
    with sraccel.compose(pipe, recipe) as stack:
        generate(pipe, steps=10)
    reused = [all(call.reused for call in step.calls) for step in stack.report.steps]
    assert reused == [False] + [True] * 4 + [False] * 5


def test_waiting_for_the_switch(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
) -> None:
    recipe = [
        {"use": "srdiffusion", "render": render, "switch_step": 4},
        {
            "use": "teacache",
            "threshold": 50.0,
            "start": "after_switch",
            "coefficients": {"sketch": IDENTITY, "render": IDENTITY},
        },
    ]
    with sraccel.compose(pipe, recipe) as stack:
        generate(pipe, steps=9)
    reused = [all(call.reused for call in step.calls) for step in stack.report.steps]
    assert reused == [False] * 5 + [True] * 3 + [False]


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


def test_an_unknown_model_is_refused_with_advice(pipe: WanPipeline) -> None:
    with pytest.raises(sraccel.ModelError, match=r"Known: Wan2.1 t2v 1.3B.*Fit your own"):
        sraccel.compose(pipe, [{"use": "teacache"}])


@pytest.mark.parametrize("coefficients", [[1.0], [1.0] * 6, {"sketch": [1.0]}])
def test_too_few_or_many_coefficients_are_refused(coefficients: Any) -> None:
    with pytest.raises(sraccel.RecipeError, match=r"accelerators\[0\].coefficients: 5 numbers"):
        sraccel.Recipe(accelerators=[{"use": "teacache", "coefficients": coefficients}])


def denoiser_like(config: dict[str, Any], pipeline: Any = None) -> Denoiser:
    """A denoiser with a real model's configuration and none of its weights."""
    with torch.device("meta"):
        module = WanTransformer3DModel(**{**config, "num_layers": config["num_layers"]})
    return Denoiser("sketch", module, WanAdapter(), pipeline)


WAN_1_3B = {"num_layers": 30, "num_attention_heads": 12, "ffn_dim": 8960}
WAN_14B = {"num_layers": 40, "num_attention_heads": 40, "ffn_dim": 13824}
WAN_I2V = {**WAN_14B, "in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120}


@pytest.mark.parametrize("variant", Variant)
def test_published_coefficients_follow_the_models_configuration(variant: Variant) -> None:
    for config, model in ((WAN_1_3B, "Wan2.1 t2v 1.3B"), (WAN_14B, "Wan2.1 t2v 14B")):
        (found,) = candidates(denoiser_like(config), variant)
        assert found.source.startswith(f"{model}, {variant.value}")


def test_i2v_480p_and_720p_are_told_apart_by_their_latents() -> None:
    found = candidates(denoiser_like(WAN_I2V), Variant.PLAIN)
    for height, width, name in ((60, 104, "480P"), (90, 160, "720P"), (104, 60, "480P")):
        latents = torch.empty(1, 36, 21, height, width, device="meta")
        assert name in choose(found, latents).source


def test_wan_2_2_is_not_taken_for_wan_2_1() -> None:
    class TwoExperts:
        transformer_2 = object()

    with pytest.raises(sraccel.ModelError, match=r"Wan2.2's experts"):
        candidates(denoiser_like(WAN_14B, TwoExperts()), Variant.PLAIN)


def test_polynomials_are_evaluated_as_numpy_does_it() -> None:
    for entry in PUBLISHED:
        for variant in Variant:
            found = entry.coefficients(variant)
            for x in (0.0, 0.01, 0.07, 0.3):
                assert found(x) == np.poly1d(found.values)(x)


def test_a_calibration_file_beside_the_weights_is_used_for_its_own_model_only(
    tmp_path: Path, generate: Generate
) -> None:
    tiny_transformer(seed=3).save_pretrained(tmp_path / "transformer")
    fit = {"coefficients": IDENTITY, "r2": 0.9}
    content = {"models": {"mine": {"plain": fit, "retention": fit, "signature": {"num_layers": 3}}}}
    (tmp_path / "teacache.json").write_text(json.dumps(content))
    pipe = tiny_pipeline()
    pipe.transformer = WanTransformer3DModel.from_pretrained(tmp_path, subfolder="transformer")
    with sraccel.compose(pipe, [{"use": "teacache", "threshold": 0.6}]) as stack:
        generate(pipe, steps=12)
    (record,) = stack.report.accelerators
    assert record.notes["coefficients_sketch"].startswith("mine, plain, fitted (R^2 0.90")
    assert record.reused_calls > 0
    content["models"]["mine"]["signature"]["num_layers"] = 4
    (tmp_path / "teacache.json").write_text(json.dumps(content))
    with pytest.raises(sraccel.ModelError, match="no coefficients are known"):
        sraccel.compose(pipe, [{"use": "teacache"}])
