"""What `front.py` compares, as plain data: candidates by family, and how each is put on a pipeline.

A setting is JSON: `recipe` (for `sraccel.compose`), `diffusers` (a cache's configuration there),
`cache_dit`, or none of them; `steps` of the grid, `role` of the pair's model that is the pipeline's
own, `follows` another setting's computed steps, with no cache; `prompts`: on so many only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import diffusers.hooks
import torch

import sraccel
from sraccel.calibration.budgets import BudgetFile
from sraccel.demo.pair import DEMO_WEIGHTS

STEPS = 50
TARGETS = (3.0, 4.0)
FAST = 10.0
REACHES = 0.98
"""Of a target: caches come in whole steps, and 12 of 50 with the rest of the others are 3.95x."""
BARE = "bare"
FIRST_BLOCK, MAG = "FirstBlockCache (diffusers)", "MagCache (diffusers)"
SEA, TAYLOR = "SeaCache (diffusers)", "TaylorSeer (diffusers)"
DB, DB_CALIBRATED = "DBCache (cache-dit)", "DBCache and TaylorSeer (cache-dit)"
PEERS = (FIRST_BLOCK, MAG, SEA, TAYLOR, DB, DB_CALIBRATED)
SCHEDULE, FEEDBACK = "schedule + forecast", "feedback + forecast"
TEACACHE, SEACACHE = "teacache + forecast", "seacache + forecast"
OWN = (SCHEDULE, FEEDBACK, TEACACHE, SEACACHE)
UNIFORM, PLACED = "fewer steps, uniform", "fewer steps, placed"
AT_SCHEDULE, AT_OWN = "fewer steps, the schedule's", "plain steps where it computed"
RENDER = "render model alone"
STACK = "placed steps x SRDiffusion x forecast"


@dataclass(frozen=True)
class Setting:
    """One way of making the videos.

    Attributes:
        family: settings that differ in numbers only.
        label: these numbers.
        spec: as JSON; this module's docstring says what it holds.
    """

    family: str
    label: str
    spec: Mapping[str, Any]

    @cached_property
    def name(self) -> str:
        """Family and label."""
        return f"{self.family}: {self.label}" if self.label else self.family

    def on(self, prompts: int) -> Setting:
        """The same on the first prompts only."""
        return Setting(self.family, self.label, {**self.spec, "prompts": prompts})


@contextmanager
def attached(pipe: Any, spec: Mapping[str, Any], render: torch.nn.Module) -> Iterator[Any]:
    """The pipeline under a setting; yields the stack, where it is one of sraccel's."""
    if "recipe" in spec:
        recipe = [
            {key: render if key == "render" else value for key, value in item.items()}
            for item in spec["recipe"]
        ]
        stack = sraccel.compose(pipe, recipe)
        stack.logs_warnings = False
        with stack:
            yield stack
    elif "diffusers" in spec:
        pipe.transformer.enable_cache(_config(spec["diffusers"]))
        try:
            yield None
        finally:
            pipe.transformer.disable_cache()
    elif "cache_dit" in spec:
        with _cache_dit(pipe, **spec["cache_dit"]):
            yield None
    else:
        yield None


def _config(given: Mapping[str, Any]) -> Any:
    options = dict(given)
    if options.get("taylor_factors_dtype"):
        options["taylor_factors_dtype"] = torch.float32
    return getattr(diffusers.hooks, options.pop("config"))(**options)


@contextmanager
def _cache_dit(pipe: Any, order: int | None, **options: Any) -> Iterator[None]:
    import cache_dit

    calibrator = cache_dit.TaylorSeerCalibratorConfig(taylorseer_order=order) if order else None
    config = cache_dit.DBCacheConfig(**options)
    cache_dit.enable_cache(pipe, cache_config=config, calibrator_config=calibrator)
    try:
        yield
    finally:
        cache_dit.disable_cache(pipe)


def cache_dit_is_installed() -> bool:
    """Whether these rows can be measured."""
    return find_spec("cache_dit") is not None


# Candidates: what is chosen among, on other prompts than those reported.


def candidates(mag_ratios: list[float]) -> list[Setting]:
    """Peers and our caches; of each family the best that reaches a target is chosen."""
    found = [*_first_block(), *_mag(mag_ratios), *_sea(), *_taylor(), *_own()]
    return found + (_db() if cache_dit_is_installed() else [])


def _diffusers(family: str, config: str, label: str, **options: Any) -> Setting:
    return Setting(family, label, {"diffusers": {"config": config, **options}})


def _first_block() -> list[Setting]:
    return [
        _diffusers(FIRST_BLOCK, "FirstBlockCacheConfig", f"threshold {t}", threshold=t)
        for t in (0.2, 0.3, 0.5)
    ]


def _mag(ratios: list[float]) -> list[Setting]:
    rows = ((0.1, 5, 0.1), (0.2, 5, 0.1), (0.2, 7, 0.1), (0.4, 8, 0.06))
    return [
        _diffusers(
            MAG,
            "MagCacheConfig",
            f"threshold {threshold}, {skips} skips, retention {retention}",
            threshold=threshold,
            max_skip_steps=skips,
            retention_ratio=retention,
            mag_ratios=ratios,
            num_inference_steps=STEPS,
        )
        for threshold, skips, retention in rows
    ]


def _sea() -> list[Setting]:
    return [
        _diffusers(
            SEA,
            "SeaCacheConfig",
            f"threshold {threshold}, {cap} skips",
            threshold=threshold,
            max_consecutive_cached=cap,
        )
        for threshold, cap in ((0.4, 4), (0.3, 6), (0.6, 8))
    ]


def _taylor() -> list[Setting]:
    return [
        _diffusers(
            TAYLOR,
            "TaylorSeerCacheConfig",
            f"every {interval}, first {first}",
            cache_interval=interval,
            disable_cache_before_step=first,
            cache_identifiers=[r"blocks\.\d+\.(attn1|attn2|ffn)"],
            taylor_factors_dtype="float32",
        )
        for interval, first in ((5, 3), (6, 8), (8, 6), (9, 4))
    ]


def _db() -> list[Setting]:
    return [
        Setting(
            family,
            f"threshold {threshold}, warm-up {warm_up}",
            {
                "cache_dit": {
                    "Fn_compute_blocks": 1,
                    "Bn_compute_blocks": 0,
                    "residual_diff_threshold": threshold,
                    "max_warmup_steps": warm_up,
                    "order": order,
                }
            },
        )
        for family, order in ((DB, None), (DB_CALIBRATED, 1))
        for threshold, warm_up in ((0.24, 4), (0.4, 4), (0.3, 8), (0.5, 8))
    ]


def _own() -> list[Setting]:
    """Each rule with the default predictor."""
    rules: list[tuple[str, str, dict[str, Any]]] = [
        *((SCHEDULE, f"budget {n}", {"use": "schedule", "budget": n}) for n in (12, 16)),
        *(
            (FEEDBACK, f"tolerance {t}", {"use": "feedback", "tolerance": t})
            for t in (0.4, 0.8, 1.6, 3.2)
        ),
        (FEEDBACK, "tolerance 3.2, gap 12", {"use": "feedback", "tolerance": 3.2, "max_gap": 12}),
        (TEACACHE, "threshold 0.1", {"use": "teacache", "threshold": 0.1}),
        *(
            (SEACACHE, f"threshold {t}, {cap} skips", _sea_rule(t, cap))
            for t, cap in ((0.4, 6), (0.6, 8))
        ),
    ]
    return [
        Setting(family, label, {"recipe": [rule, {"use": "forecast"}]})
        for family, label, rule in rules
    ]


def _sea_rule(threshold: float, skips: int) -> dict[str, Any]:
    return {"use": "seacache", "threshold": threshold, "max_skips": skips}


def stacks() -> list[Setting]:
    """Placed steps x SRDiffusion, without and with schedule x forecast, near ten times the speed.

    First the steps of the sketch model, then those of the render model; skipped ones are forecast.
    """
    return [
        _stack([0, 1, 2, 3], [6, 11, 18, 28, 40]),
        _stack([0, 1, 2, 5], [9, 14, 21, 30, 41]),
        _stack([0, 1, 4, 8], [12, 17, 24, 33, 42]),
        _stack([0, 2, 5, 9], [13, 18, 25, 33, 42]),
        _stack([0, 2, 5], [8, 11, 14, 18, 22, 27, 32, 38, 44]),
        _stack([0, 1, 2, 4, 8], [12, 17, 24, 33, 42], (4,)),
        _stack([0, 1, 2, 3, 5, 8], [12, 17, 24, 33, 42], (3, 8)),
        _stack([0, 1, 4, 8], [12, 14, 17, 20, 24, 28, 33, 37, 42], (20, 28, 37)),
    ]


def _stack(sketched: list[int], rendered: list[int], skipped: Sequence[int] = ()) -> Setting:
    positions = [*sketched, *rendered]
    recipe: list[dict[str, Any]] = [
        {"use": "steps", "positions": positions},
        {"use": "srdiffusion", "render": "demo", "switch_step": len(sketched)},
    ]
    label = f"{_said(sketched)}, then {_said(rendered)}"
    if skipped:
        computed = [i for i, position in enumerate(positions) if position not in skipped]
        recipe += [{"use": "schedule", "steps": computed}, {"use": "forecast"}]
        label += f", forecast at {_said(skipped)}"
    return Setting(STACK, label, {"recipe": recipe})


def _said(positions: Sequence[int]) -> str:
    return " ".join(map(str, positions))


def references() -> list[Setting]:
    """Each model of the pair alone, which also give the seconds of each part of a run."""
    return [Setting(BARE, "", {}), Setting(RENDER, "", {"role": "render"})]


def rivals() -> list[Setting]:
    """What needs no cache, at the same cost; nothing of it is chosen."""
    schedule = BudgetFile.load(DEMO_WEIGHTS / "schedule.json", "schedule")
    placed = BudgetFile.load(DEMO_WEIGHTS / "steps.json", "steps")
    return [
        *(Setting(UNIFORM, f"{n} steps", {"steps": n}) for n in (16, 12, 5)),
        *(
            Setting(PLACED, f"{n} steps", {"recipe": [{"use": "steps", "number": n}]})
            for n in (16, 12, 5, 4)
            if n in placed.budgets
        ),
        *(
            Setting(
                AT_SCHEDULE,
                f"{n} steps",
                {"recipe": [{"use": "steps", "positions": schedule.budget(n).positions}]},
            )
            for n in (16, 12)
        ),
    ]
