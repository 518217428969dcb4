"""Diffusers' caches in a stack: their output is diffusers' own, their gain is in the report."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import WanPipeline
from pydantic import ValidationError
from sraccel_diffusers_caches import (
    FasterCache,
    FirstBlockCache,
    MagCache,
    PyramidAttention,
    SeaCache,
    TaylorSeer,
)
from tiny import COGVIDEOX_DDIM
from tiny_models import IDENTITY, call_arguments, tiny_pipeline, tiny_transformer
from untouched import untouched

import sraccel
from sraccel.plugin import Accelerator
from sraccel.testing import check_accelerator, standard_targets

STEPS = 10
RATIOS = [1.0, 1.01, 1.0, 0.99, 1.01, 1.0, 0.99, 1.0, 0.98, 0.97]
ANY = (-1.0, 1e9)


def made(kind: type[Accelerator], **options: Any) -> Accelerator:
    return kind(kind.Options(**options))


EAGER = [
    made(FirstBlockCache, threshold=0.3),
    made(MagCache, ratios=RATIOS, threshold=0.2),
    made(SeaCache, threshold=0.6),
    made(TaylorSeer, every=3, warm_up=2),
    made(TaylorSeer, every=3, warm_up=2, lite=True),
    made(PyramidAttention, timesteps=ANY),
    made(FasterCache, timesteps=(-1, 950)),
]
IDLE = [
    made(FirstBlockCache, threshold=0.0),
    made(MagCache, ratios=RATIOS, retention=1.0),
    made(SeaCache, threshold=0.0),
    made(TaylorSeer, every=1),
    made(PyramidAttention, spatial=1, timesteps=ANY),
    made(FasterCache, every=1),
]


def named(one: Accelerator) -> str:
    return one.name + "-lite" * bool(getattr(one.options, "lite", False))


@pytest.fixture(scope="module")
def wan() -> WanPipeline:
    torch.set_grad_enabled(False)
    return tiny_pipeline()


def generated(pipe: Any, **arguments: Any) -> torch.Tensor:
    return pipe(**{**call_arguments(STEPS), **arguments}).frames


def shares(report: Any, name: str) -> list[float]:
    return [call.skips.get(name, 0.0) for step in report.steps for call in step.calls]


@pytest.mark.parametrize("cache", EAGER, ids=named)
def test_without_guidance_the_latents_are_diffusers_own(
    cache: Any, wan: WanPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    with untouched(wan), sraccel.compose(wan, [cache]) as stack:
        first = generated(wan, guidance_scale=1.0)
        second = generated(wan, guidance_scale=1.0)
        assert not wan.transformer.is_cache_enabled, "between runs the model is bare"
    assert torch.equal(first, second)
    assert any(shares(stack.report, cache.name))
    (record,) = stack.report.accelerators
    assert record.skipped_share is not None
    assert record.notes["hooked_modules"]["transformer"] > 1

    fresh = tiny_pipeline()
    (denoiser,) = stack.denoisers.values()
    monkeypatch.setattr(cache, "timestep", lambda _: float(fresh.current_timestep))
    config = cache.config(denoiser)
    fresh.transformer.enable_cache(config)
    assert torch.equal(generated(fresh, guidance_scale=1.0), first)


@pytest.mark.parametrize("cache", IDLE, ids=named)
def test_where_they_skip_nothing_no_bit_changes(cache: Accelerator, wan: WanPipeline) -> None:
    bare = generated(wan)
    with sraccel.compose(wan, [cache]) as stack:
        assert torch.equal(generated(wan), bare)
    assert f"{cache.name} skipped nothing in {STEPS} steps" in stack.report.warnings


@pytest.mark.parametrize("cache", EAGER, ids=named)
def test_a_switch_starts_them_anew_on_the_render_model(cache: Accelerator) -> None:
    pipe, render = tiny_pipeline(), tiny_transformer(seed=7, layers=2)
    switch = {"use": "srdiffusion", "render": render, "switch_step": 5}
    with untouched(pipe, render), sraccel.compose(pipe, [switch, cache]) as stack:
        first, second = generated(pipe), generated(pipe)
    assert torch.equal(first, second)
    report = stack.report
    found = [[call.skips.get(cache.name, 0.0) for call in step.calls] for step in report.steps]
    assert found[0] == [0.0, 0.0]
    assert found[5] == [0.0, 0.0], "nothing of the other model is used"
    assert max(found[step][0] for step in range(1, 5)) > 0
    assert max(found[step][0] for step in range(6, STEPS)) > 0
    assert {call.denoiser for call in report.steps[6].calls} == {"render"}


@pytest.mark.parametrize("cache", [EAGER[-2], EAGER[-1]], ids=named)
def test_each_guidance_branch_reuses_its_own_attention(cache: Any, wan: WanPipeline) -> None:
    """Diffusers' hooks keep one state for both branches, so one would get the other's."""
    with sraccel.compose(wan, [cache]) as stack:
        generated(wan)
    found = [
        [call.skips.get(cache.name, 0.0) for call in step.calls] for step in stack.report.steps
    ]
    assert all(one == other for one, other in found)
    skipped = [step for step, (one, _) in enumerate(found) if one]
    assert skipped
    assert all(step % 2 for step in skipped)


class TestTaylorSeer:
    def test_diffusers_patterns_find_nothing_in_wan_and_sraccel_says_so(
        self, wan: WanPipeline
    ) -> None:
        from diffusers.hooks.taylorseer_cache import _TRANSFORMER_BLOCK_IDENTIFIERS as PATTERNS

        default = made(TaylorSeer, modules=list(PATTERNS))
        with (
            sraccel.compose(wan, [default]),
            pytest.raises(sraccel.ModelError, match="no module of the denoiser 'transformer'"),
        ):
            generated(wan)
        assert not wan.transformer.is_cache_enabled

    def test_the_parts_are_found_by_sraccel(self, wan: WanPipeline) -> None:
        with sraccel.compose(wan, [made(TaylorSeer)]) as stack:
            generated(wan, num_inference_steps=1)
        hooked = stack.report.accelerators[0].notes["hooked_modules"]
        assert hooked == {"transformer": 3 * len(wan.transformer.blocks)}


def test_beside_a_rule_they_are_refused(wan: WanPipeline) -> None:
    teacache = {"use": "teacache", "threshold": 0.1, "coefficients": IDENTITY}
    with pytest.raises(sraccel.ConflictError, match=r"both decide when to skip.*keep one"):
        sraccel.compose(wan, [teacache, EAGER[0]])


def test_a_model_of_one_block_has_no_first_block_to_go_by(wan: WanPipeline) -> None:
    render = tiny_transformer(seed=7, layers=1)
    switch = {"use": "srdiffusion", "render": render, "switch_step": 5}
    with pytest.raises(sraccel.ModelError, match="two blocks at least, and the denoiser 'render'"):
        sraccel.compose(wan, [switch, EAGER[0]])


def test_fastercache_leaves_out_half_of_a_batch() -> None:
    pipe = COGVIDEOX_DDIM.pipeline()
    arguments = COGVIDEOX_DDIM.arguments()
    cache = made(FasterCache, batched_guidance=True, format="BFCHW", unconditional_every=3)
    with sraccel.compose(pipe, [cache]) as stack:
        pipe(**arguments)
    found = shares(stack.report, cache.name)
    assert found[0] == 0.0
    assert 0.2 < max(found) < 1.0


def test_the_gain_is_attributed(wan: WanPipeline) -> None:
    cache = made(TaylorSeer, every=5, warm_up=1, lite=True)
    report = sraccel.compare(wan, [cache], **call_arguments(STEPS)).report
    (record,) = report.accelerators
    assert record.skipped_share is not None
    assert record.skipped_share > 0.4
    assert report.speedup.predicted == pytest.approx(record.factor)


def test_pyramid_attention_needs_something_to_reuse() -> None:
    with pytest.raises(ValidationError, match="one of spatial, temporal and cross"):
        PyramidAttention.Options(spatial=None)


@pytest.mark.parametrize(
    "target",
    [
        "Wan with two experts",
        pytest.param("Wan", marks=pytest.mark.slow),
        pytest.param("Wan's transformer", marks=pytest.mark.slow),
        pytest.param("Wan under Heun's method", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("cache", EAGER, ids=named)
def test_they_behave(cache: Accelerator, target: str) -> None:
    (idle,) = [one.options for one in IDLE if type(one) is type(cache)]
    found = check_accelerator(
        type(cache),
        options=cache.options.model_dump(exclude_unset=True),
        idle=idle.model_dump(exclude_unset=True),
        leaves={"forward", "_diffusers_hook", "_cache_config"},
        targets=[one for one in standard_targets() if one.name == target],
    )
    assert found.targets == (target,)
