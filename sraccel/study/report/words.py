"""What the page, the Markdown and the terminal say of a study: names, numbers and verdicts.

Numbers become text here, with their intervals; what is missing is a dash, or a reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sraccel.report.page.words import DASH, TIMES, duration, finite, listed
from sraccel.video.metrics import PSNR_CAP

if TYPE_CHECKING:
    from sraccel.study.report_model import (
        CellResult,
        Estimate,
        Pair,
        StudyReport,
        Switch,
    )

KINDS = {"bare": "bare", "stack": "stack", "plain_steps": "plain steps"}
SPEED = "speedup"
IDENTICAL = "identical"
MAIN_METRIC = "semantic"
"""Shown first where it was taken."""
TOO_FEW = "too few blocks for an interval"
FEWEST = 3
"""Blocks that give an interval."""
LARGE = 1e6
"""Numbers from here on are written with an exponent."""


@dataclass(frozen=True)
class Metric:
    """How a quality metric is written.

    Attributes:
        loss: what its loss is called, if that is not the difference to the bare run.
        places, loss_places: decimals of a value, and of what is lost.
    """

    label: str
    places: int = 3
    unit: str = ""
    loss: str = ""
    loss_places: int = 3

    @property
    def heading(self) -> str:
        """The label, and the unit in brackets."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def lost(self) -> str:
        """What is lost, in words."""
        return self.loss or f"loss of {self.label}"


METRICS = {
    "psnr_db": Metric("PSNR", 1, "dB", "RMS error of the frames (of PSNR)", 4),
    "ssim": Metric("SSIM"),
    "semantic": Metric("semantic score"),
}


def metric(name: str) -> Metric:
    """How a metric is written; one that is not known goes by its name."""
    return METRICS.get(name) or Metric(name.replace("_", " "))


def metrics(report: StudyReport) -> list[str]:
    """Names of all metrics that were taken, the main one first."""
    found: dict[str, None] = {}
    for cell in report.analysis.cells:
        found |= dict.fromkeys([*cell.quality, *cell.loss])
    found |= dict.fromkeys(report.analysis.losses)
    return sorted(found, key=lambda name: name != MAIN_METRIC)


def decimals(value: float | None, places: int) -> str:
    """`0.874`; a dash where there is no number, an exponent where it is huge."""
    value = finite(value)
    if value is None:
        return DASH
    text = f"{value:.{places}f}" if abs(value) < LARGE else f"{value:.3g}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def signed(value: float | None, places: int) -> str:
    """`+0.012`, `-0.004` or `0.000`."""
    text = decimals(value, places)
    return f"+{text}" if finite(value) is not None and (value or 0) > 0 and _some(text) else text


def _some(text: str) -> bool:
    return any(digit in text for digit in "123456789")


def factor(value: float | None, places: int = 2, sign: str = TIMES) -> str:
    """`3.97` and the sign for times."""
    text = decimals(value, places)
    return text if text == DASH else text + sign


def interval(estimate: Estimate | None, places: int, sign: str = "") -> str:
    """`3.81 to 4.12`; nothing where no interval could be made."""
    bounds = limits(estimate)
    if bounds is None:
        return ""
    return " to ".join(decimals(bound, places) + sign for bound in bounds)


def limits(estimate: Estimate | None) -> tuple[float, float] | None:
    """Both ends of an interval, or None where it lacks one."""
    if estimate is None:
        return None
    low, high = finite(estimate.low), finite(estimate.high)
    return None if low is None or high is None else (low, high)


def known(estimate: Estimate | None) -> float | None:
    """The value, if there is one that can be shown."""
    return None if estimate is None else finite(estimate.value)


def side(estimate: Estimate | None, centre: float) -> int | None:
    """-1 or 1 where the whole interval lies below or above; 0 where it holds the centre.

    None where there is no interval.
    """
    bounds = limits(estimate)
    if bounds is None:
        return None
    return (bounds[0] > centre) - (bounds[1] < centre)


def quality(cell: CellResult, name: str) -> str:
    """A cell's value of a metric."""
    value = known(cell.quality.get(name))
    if name == "psnr_db" and value is not None and value >= PSNR_CAP:
        return IDENTICAL
    return decimals(value, metric(name).places)


def switched(switch: Switch | None) -> str:
    """Where a cell's runs switched, in the middle: `24`, `never`."""
    if switch is None:
        return DASH
    median = finite(switch.median)
    return "never" if median is None else f"{median:g}"


def spread(switch: Switch | None) -> str:
    """How far its runs were apart: `21 to 26, 2 never`."""
    if switch is None or finite(switch.median) is None:
        return ""
    apart = switch.least != switch.most and None not in (switch.least, switch.most)
    ends = [f"{switch.least} to {switch.most}"] if apart else []
    return ", ".join(ends + [f"{switch.never} never"] * bool(switch.never))


def share(value: float | None) -> str:
    """`62 %`."""
    value = finite(value)
    if value is None:
        return DASH
    return f"{value:.0%}".replace("%", " %").replace("-", "\N{MINUS SIGN}")


def seconds(value: float | None) -> str:
    """A duration, or a dash."""
    return DASH if finite(value) is None else duration(value)


def chain(names: Iterable[str]) -> str:
    """`srdiffusion + teacache`."""
    return " + ".join(names)


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 prompt`, `2 prompts`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def title(report: StudyReport) -> str:
    """The study's name, or what it studied."""
    return report.name or chain(report.accelerators) or "empty stack"


def what_was_run(report: StudyReport) -> str:
    """`19 cells x 12 blocks (4 prompts, 3 seeds), 2 repeats: 456 of 456 runs.`"""
    prompts, seeds = len(report.prompts), len(report.seeds)
    blocks = f"{counted(prompts * seeds, 'block')}"
    made = f"{counted(prompts, 'prompt')} and {counted(seeds, 'seed')}"
    rounds = f"in {counted(report.repeats, 'round')}"
    cells = counted(len(report.analysis.cells), "cell")
    return f"{cells}, {blocks} ({made}) {rounds}: {report.done:,} of {report.planned:,} runs."


def on_what(report: StudyReport) -> str:
    """The device, the number of steps, and how sure the intervals are."""
    parts = []
    if device := report.environment.get("device"):
        parts.append(device)
    bare = next((cell for cell in report.analysis.cells if cell.kind == "bare"), None)
    steps = report.call.get("num_inference_steps") or (bare and bare.num_inference_steps)
    if steps:
        parts.append(f"{steps} denoising steps")
    level = finite(report.analysis.level)
    if level is not None:
        parts.append(f"intervals of {level:.0%} over {report.analysis.drawn}".replace("%", " %"))
    return ", ".join(parts)


STOPPED = {
    "budget": "The study is not whole: its time was up",
    "interrupted": "The study is not whole: it was interrupted",
}


def notices(report: StudyReport) -> list[str]:
    """What to know before reading a number; what is missing comes first."""
    return [*_missing(report), *report.warnings]


def _missing(report: StudyReport) -> Iterable[str]:
    if report.done < report.planned:
        why = STOPPED.get(report.stopped, "The study is not whole")
        yield f"{why}; {report.done:,} of {report.planned:,} runs are there."
    elif report.stopped in STOPPED:
        yield f"{STOPPED[report.stopped]}; no further round was begun."
    failed = [cell.name for cell in report.analysis.cells if cell.failed]
    if failed:
        shown = listed(failed[:3] + [f"{len(failed) - 3} more"] * (len(failed) > 3))
        yield f"Runs failed in {counted(len(failed), 'cell')}: {shown}."
    if report.analysis.blocks < FEWEST:
        blocks = counted(report.analysis.blocks, "block")
        yield f"No intervals, of {blocks}: nothing says how sure the figures are."


def verdict(pair: Pair) -> str:
    """How two accelerators go together, in words."""
    ratio = known(pair.kept)
    if ratio is None:
        return pair.why or "could not be estimated"
    where = side(pair.kept, 1.0)
    said = {
        None: f"{TOO_FEW}: it cannot be told whether they add up",
        0: "cannot be told apart from adding up",
        -1: f"they lose to each other: {share(ratio)} of the product is kept",
        1: f"they help each other: {share(ratio)} of the product",
    }[where]
    slower = side(pair.best_single, 1.0) == -1
    return f"{said}; slower than the faster one alone" if slower else said


def full_stack(report: StudyReport) -> CellResult | None:
    """The cell with all accelerators of the recipe: of several, the first in the recipe's order."""
    whole = full_stacks(report)
    ordered = (cell for cell in whole if cell.accelerators == report.accelerators)
    return next(ordered, whole[0] if whole else None)


def full_stacks(report: StudyReport) -> list[CellResult]:
    """All cells with all accelerators: they differ in order, or in settings."""
    wanted = set(report.accelerators)
    return [
        cell
        for cell in report.analysis.cells
        if wanted and cell.kind == "stack" and set(cell.accelerators) == wanted
    ]


def weakest_pair(report: StudyReport) -> Pair | None:
    """The pair that keeps least of what its accelerators promise."""
    pairs = [pair for pair in report.analysis.pairs if known(pair.kept) is not None]
    return min(pairs, key=lambda pair: known(pair.kept) or 0.0, default=None)
