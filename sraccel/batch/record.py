"""What one prompt leaves: a video, then a report, which proves that the video is whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.errors import ModelError
from sraccel.report.origin import frames_sha256, tags
from sraccel.video.frames import frames_of
from sraccel.video.mp4 import save_video

if TYPE_CHECKING:
    from sraccel.batch.prompts_file import PromptJob
    from sraccel.report.model import Report
    from sraccel.report.origin import Origin

VIDEO, REPORT = ".mp4", ".report.json"


@dataclass(frozen=True)
class Recorder:
    """Writes what was made of prompts.

    Attributes:
        folder: where to.
        origin: what makes the videos.
        recipe: as it was given.
    """

    folder: Path
    origin: Origin
    recipe: dict[str, Any]

    def save(self, job: PromptJob, output: Any, report: Report) -> Report:
        """Write a prompt's video, then its report; returns the report as it is written.

        Raises:
            ModelError: the pipeline made no frames; OutputError: a file cannot be written.
        """
        videos = frames_of(output)
        if videos is None:
            raise ModelError(f"the pipeline returned no frames ({type(output).__name__})")
        report = report.model_copy(deep=True)
        report.call, report.recipe = job.request, self.recipe
        report.origin = self.origin.model_copy(update={"frames_sha256": frames_sha256(videos[0])})
        save_video(
            videos[0].movedim(1, -1),
            self.folder / f"{job.id}{VIDEO}",
            fps=self.origin.fps,
            metadata={"comment": f"{job.id}: {job.call['prompt']}", **tags(report)},
        )
        report.save(self.folder / f"{job.id}{REPORT}")
        return report
