"""Blocks that are shown: their videos, and what each cell did, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from sraccel.errors import OutputError
from sraccel.report.page.clips import Clip, load_clip
from sraccel.report.words import counted, factor, finite, listed, share
from sraccel.study.report.cells import full_stack, full_stacks
from sraccel.study.report.estimates import known
from sraccel.text import shortened

if TYPE_CHECKING:
    from sraccel.study.results import CellResult, Showcase, StudyReport, Timeline

LONGEST = 90
"""Of a prompt in a list of blocks, in characters."""
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


@dataclass(frozen=True)
class Take:
    """A block.

    Attributes:
        label: its prompt, shortened, and its seed.
        clips: videos, and what stands beneath each: its label and its speedup.
        missing: what is not there, in words.
    """

    label: str
    prompt: str
    clips: list[tuple[Clip, str]]
    missing: str
    strips: Strips | None

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.clips[0][0].fps

    @property
    def frames(self) -> int:
        """So many has every video."""
        return min(clip.frames for clip, _ in self.clips)


def takes(report: StudyReport, folder: Path) -> list[Take]:
    """All showcases; a video that cannot be read is left out, and said."""
    return [_take(report, showcase, folder) for showcase in report.showcases]


def _take(report: StudyReport, showcase: Showcase, folder: Path) -> Take:
    clips, lost = [], []
    for name, label, speed in _order(report, showcase):
        try:
            clips.append((load_clip(name, label, _within(folder, showcase.videos[name])), speed))
        except OutputError:
            lost.append(name)
    missing = f"No video can be shown of {listed(lost)}: the file is not there." if lost else ""
    return Take(
        label=f"{shortened(' '.join(showcase.prompt.split()), LONGEST)} (seed {showcase.seed})",
        prompt=showcase.prompt,
        clips=clips,
        missing=missing,
        strips=strips(report, showcase),
    )


def _within(folder: Path, name: str) -> Path:
    """A path below the folder: a report from elsewhere shows no other file.

    Raises:
        OutputError: it leads elsewhere.
    """
    try:
        path = (folder / name).resolve()
        inside = path.is_relative_to(folder.resolve())
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot read the video {name}: {error}", path=folder) from error
    if not inside:
        raise OutputError(f"the video {name} is not in the study's folder", path=folder)
    return path


def _order(report: StudyReport, showcase: Showcase) -> Iterator[tuple[str, str, str]]:
    """Name, label and speedup of each cell with a video: bare, full stack, singles, others."""
    full = full_stack(report)
    cells = {cell.name: cell for cell in report.analysis.cells}

    def rank(name: str) -> int:
        cell = cells.get(name)
        if cell is None:
            return 4
        if cell.kind == "bare":
            return 0
        return 1 if cell is full else 2 if _single(cell) else 3

    for name in sorted(showcase.videos, key=rank):
        cell = cells.get(name)
        value = known(cell.speedup) if cell and cell.kind != "bare" else None
        whole = cell is not None and full_stacks(report) == [cell] and not _single(cell)
        label = "full stack" if whole else name
        yield name, label, "" if value is None else factor(value)


def _single(cell: CellResult) -> bool:
    return cell.kind == "stack" and len(cell.accelerators) == 1


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
        said = f"{steps}: {role}" + (f", {share(skipped)} of the calls skipped" if skipped else "")
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
