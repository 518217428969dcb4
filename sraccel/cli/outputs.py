"""The files that a command leaves in its output folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from sraccel.errors import ModelError
from sraccel.frames import frames_of
from sraccel.report.timeline import save_timeline
from sraccel.video import save_video

if TYPE_CHECKING:
    from sraccel.report.model import Report


def save_output(output: Any, path: Path, *, fps: float, comment: str) -> Path:
    """Write the first video of a pipeline's output.

    Raises:
        ModelError: the pipeline made no frames; OutputError: they cannot be written.
    """
    videos = frames_of(output)
    if videos is None:
        raise ModelError(
            f"the pipeline returned no frames ({type(output).__name__}): sraccel's commands are "
            "for pipelines that turn text into video"
        )
    frames = videos[0].movedim(1, -1)
    return save_video(frames, path, fps=fps, metadata={"comment": comment})


@dataclass
class Videos:
    """Writes the first video of each way of running as soon as it is there.

    Attributes:
        names: name of the file, without suffix, by way (`bare`, `accelerated`).
        written: the files so far.
    """

    folder: Path
    names: dict[str, str]
    fps: float
    comment: str
    written: list[Path] = field(default_factory=list)

    def keep(self, way: str, output: Any, report: Report) -> None:
        """Write a run's video, unless an earlier repeat has (it is the same, bit for bit)."""
        path = self.folder / f"{self.names[way]}.mp4"
        if path not in self.written:
            comment = f"{way}: {self.comment}"
            self.written.append(save_output(output, path, fps=self.fps, comment=comment))


def save_report(report: Report, folder: Path) -> list[Path]:
    """Write `report.json` and, if the run took a step, `timeline.png`."""
    paths = [report.save(folder / "report.json")]
    if report.steps:
        paths.append(save_timeline(report, folder / "timeline.png"))
    return paths


def show(report: Report, paths: list[Path]) -> None:
    """Print the report and where everything is, to stdout."""
    console = Console()
    console.print(report)
    console.print("\nwrote", style="bold")
    for path in paths:
        console.print(f"  {path}", soft_wrap=True, markup=False, highlight=False)
