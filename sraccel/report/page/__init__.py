"""The report as a page: one HTML file that holds everything, its videos too, and loads nothing.

Numbers become text and geometry here; the markup is in the templates, where everything is escaped.
The page's policy (CSP) forbids the network, and scripts other than its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sraccel.files import save_text
from sraccel.report.headline import figures, notices, switch_facts, title
from sraccel.report.page.attribution import attribution
from sraccel.report.page.clips import load_clips
from sraccel.report.page.details import details, prompt_of
from sraccel.report.page.shell import SHARED, Shell
from sraccel.report.page.timeline import timeline

if TYPE_CHECKING:
    from sraccel.report.model import Report

RUN = Shell(SHARED, "run.html.jinja", ("timeline.css", "run.css"), ("player.js", "run.js"))


def save_page(
    report: Report,
    path: str | Path,
    videos: Mapping[str, Path] | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Write a run's page.

    Args:
        report: of the run; parts that it lacks are called "not measured", or left out.
        path: the file to write, `report.html`.
        videos: MP4 files by way of running (`bare`, `accelerated`, `rival`), which are put into the
            page.
        notes: what else a reader must know, besides the report's warnings.

    Raises:
        OutputError: a video cannot be read, or the page cannot be written.
    """
    return save_text(render_page(report, videos or {}, notes), path)


def render_page(report: Report, videos: Mapping[str, Path], notes: Sequence[str] = ()) -> str:
    """The page's text."""
    return RUN.render(
        json.loads(report.to_json()),  # NaN is null there
        kind="sraccel report",
        title=title(report),
        notices=[*notices(report), *notes],
        figures=figures(report),
        clips=load_clips(videos),
        timeline=timeline(report),
        attribution=attribution(report),
        switch=switch_facts(report),
        prompt=prompt_of(report),
        details=details(report),
    )
