"""Which videos in a folder belong to its report: another run may have left some there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sraccel.errors import RecipeError

if TYPE_CHECKING:
    from sraccel.report.model import Report
    from sraccel.report.repetition import Repetition

WAYS = {
    "bare.mp4": "bare",
    "rival.mp4": "rival",
    "accelerated.mp4": "accelerated",
    "video.mp4": "accelerated",
}
"""What `sraccel demo` and `sraccel generate` call their videos."""


@dataclass
class FoundVideos:
    """The videos of a report, by way of running, and why others were left out."""

    found: dict[str, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def videos_of(report: Report, folder: Path) -> FoundVideos:
    """Those whose tag is of the report's run, or of the bare run beside it."""
    videos = FoundVideos()
    there = [folder / name for name in WAYS if (folder / name).is_file()]
    for path in sorted(there, key=lambda path: path.stat().st_mtime):  # the newest goes last
        reason = _reason_against(report, path)
        if reason:
            videos.notes.append(f"{path.name} is left out: {reason}")
        else:
            videos.found[WAYS[path.name]] = path
    return videos


def _reason_against(report: Report, path: Path) -> str:
    from sraccel.report.repetition import read_repetition

    try:
        video = read_repetition(path)
    except RecipeError as error:
        return "; ".join(problem.message for problem in error.problems)
    if report.outcome.startswith("failed"):
        return "the run of the report failed, and made none"
    if _is_of(report, video) or _is_beside(report, video, WAYS[path.name]):
        return ""
    return "it is of another run than the report"


def _is_of(report: Report, video: Repetition) -> bool:
    """Whether it shows the report's frames."""
    return video.origin == report.origin and video.origin.frames_sha256 is not None


BESIDE = {"bare": [], "rival": ["steps"]}
"""Accelerators of the runs that a comparison makes beside the recipe's."""


def _is_beside(report: Report, video: Repetition, way: str) -> bool:
    """Whether it is of the same call on the same models and machine, without the recipe."""
    uses = [item.get("use") for item in video.recipe.get("accelerators", [])]
    if report.origin is None or uses != BESIDE.get(way):
        return False
    same_frames = {
        "frames_sha256": video.origin.frames_sha256,
        "frame_size": video.origin.frame_size,
    }
    same = video.origin == report.origin.model_copy(update=same_frames)
    versions = (video.versions, video.environment) == (report.versions, report.environment)
    return same and versions and video.call == report.call
