"""The files that a command leaves in its output folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from sraccel.errors import ModelError, OutputError
from sraccel.report.origin import Origin, frames_sha256, tags
from sraccel.report.page import save_page
from sraccel.report.page.picture import save_timeline
from sraccel.video.frames import frames_of
from sraccel.video.mp4 import save_video

if TYPE_CHECKING:
    import torch

    from sraccel.comparison.comparison import Comparison
    from sraccel.recipe.recipe import Recipe
    from sraccel.report.model import Report


@dataclass
class Outputs:
    """Writes what a command makes as soon as it is there; each file says where it comes from.

    Attributes:
        origin: what makes the videos.
        call: the pipeline's call, and the seed.
        recipe: as it was given; models may be taken at a commit that `origin` has.
        names: of a video's file, without suffix, by way (`bare`, `accelerated`), if it has another.
        folder: None: nothing is written but what a caller writes itself.
        videos: the files so far, by way.
        written: other files, which callers wrote.
    """

    folder: Path | None
    origin: Origin
    call: dict[str, Any]
    recipe: Recipe
    names: Mapping[str, str]
    videos: dict[str, Path] = field(default_factory=dict)
    written: list[Path] = field(default_factory=list)
    _reports: dict[str, Report] = field(default_factory=dict)
    _pairs: Report | None = None

    def keep(self, way: str, output: Any, report: Report) -> None:
        """Write the first video of a run's output, unless an earlier repeat has.

        (It is the same, bit for bit.)

        Raises:
            ModelError: the pipeline made no frames; OutputError: they cannot be written.
        """
        if way in self.videos:
            return
        assert self.folder is not None
        frames = _first_video(output)
        kept = report.model_copy(deep=True)
        kept.call = self.call
        size = (int(frames.shape[-1]), int(frames.shape[-2]))
        facts = {"frames_sha256": frames_sha256(frames), "frame_size": size}
        kept.origin = self.origin.model_copy(update=facts)
        if way == "accelerated":
            kept.recipe = self._recipe()
        self._reports[way] = kept
        self.videos[way] = save_video(
            frames.movedim(1, -1),
            self.folder / f"{self.names.get(way, way)}.mp4",
            fps=self.origin.fps,
            metadata={"comment": self._comment(way), **tags(kept)},
        )

    def _comment(self, way: str) -> str:
        model, seed = self.origin.sources[0].name, self.call["seed"]
        return f"{way}: {model}, seed {seed}: {self.call['prompt']}"

    def completed(self, report: Report) -> Report:
        """The report of an accelerated run, with its call and its origin."""
        kept = self._reports.get("accelerated")
        report.call = self.call
        report.origin = self.origin if kept is None else kept.origin
        report.recipe = self._recipe()
        return report

    def _recipe(self) -> dict[str, Any]:
        return self.recipe.model_dump(mode="json")

    def save(self, report: Report) -> list[Path]:
        """Write `report.json`, its page, and `timeline.svg` if the run took a step.

        Returns:
            all files that have been written.
        """
        paths = [*self.videos.values(), *self.written]
        if self.folder is None:
            return paths
        paths.append(report.save(self.folder / "report.json"))
        if report.steps:
            paths.append(save_timeline(report, self.folder / "timeline.svg"))
        return [*paths, save_page(report, self.folder / "report.html", self.videos)]

    def keep_pairs(self, comparison: Comparison) -> None:
        """Take what the finished pairs of a comparison say that is broken off."""
        self._pairs = self.completed(comparison.report)

    @contextmanager
    def kept_if_broken_off(self) -> Iterator[None]:
        """Where a comparison breaks off, save what there is of it, and say where.

        That is the comparison of the finished pairs; before the first, its last whole run.
        """
        try:
            yield
        except BaseException:  # Ctrl-C, too
            if (report := self._pairs or self._last_run()) is not None:
                with suppress(OutputError):
                    print_written(self.save(report))
            raise

    def _last_run(self) -> Report | None:
        for way, report in reversed(self._reports.items()):
            report.warnings.append(
                f"the comparison is partial: this is its {way} run, nothing was compared"
            )
            return report
        return None


def _first_video(output: Any) -> torch.Tensor:
    """Of shape (frames, channels, height, width)."""
    videos = frames_of(output)
    if videos is None:
        raise ModelError(
            f"the pipeline returned no frames ({type(output).__name__}): sraccel's commands are "
            "for pipelines that turn text into video"
        )
    return videos[0]


def show(report: Report, paths: list[Path]) -> None:
    """Print the report and where everything is, to stdout."""
    Console().print(report)
    print_written(paths)


def print_written(paths: Iterable[Path]) -> None:
    """Say on stdout where files are."""
    console = Console()
    console.print("\nwrote", style="bold")
    for path in paths:
        console.print(f"  {path}", soft_wrap=True, markup=False, highlight=False)
