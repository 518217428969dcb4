"""A study's report as a factorial of four accelerators makes it, computed from a small model."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from made_video import video

from sraccel.study.results import (
    Analysis,
    CellResult,
    Combination,
    Effect,
    Effects,
    Estimate,
    Pair,
    Share,
    Showcase,
    StudyReport,
    Switch,
    Timeline,
)

NAMES = ["srdiffusion", "teacache", "sageattention", "bf16-linear"]
FACTORS = {"srdiffusion": 2.05, "teacache": 1.83, "sageattention": 0.93, "bf16-linear": 1.17}
KEPT = {frozenset(NAMES[:2]): 0.871, frozenset(NAMES[1:3]): 0.984, frozenset(NAMES[2:]): 1.043}
LOSSES = {"srdiffusion": 0.031, "teacache": 0.044, "sageattention": 0.006, "bf16-linear": 0.001}
ADDED = {frozenset(NAMES[:2]): 0.019, frozenset(NAMES[1:3]): -0.004}
STEPS = 50
PROMPTS = [
    "a red circle moving left above a blue square moving right",
    "two yellow triangles that turn slowly in front of a dark wall, seen from a little above",
]
SEEDS = [0, 1, 2]


def estimate(value: float, spread: float, *, exact: bool = False) -> Estimate:
    """A value give or take a spread; `exact`: without an interval."""
    low, high = (None, None) if exact else (value - spread, value + spread)
    return Estimate(value=value, low=low, high=high)


def subsets(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """All of them, the small ones first."""
    for count in range(len(names) + 1):
        yield from combinations(names, count)


def speed(names: Sequence[str]) -> float:
    pairs = (KEPT.get(frozenset(pair), 1.0) for pair in combinations(names, 2))
    return math.prod([*(FACTORS[name] for name in names), *pairs])


def loss(names: Sequence[str]) -> float:
    pairs = (ADDED.get(frozenset(pair), 0.0) for pair in combinations(names, 2))
    return sum([*(LOSSES[name] for name in names), *pairs])


def qualities(lost: float, *, exact: bool) -> dict[str, dict[str, Estimate]]:
    """What a cell keeps and loses, if it loses so much of the semantic score."""
    psnr = 100.0 if lost == 0 else 36 - 150 * lost
    rmse = 0.0 if lost == 0 else 10 ** (-psnr / 20)
    return {
        "quality": {
            "psnr_db": estimate(psnr, 0.0 if lost == 0 else 0.9, exact=exact),
            "ssim": estimate(1 - 1.4 * lost, 0.3 * lost, exact=exact),
            "semantic": estimate(0.93 - lost, 0.008, exact=exact),
        },
        "loss": {
            "psnr_db": estimate(rmse, 0.1 * rmse, exact=exact),
            "ssim": estimate(1.4 * lost, 0.3 * lost, exact=exact),
            "semantic": estimate(lost, 0.002 + 0.1 * lost, exact=exact),
        },
    }


def stack(names: Sequence[str], *, exact: bool) -> CellResult:
    """A cell of these accelerators; of none, the bare one."""
    made = cell(" + ".join(names) or "bare", speed(names), loss(names), names, exact=exact)
    made.kind = "stack" if names else "bare"
    made.reused = 0.62 if "teacache" in names else 0.0
    if "srdiffusion" in names:
        made.switch = Switch(median=24, least=21, most=26, never=0)
    return made


def fewer(steps: int, *, exact: bool) -> CellResult:
    """A cell of fewer plain steps."""
    value = STEPS / steps
    made = cell(f"{steps} steps", value, 0.005 * (value - 1) ** 1.8 + 0.03, [], exact=exact)
    made.num_inference_steps = steps
    return made


def cell(
    name: str, value: float, lost: float, accelerators: Sequence[str], *, exact: bool
) -> CellResult:
    """A cell so many times as fast as the bare one; it loses so much of the semantic score."""
    spread = 0.02 * value if value != 1 else 0.0
    return CellResult(
        name=name,
        kind="plain_steps",
        accelerators=list(accelerators),
        num_inference_steps=STEPS,
        blocks=6,
        finished=12,
        seconds=1.81 / value,
        speedup=estimate(value, 1.5 * spread, exact=exact),
        whole_call=estimate(1 / (0.9 / value + 0.1), spread, exact=exact),
        reused=0.0,
        **qualities(lost, exact=exact),
    )


def front(cell: CellResult, cells: Sequence[CellResult], name: str) -> float:
    """As if the resamples agreed nearly."""

    def beaten(other: CellResult) -> bool:
        faster = other.speedup.value > cell.speedup.value
        return faster and other.loss[name].value < cell.loss[name].value

    return 0.08 if any(map(beaten, cells)) else 0.91


def effects(
    names: Sequence[str],
    singles: dict[str, float],
    pairs: dict[frozenset[str], float],
    none: float,
    spread: float,
    *,
    exact: bool,
) -> list[Effect]:
    """Of every order; those of more than two accelerators are `none`, so are pairs not named."""
    found = []
    for part in filter(None, subsets(names)):
        value = singles[part[0]] if len(part) == 1 else pairs.get(frozenset(part), none)
        average = estimate(value, spread * len(part), exact=exact)
        found.append(Effect(accelerators=list(part), average=average, alone=average.model_copy()))
    return found


def effects_on_speed(names: Sequence[str], *, exact: bool) -> Effects:
    whole = math.log(speed(names))
    parts = {name: FACTORS[name] * (0.93 if name in NAMES[:2] else 1.02) for name in names}
    shares = [
        Share(
            accelerator=name,
            value=estimate(value, 0.05, exact=exact),
            share=estimate(math.log(value) / whole, 0.03, exact=exact),
        )
        for name, value in parts.items()
    ]
    found = effects(names, FACTORS, KEPT, 1.0, 0.012, exact=exact)
    return Effects(effects=found, shapley=shares)


def effects_on_loss(names: Sequence[str], scale: float, *, exact: bool) -> Effects:
    singles, pairs = (
        {key: scale * value for key, value in table.items()} for table in (LOSSES, ADDED)
    )
    shares = [
        Share(accelerator=name, value=estimate(singles[name] + scale * 0.004, scale * 0.004))
        for name in names
    ]
    found = effects(names, singles, pairs, 0.0, scale * 0.0015, exact=exact)
    return Effects(effects=found, shapley=shares)


def pair(one: str, other: str, *, exact: bool) -> Pair:
    single, second = FACTORS[one], FACTORS[other]
    kept, together = KEPT.get(frozenset((one, other)), 1.0), speed((one, other))
    base = math.log(single * second)
    index = None if abs(base) < 0.1 else estimate(math.log(together) / base, 0.03, exact=exact)
    return Pair(
        accelerators=(one, other),
        index=index,
        together=estimate(together, 0.04, exact=exact),
        product=estimate(single * second, 0.05, exact=exact),
        kept=estimate(kept, 0.014, exact=exact),
        best_single=estimate(together / max(single, second), 0.01, exact=exact),
        why=None if index else "alone, neither one changes the speed enough to say",
    )


def combination(names: Sequence[str], *, exact: bool) -> Combination:
    """`speed` knows of pairs only: they predict all."""
    together, product = speed(names), math.prod(FACTORS[name] for name in names)
    return Combination(
        accelerators=list(names),
        together=estimate(together, 0.04, exact=exact),
        product=estimate(product, 0.05, exact=exact),
        from_pairs=estimate(together, 0.05, exact=exact),
        beside_product=estimate(together / product, 0.02, exact=exact),
        beside_pairs=estimate(1.0, 0.02, exact=exact),
    )


def timeline(cell: CellResult, draw: random.Random) -> Timeline:
    count = cell.num_inference_steps or STEPS
    switch = 24 if "srdiffusion" in cell.accelerators else None
    cached = "teacache" in cell.accelerators
    return Timeline(
        cell=cell.name,
        denoisers=["render" if switch and at >= switch else "transformer" for at in range(count)],
        reused=[
            draw.choice([0.0, 0.5, 1.0, 1.0]) if cached and at not in (0, switch) else 0.0
            for at in range(count)
        ],
        seconds=[0.03] * count,
        switch_step=switch,
    )


def full(*, names: Sequence[str] = tuple(NAMES), exact: bool = False) -> StudyReport:
    """All stacks of these accelerators, three cells of fewer steps; `exact`: one block."""
    cells = [stack(part, exact=exact) for part in subsets(names)]
    cells += [fewer(steps, exact=exact) for steps in (30, 20, 12)]
    for cell in cells:
        cell.front = {name: front(cell, cells, name) for name in cell.loss}
    draw = random.Random(0)
    showcases = [
        Showcase(prompt=prompt, seed=seed, timelines=[timeline(cell, draw) for cell in cells])
        for prompt, seed in zip(PROMPTS, SEEDS, strict=False)
    ]
    pairs = [pair(*both, exact=exact) for both in combinations(names, 2)]
    scales = {"psnr_db": 0.7, "ssim": 1.4, "semantic": 1.0}
    return StudyReport(
        name="demo factorial",
        design="full",
        prompts=PROMPTS,
        seeds=SEEDS,
        repeats=2,
        done=len(cells) * 12,
        planned=len(cells) * 12,
        stopped="precise",
        accelerators=list(names),
        recipe={"accelerators": [{"use": name} for name in names]},
        call={"num_inference_steps": STEPS, "guidance_scale": 5.0, "height": 64, "width": 96},
        model={"transformer": {"class": "DemoTransformer", "parameters": 1_204_480}},
        versions={"python": "3.12.3", "torch": "2.9.0"},
        environment={"device": "cpu: x86_64", "threads": "2"},
        warnings=["sageattention: emulated kernel; its quality is real, its speed is not"],
        analysis=Analysis(
            resamples=2000,
            blocks=1 if exact else 6,
            cells=cells,
            speed=effects_on_speed(names, exact=exact),
            pairs=pairs,
            combinations=[
                combination(part, exact=exact) for part in subsets(names) if len(part) > 2
            ],
            losses={
                name: effects_on_loss(names, scale, exact=exact) for name, scale in scales.items()
            },
            precision=0.021,
        ),
        showcases=showcases,
    )


def with_failure(report: StudyReport) -> StudyReport:
    """The same, where the last of the stacks never finished a run."""
    cell = next(cell for cell in reversed(report.analysis.cells) if cell.kind == "stack")
    broken = CellResult(
        name=cell.name,
        kind="stack",
        accelerators=cell.accelerators,
        num_inference_steps=STEPS,
        failed=12,
        errors=["OutOfMemoryError: tried to allocate 2.5 GiB"],
    )
    report.analysis.cells[report.analysis.cells.index(cell)] = broken
    report.warnings.append(f"{cell.name}: 12 of 12 runs failed: {broken.errors[0]}")
    return report


def shown_cells(report: StudyReport) -> list[str]:
    """The bare cell, the full stack, and each accelerator alone."""
    cells = [cell for cell in report.analysis.cells if cell.kind != "plain_steps"]
    wanted = (0, 1, len(report.accelerators))
    return [cell.name for cell in cells if len(cell.accelerators) in wanted]


def with_videos(report: StudyReport, folder: Path) -> StudyReport:
    """The same with small MP4s in the folder: 16 frames at 8 per second."""
    for number, showcase in enumerate(report.showcases):
        for place, name in enumerate(shown_cells(report)):
            path = folder / f"{number}-{place}.mp4"
            path.write_bytes(video(number, place))
            showcase.videos[name] = path.name
    return report
