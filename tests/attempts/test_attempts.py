"""What people stack today, each as a small accelerator beside SRDiffusion on the demo pair.

Each changes nothing where it decides nothing, leaves the pipeline as it was, and is seen in the
report under its own name.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import attempts
import pytest
import torch
from attempts.around import TextCache, TiledVAE
from attempts.caches import (
    DiCache,
    FirstBlocksCache,
    MagCache,
    MagCalibration,
    Schedule,
    TaylorSeer,
)
from attempts.calls import EasyCacheRule, GuidanceCache, HybridStitch, KeepsDifference, Steps
from attempts.modules import (
    Broadcast,
    FewerTextTokens,
    FirstBlockCache,
    QuantisedWeights,
    RegionalCompile,
)
from attempts.packages import FewStepLora, TorchAO
from sraccel_cache_dit import DBCache
from untouched import state

import sraccel
from sraccel.demo.pair import DEMO_WEIGHTS
from sraccel.plugin import Accelerator
from sraccel.testing import load_demo_pipeline

pytestmark = pytest.mark.skipif(
    not (DEMO_WEIGHTS / "transformer").is_dir(), reason="the demo pair's weights are not here"
)
STEPS, SWITCH = 8, 5
SMALL = {"height": 32, "width": 32, "num_frames": 2}
"""Less than the pair is trained for: what is shown here needs no good video."""
SRDIFFUSION = {"use": "srdiffusion", "render": "demo", "switch_step": SWITCH}


@cache
def pipeline() -> Any:
    pipe = load_demo_pipeline()
    pipe.set_progress_bar_config(disable=True)
    return pipe


def generated(output_type: str = "latent") -> torch.Tensor:
    return pipeline()(
        prompt="a red circle moving left",
        num_inference_steps=STEPS,
        **SMALL,
        generator=torch.Generator().manual_seed(0),
        output_type=output_type,
    ).frames


def run(*accelerators: Accelerator, output_type: str = "latent") -> Any:
    """The result and the report of a run beside SRDiffusion."""
    with sraccel.compose(pipeline(), [SRDIFFUSION, *accelerators]) as stack:
        return torch.as_tensor(generated(output_type)), stack.report


@cache
def switched(output_type: str = "latent") -> torch.Tensor:
    return run(output_type=output_type)[0]


def record(report: sraccel.Report, name: str) -> Any:
    return next(one for one in report.accelerators if one.name == name)


def calls(report: sraccel.Report) -> list[Any]:
    return [call for step in report.steps for call in step.calls]


def skips(name: str, level: str, predictor: str | None = None) -> Callable[[Any], bool]:
    """Whether a report says that this rule skipped calls of both models, at this level."""

    def said(report: Any) -> bool:
        skipped = [call for call in calls(report) if call.reused]
        return (
            {call.denoiser for call in skipped} == {"transformer", "render"}
            and {(call.reused_by, call.level, call.predicted_by) for call in skipped}
            == {(name, level, predictor)}
            and record(report, name).reused_calls == len(skipped)
            and any(call.denoiser == "render" and not call.reused for call in calls(report))
        )

    return said


def answers(name: str, evaluated: set[str]) -> Callable[[Any], bool]:
    """Whether a report says that calls were answered, by evaluating these denoisers."""

    def said(report: Any) -> bool:
        found = [call for call in calls(report) if call.answered_by == name]
        roles = {one.denoiser for call in found for one in call.evaluations}
        return record(report, name).answered_calls == len(found) > 0 and roles == evaluated

    return said


def shares(name: str) -> Callable[[Any], bool]:
    """Whether a report says what share of the work was skipped by other means."""
    return lambda report: (
        0 < record(report, name).skipped_share < 1
        and any(call.skips.get(name) for call in calls(report))
    )


def planned(name: str, steps: int) -> Callable[[Any], bool]:
    """Whether a report says who planned so many steps."""
    return lambda report: (
        (report.asked_steps, report.num_inference_steps, report.planned_by) == (STEPS, steps, name)
    )


@dataclass
class Attempt:
    """How to make it act and be idle, and what the report of an acting one must say.

    Attributes:
        residue: attributes that torch or diffusers leave on modules whose change they undo.
    """

    acting: Callable[[], list[Accelerator]]
    idle: Callable[[], list[Accelerator]]
    seen: Callable[[Any], bool]
    changes: bool = True
    output_type: str = "latent"
    residue: frozenset[str] = frozenset()

    def left(self) -> Any:
        """What is on the pipeline and its modules; the VAE keeps things of its last run."""
        pipe = pipeline()
        modules = [
            {name: value for name, value in one.items() if name not in self.residue}
            for one in state(pipe.transformer)
        ]
        return modules, [set(vars(item)) for item in (pipe, pipe.scheduler, *pipe.vae.modules())]


RATIOS = [1.0] * 3 + [0.999] * 20
ATTEMPTS = {
    "static schedule": Attempt(
        lambda: [Schedule([0, 1, 3, 5, 6])], lambda: [Schedule(None)], skips("schedule", "blocks")
    ),
    "taylorseer": Attempt(
        lambda: [Schedule([0, 1, 3, 5, 6]), TaylorSeer()],
        lambda: [Schedule(None), TaylorSeer()],
        skips("schedule", "blocks", "taylorseer"),
    ),
    "magcache": Attempt(
        lambda: [MagCache(RATIOS, 0.1, at_most=1)],
        lambda: [MagCache(RATIOS, 0.0), MagCalibration()],
        skips("magcache", "blocks"),
    ),
    "fbcache": Attempt(
        lambda: [FirstBlocksCache(0.9)],
        lambda: [FirstBlocksCache(0.0)],
        skips("first-blocks-cache", "blocks"),
    ),
    "dbcache with taylorseer": Attempt(
        lambda: [FirstBlocksCache(0.9, (1, -1)), TaylorSeer()],
        lambda: [FirstBlocksCache(0.0, (1, -1)), TaylorSeer()],
        skips("first-blocks-cache", "blocks", "taylorseer"),
    ),
    "dicache": Attempt(
        lambda: [DiCache(0.3)], lambda: [DiCache(0.0)], skips("dicache", "blocks", "dicache")
    ),
    "easycache's rule": Attempt(
        lambda: [EasyCacheRule(9.0)], lambda: [EasyCacheRule(0.0)], skips("easycache", "call")
    ),
    "exact easycache": Attempt(
        lambda: [EasyCacheRule(9.0), KeepsDifference()],
        lambda: [EasyCacheRule(0.0), KeepsDifference()],
        skips("easycache", "call", "keeps-difference"),
    ),
    "guidance cache beside a cache": Attempt(
        lambda: [GuidanceCache(2), Schedule([0, 1, 2, 5, 6])],
        lambda: [GuidanceCache(1), Schedule(None)],
        answers("guidance-cache", set()),
    ),
    "hybrid stitch": Attempt(
        lambda: [HybridStitch(range(2, 4))],
        lambda: [HybridStitch(range(0))],
        answers("hybrid-stitch", {"transformer", "render"}),
    ),
    "placed steps": Attempt(
        lambda: [Steps([0, 1, 2, 4, 6], between=6)],
        lambda: [Steps(None)],
        planned("placed-steps", 6),
    ),
    "attention broadcast": Attempt(
        lambda: [Broadcast(2)], lambda: [Broadcast(1)], shares("attention-broadcast")
    ),
    "diffusers' own cache": Attempt(
        lambda: [FirstBlockCache(0.9)],
        lambda: [FirstBlockCache(0.0)],
        shares("diffusers-first-block-cache"),
        residue=frozenset({"forward", "_diffusers_hook", "_cache_config"}),
    ),
    "quantisation": Attempt(
        lambda: [QuantisedWeights(127)],
        lambda: [QuantisedWeights(None)],
        lambda report: record(report, "quantised-weights") is not None,
    ),
    "token reduction": Attempt(
        lambda: [FewerTextTokens(6)],
        lambda: [FewerTextTokens(10**6)],
        lambda report: record(report, "fewer-text-tokens") is not None,
    ),
    "regional compile beside a cache": Attempt(
        lambda: [RegionalCompile(), Schedule([0, 1, 3, 5, 6])],
        lambda: [RegionalCompile()],
        skips("schedule", "blocks"),
        residue=frozenset({"_is_torch_compile"}),
    ),
    "vae tiling": Attempt(
        lambda: [TiledVAE()],
        list,
        lambda report: record(report, "tiled-vae") is not None,
        changes=False,
        output_type="pt",
    ),
    "text cache": Attempt(
        lambda: [TextCache()],
        list,
        lambda report: record(report, "text-cache").notes == {"prompts_known": 0},
        changes=False,
    ),
}


def dbcache(threshold: float) -> DBCache:
    return DBCache(DBCache.Options(threshold=threshold, warm_up=1))


PACKAGES = {
    "cache-dit": (
        "cache_dit",
        Attempt(
            lambda: [dbcache(0.9)],
            lambda: [dbcache(0.0)],
            shares("cache-dit"),
            residue=frozenset({"forward"}),
        ),
    ),
    "few-step lora": (
        "peft",
        Attempt(
            lambda: [FewStepLora(0.1, [0, 1, 2, 3, 5, 7])],
            lambda: [FewStepLora(0.0, None)],
            planned("few-step-lora", 6),
            residue=frozenset({"_hf_peft_config_loaded"}),
        ),
    ),
    "torchao": (
        "torchao",
        Attempt(
            lambda: [TorchAO()], list, lambda report: record(report, "torchao").prepare_seconds > 0
        ),
    ),
}
"""By name: the module that must be there, and what is tried with it."""


@pytest.mark.parametrize("name", PACKAGES)
def test_another_package_is_idle_or_seen_in_the_report_and_leaves_all_as_it_was(name: str) -> None:
    module, attempt = PACKAGES[name]
    pytest.importorskip(module, reason=f"{name} is not installed")
    check(attempt)


@pytest.mark.parametrize("name", ATTEMPTS)
def test_an_attempt_is_idle_or_seen_in_the_report_and_leaves_all_as_it_was(name: str) -> None:
    check(ATTEMPTS[name])


def check(attempt: Attempt) -> None:
    pipe = pipeline()
    expected = switched(attempt.output_type)
    with pipe.transformer.cache_context("any"):  # diffusers keeps a registry from then on
        pass
    before = attempt.left()
    idle, _ = run(*attempt.idle(), output_type=attempt.output_type)
    assert torch.equal(idle, expected), "idle, and something changed"
    acting, report = run(*attempt.acting(), output_type=attempt.output_type)
    assert attempt.seen(report)
    assert torch.isfinite(acting).all()
    assert torch.equal(acting, expected) != attempt.changes
    assert {call.denoiser for call in calls(report)} == {"transformer", "render"}
    assert attempt.left() == before
    again, _ = run(output_type=attempt.output_type)
    assert torch.equal(again, expected)


def test_attempts_use_public_names_only() -> None:
    for file in Path(attempts.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sraccel"):
                assert node.module == "sraccel.plugin", file
            if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
                own = isinstance(node.value, ast.Name) and node.value.id in ("self", "attempts")
                assert own or node.attr.startswith("__"), f"{file.name}: {node.attr}"
            assert not (isinstance(node, ast.Attribute) and node.attr == "forward"), file
