"""Blocks of which videos and timelines are shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sraccel.errors import OutputError
from sraccel.report.page.clips import Clip, load_clip
from sraccel.report.page.words import listed
from sraccel.study.report.page.strips import Strips, strips
from sraccel.study.report.words import factor, full_stack, full_stacks, known

if TYPE_CHECKING:
    from sraccel.study.report_model import CellResult, Showcase, StudyReport

LONGEST = 90
"""Of a prompt in a list of blocks, in characters."""


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
        label=f"{_short(showcase.prompt)} (seed {showcase.seed})",
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


def _short(prompt: str) -> str:
    text = " ".join(prompt.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
