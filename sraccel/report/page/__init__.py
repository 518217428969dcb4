"""The report as a page: one HTML file that holds everything, its videos too, and loads nothing.

Numbers become text and geometry here; the markup is in the templates, where everything is escaped.
The page's policy (CSP) forbids the network, and scripts other than its own.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.files import replacing
from sraccel.report.page.attribution import attribution
from sraccel.report.page.clips import load_clips
from sraccel.report.page.details import details
from sraccel.report.page.figures import figures, notices, title
from sraccel.report.page.timeline import timeline

if TYPE_CHECKING:
    from jinja2 import Environment

    from sraccel.report.model import Report

FOLDER = Path(__file__).parent


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
        videos: MP4 files by way of running (`bare`, `accelerated`); they are put into the page.
        notes: what else a reader must know, besides the report's warnings.

    Raises:
        OutputError: a video cannot be read, or the page cannot be written.
    """
    text = render_page(report, videos or {}, notes)
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "replace"))
    return Path(path)


def render_page(report: Report, videos: Mapping[str, Path], notes: Sequence[str] = ()) -> str:
    """The page's text."""
    clips = load_clips(videos)
    script = _text("page.js")
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            title=title(report),
            notices=[*notices(report), *notes],
            figures=figures(report),
            clips=clips,
            timeline=timeline(report),
            attribution=attribution(report),
            details=details(report),
            data=json.loads(report.to_json()),  # NaN is null there
            css=_text("page.css"),
            script=script,
            policy=_policy(script),
        )
    )


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["px"] = _px
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": True, "allow_nan": False}
    return environment


def _px(value: float) -> str:
    """A coordinate, short: thousands of them are in a page."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _policy(script: str) -> str:
    """Nothing is loaded, and only this script runs, whatever else got into the page."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules: dict[str, Any] = {
        "default-src": "'none'",
        "script-src": f"'sha256-{digest}'",
        "style-src": "'unsafe-inline'",
        "media-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
