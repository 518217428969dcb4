"""`sraccel report`: the page of a run, made again from the files that it left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from sraccel.cli.failures import Debug, reported

if TYPE_CHECKING:
    from sraccel.report.model import Report

ACCELERATED = ("accelerated.mp4", "video.mp4")
"""What `sraccel demo` and `sraccel generate` call an accelerated video."""
BARE = "bare.mp4"


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder that `demo` or `generate` wrote.")
    ],
    debug: Debug = False,
) -> None:
    """Make report.html again, from the report.json and the videos in a folder."""
    with reported(debug):
        from sraccel.report.page import save_page

        content = read_report(folder / "report.json")
        path = save_page(content, folder / "report.html", videos_of(content, folder))
        Console().print(f"wrote {path}", soft_wrap=True, markup=False, highlight=False)


def read_report(path: Path) -> Report:
    """Read a report's JSON.

    Raises:
        typer.BadParameter: there is none, it is malformed, or it is of another version.
    """
    from pydantic import ValidationError

    from sraccel.report.model import Report

    text = _text(path)
    _check_version(text, path)
    try:
        return Report.from_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise typer.BadParameter(f"{path} is not a report: {where}: {first['msg']}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise typer.BadParameter(
            f"there is no {path}: give a folder that `sraccel demo` or `sraccel generate` wrote"
        ) from None
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be opened: {error.strerror}") from None
    except ValueError as error:
        raise typer.BadParameter(f"{path} is not a text file: {error}") from None


def _check_version(text: str, path: Path) -> None:
    from sraccel.report.model import Report

    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}") from None
    version = content.get("schema_version") if isinstance(content, dict) else None
    known = Report.model_fields["schema_version"].default
    if version != known:
        raise typer.BadParameter(
            f"{path} has schema_version {json.dumps(version)}, and this sraccel reads {known}: "
            "use the sraccel that wrote it"
        )


def videos_of(content: Report, folder: Path) -> dict[str, Path]:
    """The videos of this run; those of a run that failed or had no bare run would be others'."""
    found: dict[str, Path] = {}
    if content.outcome.startswith("failed"):
        return found
    if content.baseline is not None and (folder / BARE).is_file():
        found["bare"] = folder / BARE
    candidates = [folder / name for name in ACCELERATED if (folder / name).is_file()]
    if candidates:
        found["accelerated"] = max(candidates, key=lambda path: path.stat().st_mtime)
    return found
