"""A run's timeline as a file of its own: an SVG that needs nothing else, in light and in dark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sraccel.errors import OutputError
from sraccel.files import save_text
from sraccel.report.claim import claim_alone
from sraccel.report.headline import title
from sraccel.report.page.details import prompt_of
from sraccel.report.page.shapes import Key
from sraccel.report.page.shell import SHARED, joined, render
from sraccel.report.page.timeline import Drawing, timeline
from sraccel.report.words import factor, finite, harmless
from sraccel.text import shortened

if TYPE_CHECKING:
    from sraccel.report.model import Report

STYLES = ("drawing.css", "timeline.css", "picture.css")
MARGIN = 20
LABELS = 96.0
"""Width of the names beside the drawing."""
HEAD = 44.0
DRAWING_WIDTH = 750.0
"""Narrower than on the page, so that it can be read where it is shown smaller than it is."""
NARROWEST = 680.0
"""So wide is also the picture of a few steps: its title and its legend must have room."""
KEY, KEY_GAP, KEY_ROW = 30.0, 24.0, 24.0
CHARACTER, TITLE_CHARACTER = 6.6, 8.4
"""Widths of one in the legend and in the title, about."""


@dataclass(frozen=True)
class Picture:
    """Where everything is, in pixels; `keys` are the legend's, each with its place."""

    title: str
    prompt: str
    timeline: Drawing
    width: float
    height: float
    keys: list[tuple[Key, float, float]]
    top: float = HEAD + MARGIN
    left: float = MARGIN + LABELS


def save_timeline(report: Report, path: str | Path) -> Path:
    """Write the timeline of a run's steps as an SVG.

    It shows what the page's timeline does: which model computed each branch of each step and where
    it reused a residual, seconds, what accelerators measured, and the switch.

    Raises:
        OutputError: the report has no steps, or the file cannot be written.
    """
    drawing = timeline(report, DRAWING_WIDTH)
    if drawing is None:
        raise OutputError(
            f"no steps to draw in {path}: the run ended before its first step", path=path
        )
    css = joined(SHARED, *STYLES)
    picture = _picture(report, drawing)
    text = render(SHARED, "picture.svg.jinja", picture=picture, css=css, margin=MARGIN)
    return save_text(harmless(text), path)  # XML can hold no control characters


def _picture(report: Report, drawing: Drawing) -> Picture:
    inner = max(NARROWEST, LABELS + drawing.width)
    bottom = HEAD + MARGIN + drawing.height
    keys = list(_flowing(drawing.keys, inner, bottom))
    return Picture(
        shortened(_title(report), int(inner / TITLE_CHARACTER)),
        shortened(prompt_of(report), int(inner / CHARACTER)),
        drawing,
        inner + 2 * MARGIN,
        keys[-1][2] + KEY_ROW + MARGIN if keys else bottom + MARGIN,
        keys,
    )


def _title(report: Report) -> str:
    speedup = report.speedup
    figures = [claim_alone(speedup)] * bool(finite(speedup.measured))
    figures += [f"{factor(speedup.predicted)} predicted"] * bool(finite(speedup.predicted))
    outcome = [report.outcome] * (report.outcome != "finished")
    return ", ".join([title(report), *figures, *outcome])


def _flowing(keys: Iterable[Key], width: float, top: float) -> Iterator[tuple[Key, float, float]]:
    """The entries of a legend, line by line."""
    x, y = 0.0, top
    for key in keys:
        needed = KEY + CHARACTER * len(key.text)
        if x and x + needed > width:
            x, y = 0.0, y + KEY_ROW
        yield key, MARGIN + x, y
        x += needed + KEY_GAP
