"""What each cell did, step by step: a strip of models, with what was skipped, and the switch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from sraccel.report.page.words import finite
from sraccel.study.report.words import counted

if TYPE_CHECKING:
    from sraccel.study.report_model import Showcase, StudyReport, Timeline

LOOKS = 4
"""So many models differ in colour."""
ROW = 24.0
"""Height of a strip, in pixels."""
MARKS = 6
"""Numbers on the axis, at most."""


@dataclass(frozen=True)
class Stretch:
    """Steps that went the same way; places in percent, heights in pixels.

    Attributes:
        skipped: height of the part that stands for skipped calls.
    """

    start: float
    width: float
    look: str
    skipped: float
    said: str


@dataclass(frozen=True)
class Strip:
    """A cell's steps; `switch` in percent."""

    cell: str
    stretches: list[Stretch]
    switch: float | None
    said: str


@dataclass(frozen=True)
class Strips:
    """All cells of a showcase.

    Attributes:
        models: looks and names, for the legend.
        ticks: steps of the axis, of cells with `steps` steps; places in percent.
    """

    strips: list[Strip]
    models: list[tuple[str, str]]
    skips: bool
    switches: bool
    steps: int
    ticks: list[tuple[float, str]]


def strips(report: StudyReport, showcase: Showcase) -> Strips | None:
    """The drawing of a showcase, in the order of the cells; None if it has no timeline."""
    order = {cell.name: place for place, cell in enumerate(report.analysis.cells)}
    lines = [line for line in showcase.timelines if line.denoisers]
    lines.sort(key=lambda line: order.get(line.cell, len(order)))
    if not lines:
        return None
    roles = list(dict.fromkeys(role for line in lines for role in line.denoisers))
    looks = {role: f"m{number % LOOKS}" for number, role in enumerate(roles)}
    steps = max(len(line.denoisers) for line in lines)
    return Strips(
        strips=[_strip(line, looks) for line in lines],
        models=[(look, role) for role, look in looks.items()],
        skips=any(_skipped(line) for line in lines),
        switches=any(line.switch_step is not None for line in lines),
        steps=steps,
        ticks=_ticks(steps),
    )


def _strip(line: Timeline, looks: dict[str, str]) -> Strip:
    count = len(line.denoisers)
    switch = line.switch_step
    return Strip(
        line.cell,
        _stretches(line, looks),
        None if switch is None or not 0 <= switch < count else 100 * switch / count,
        _said(line),
    )


def _stretches(line: Timeline, looks: dict[str, str]) -> list[Stretch]:
    count = len(line.denoisers)
    shares = _shares(line)
    found: list[Stretch] = []
    place = 0
    for (role, skipped), members in groupby(zip(line.denoisers, shares, strict=True)):
        length = len(list(members))
        last = place + length - 1
        steps = f"step {place}" if length == 1 else f"steps {place} to {last}"
        said = f"{steps}: {role}" + (f", {skipped:.0%} of the calls skipped" if skipped else "")
        start, width = 100 * place / count, 100 * length / count
        found.append(Stretch(start, width, looks[role], ROW * skipped, said))
        place += length
    return found


def _shares(line: Timeline) -> list[float]:
    """Of each step, from 0 to 1; 0 where nothing was noted."""
    noted = [min(1.0, max(0.0, finite(value) or 0.0)) for value in line.reused]
    return (noted + [0.0] * len(line.denoisers))[: len(line.denoisers)]


def _skipped(line: Timeline) -> float:
    return sum(_shares(line))


def _said(line: Timeline) -> str:
    """`50 steps; switch at 24; 31 steps' worth of calls skipped`."""
    parts = [counted(len(line.denoisers), "step")]
    if line.switch_step is not None:
        parts.append(f"switch at {line.switch_step}")
    shares = _shares(line)
    whole, touched = sum(value == 1 for value in shares), sum(value > 0 for value in shares)
    if touched:
        part = f", {touched - whole} more in part" if touched > whole else ""
        parts.append(f"{whole} skipped{part}")
    return "; ".join(parts)


def _ticks(steps: int) -> list[tuple[float, str]]:
    apart = next(
        (n * 10**power for power in range(9) for n in (1, 2, 5) if steps <= MARKS * n * 10**power),
        steps,
    )
    return [(100 * step / steps, str(step)) for step in range(0, steps, apart)]
