"""Behind the switch both models take a step, each its own tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from sraccel_stitch import HybridStitch
from sraccel_stitch.region import Narrowed, mask_of, tokens_of_change
from tiny_models import IDENTITY, call_arguments, tiny_pipeline, tiny_transformer
from untouched import untouched

import sraccel
from sraccel.loop.denoiser import recognise
from sraccel.recipe.catalogue import installed
from sraccel.testing import check_accelerator, standard_targets

STEPS = 8
PATCH = (1, 2, 2)


@pytest.fixture(scope="module")
def wan() -> WanPipeline:
    torch.set_grad_enabled(False)
    return tiny_pipeline()


@pytest.fixture(scope="module")
def render() -> WanTransformer3DModel:
    return tiny_transformer(seed=7, layers=2)


def stitched(pipe: Any, render: Any, *more: Any, **options: Any) -> tuple[torch.Tensor, Any]:
    switch = {"use": "srdiffusion", "render": render, "switch_step": 3}
    hybrid = HybridStitch(HybridStitch.Options(**options))
    with sraccel.compose(pipe, [switch, hybrid, *more]) as stack:
        first = pipe(**call_arguments(STEPS)).frames
        second = pipe(**call_arguments(STEPS)).frames
    assert torch.equal(first, second)
    return first, stack.report


def test_the_stage_lies_behind_the_switch_and_is_reported(
    wan: WanPipeline, render: WanTransformer3DModel
) -> None:
    with untouched(wan, render):
        _, report = stitched(wan, render, steps=3, region=0.25)
    asked = [
        [[(one.denoiser, one.skips.get("hybrid-stitch")) for one in call.evaluations]]
        for step in report.steps
        for call in step.calls
    ]
    whole, part = (
        [[("render", None), ("transformer", None)]],
        [[("render", None), ("transformer", 0.75)]],
    )
    assert asked == [[[]]] * 6 + [whole] + [part] * 5 + [[[]]] * 4
    record = report.accelerators[1]
    assert record.answered_calls == 6
    assert record.notes["first_step"] == 3
    assert record.skipped_share is None or record.skipped_share > 0


def test_the_whole_video_as_region_is_a_later_switch(
    wan: WanPipeline, render: WanTransformer3DModel
) -> None:
    later = {"use": "srdiffusion", "render": render, "switch_step": 5}
    with sraccel.compose(wan, [later]):
        expected = wan(**call_arguments(STEPS)).frames
    latents, _ = stitched(wan, render, steps=2, region=1.0)
    torch.testing.assert_close(latents, expected)


def test_no_steps_are_the_plain_switch(wan: WanPipeline, render: WanTransformer3DModel) -> None:
    with sraccel.compose(wan, [{"use": "srdiffusion", "render": render, "switch_step": 3}]):
        expected = wan(**call_arguments(STEPS)).frames
    latents, report = stitched(wan, render, steps=0)
    assert torch.equal(latents, expected)
    assert any("hybrid-stitch answered no call" in warning for warning in report.warnings)


def test_beside_a_cache_both_report(wan: WanPipeline, render: WanTransformer3DModel) -> None:
    both = {"transformer": IDENTITY, "render": IDENTITY}
    cache = {"use": "teacache", "threshold": 3.0, "coefficients": both}
    _, report = stitched(wan, render, cache, steps=3)
    assert report.accelerators[1].answered_calls == 6
    skipped = [
        one.reused_by
        for step in report.steps[3:6]
        for call in step.calls
        for one in call.evaluations
    ]
    assert "teacache" in skipped


def test_without_a_second_model_it_is_refused(wan: WanPipeline) -> None:
    with pytest.raises(sraccel.ConflictError, match="list an accelerator that brings the small"):
        sraccel.compose(wan, [HybridStitch()])


def test_the_region_is_where_the_predictions_differ() -> None:
    small = torch.zeros(1, 4, 3, 4, 6)
    large = small.clone()
    large[:, :, 1, 2:4, 0:2] = 1.0
    large[:, :, 2, 0:2, 4:6] = 2.0
    tokens = tokens_of_change(large, small, PATCH, share=2 / 18)
    assert torch.equal(mask_of(tokens, small, PATCH), large[0, 0] > 0)


def test_a_narrowed_model_computes_these_tokens_as_if_there_were_no_others() -> None:
    """With all of them it is the model; with some, others have no effect on them."""
    model = tiny_transformer()
    denoiser = recognise("transformer", model, installed().adapters)
    given = {
        "hidden_states": torch.randn(1, 4, 3, 4, 6),
        "timestep": torch.tensor([500.0]),
        "encoder_hidden_states": torch.randn(1, 6, 16),
    }
    bare, narrowed = model(**given)[0], Narrowed()
    with torch.no_grad(), narrowed.within(denoiser):
        narrowed.tokens = torch.arange(18)
        torch.testing.assert_close(model(**given)[0], bare)
        narrowed.tokens = torch.tensor([0, 5, 11])
        mask = mask_of(narrowed.tokens, bare, PATCH)
        some = model(**given)[0]
        given["hidden_states"] = given["hidden_states"].where(mask, torch.tensor(9.0))
        torch.testing.assert_close(model(**given)[0][..., mask], some[..., mask])
    assert not any(part._forward_pre_hooks for part in model.modules())


@pytest.mark.parametrize("thorough", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_it_behaves_between_two_experts(thorough: bool) -> None:
    """Of the standard targets, only this one has two models and switches between them itself."""
    (target,) = [one for one in standard_targets() if one.name == "Wan with two experts"]
    found = check_accelerator(
        HybridStitch,
        options={"steps": 2},
        targets=[replace(target, thorough=thorough)],
    )
    assert found.targets == (target.name,)
