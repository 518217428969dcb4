"""cache-dit's DBCache in a stack: its output is cache-dit's own, its gain is in the report."""

from __future__ import annotations

import itertools
import logging
from typing import Any

import pytest
import torch
from diffusers import WanPipeline
from sraccel_cache_dit import DBCache
from tiny_models import IDENTITY, call_arguments, tiny_pipeline, tiny_transformer
from untouched import untouched

import sraccel
from sraccel.testing import check_accelerator, standard_targets

cache_dit = pytest.importorskip(
    "cache_dit", reason="cache-dit is not installed: `pip install cache-dit`"
)
STEPS = 10
logging.getLogger("cache_dit").setLevel(logging.ERROR)
EAGER = {"threshold": 0.5, "warm_up": 2}


@pytest.fixture(scope="module")
def wan() -> WanPipeline:
    torch.set_grad_enabled(False)
    return tiny_pipeline()


def made(**options: Any) -> DBCache:
    return DBCache(DBCache.Options(**{**EAGER, **options}))


def generated(pipe: Any, **arguments: Any) -> torch.Tensor:
    return pipe(**{**call_arguments(STEPS), **arguments}).frames


def shares(report: Any) -> list[list[float]]:
    return [[call.skips.get("cache-dit", 0.0) for call in step.calls] for step in report.steps]


CALIBRATORS: dict[str, Any] = {
    "none": None,
    "taylorseer": cache_dit.TaylorSeerCalibratorConfig(taylorseer_order=1),
    "foca": cache_dit.FoCaCalibratorConfig(),
    "dmd": cache_dit.DMDCalibratorConfig(dmd_history=4),
}


@pytest.mark.parametrize("calibrator", CALIBRATORS)
@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_the_latents_are_those_of_cache_dit_alone(
    guidance: float, calibrator: Any, wan: WanPipeline
) -> None:
    cache = made(calibrator=calibrator, history=4)
    with untouched(wan), sraccel.compose(wan, [cache]) as stack:
        first = generated(wan, guidance_scale=guidance)
        second = generated(wan, guidance_scale=guidance)
    assert torch.equal(first, second)
    found = shares(stack.report)
    assert max(map(max, found)) == pytest.approx(2 / 3)
    assert all(len(set(step)) == 1 for step in found)

    fresh = tiny_pipeline()
    config = cache_dit.DBCacheConfig(
        Fn_compute_blocks=1,
        residual_diff_threshold=0.5,
        max_warmup_steps=2,
        enable_separate_cfg=guidance > 1,
    )
    known = CALIBRATORS[calibrator]
    cache_dit.enable_cache(fresh.transformer, cache_config=config, calibrator_config=known)
    assert torch.equal(generated(fresh, guidance_scale=guidance), first)


def test_each_calibrator_predicts_otherwise(wan: WanPipeline) -> None:
    found = []
    for calibrator in CALIBRATORS:
        with sraccel.compose(wan, [made(calibrator=calibrator, history=4, max_in_a_row=1)]):
            found.append(generated(wan, num_inference_steps=20))
    pairs = itertools.combinations(found, 2)
    assert not any(torch.equal(one, other) for one, other in pairs)


def test_a_switch_starts_it_anew_on_the_render_model(wan: WanPipeline) -> None:
    render = tiny_transformer(seed=7, layers=2)
    switch = {"use": "srdiffusion", "render": render, "switch_step": 5}
    with untouched(wan, render), sraccel.compose(wan, [switch, made()]) as stack:
        first, second = generated(wan), generated(wan)
    assert torch.equal(first, second)
    found = shares(stack.report)
    assert max(map(max, found[2:5])) > 0
    assert found[5:7] == [[0.0, 0.0]] * 2, "warm-up of the other model"
    assert max(map(max, found[7:])) == pytest.approx(1 / 2)


def test_a_threshold_of_0_changes_no_bit(wan: WanPipeline) -> None:
    bare = generated(wan)
    with sraccel.compose(wan, [made(threshold=0.0)]) as stack:
        assert torch.equal(generated(wan), bare)
    assert f"cache-dit skipped nothing in {STEPS} steps" in stack.report.warnings


def test_a_model_of_few_blocks_is_refused_in_words(wan: WanPipeline) -> None:
    with pytest.raises(sraccel.ModelError, match=r"8 blocks that always run.*has 3"):
        sraccel.compose(wan, [made(first=8)])


def test_beside_a_rule_it_is_refused(wan: WanPipeline) -> None:
    teacache = {"use": "teacache", "threshold": 0.1, "coefficients": IDENTITY}
    with pytest.raises(sraccel.ConflictError, match="both decide when to skip"):
        sraccel.compose(wan, [teacache, made()])


@pytest.mark.parametrize(
    "target", ["Wan with two experts", pytest.param("Wan", marks=pytest.mark.slow)]
)
def test_it_behaves(target: str) -> None:
    found = check_accelerator(
        DBCache,
        options=EAGER,
        idle={"threshold": 0.0},
        leaves={"forward", "_diffusers_hook", "_cache_config"},
        targets=[one for one in standard_targets() if one.name == target],
    )
    assert found.targets == (target,)
