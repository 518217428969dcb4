"""`sraccel report`: the page of a run, made again from the files that it left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from sraccel.cli.failures import BAD_INPUT, Debug, note, reported
from sraccel.cli.options import Open, open_page
from sraccel.files import read_text
from sraccel.text import first_complaint, printable

if TYPE_CHECKING:
    from sraccel.report.model import Report


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder that `demo`, `generate` or `study` wrote, or a run's report.json in it.",
        ),
    ],
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Write nothing: compute every derived figure of a run's report again from the "
            "raw ones in it. Exit code 2 if one does not agree.",
        ),
    ] = False,
    opened: Open = False,
    debug: Debug = False,
) -> None:
    """Make report.html again, from the report.json and the videos in a folder.

    A video that another run left there stays out of the page, which says so. Of a study, all
    files of the report are made again from its runs, also of one that was stopped.
    """
    with reported(debug):
        from sraccel.study.runs.store import FILE

        if verify:
            _verify(report_in(folder))
        elif (folder / FILE).is_file():
            _study(folder)
        else:
            open_page(_page(report_in(folder)), opened)


def _page(source: Path) -> Path:
    from sraccel.cli.report_videos import videos_of
    from sraccel.report.page import save_page

    content = read_report(source)
    videos = videos_of(content, source.parent)
    for left_out in videos.notes:
        note(f"Note: {left_out}")
    path = save_page(content, source.with_name("report.html"), videos.found, videos.notes)
    Console().print(f"wrote {path}", soft_wrap=True, markup=False, highlight=False)
    return path


def _verify(path: Path) -> None:
    from sraccel.comparison.verification import verify

    checks = verify(read_report(path))
    wrong = [check for check in checks if not check.agrees]
    for check in wrong:
        said = f"{check.name}: the report says {check.stated}, its raw figures give {check.found}"
        Console().print(printable(said), soft_wrap=True, markup=False, highlight=False)
    agree = f"{len(checks) - len(wrong)} of {len(checks)} derived figures follow from the raw ones"
    Console().print(f"{agree} in {path}", soft_wrap=True, markup=False, highlight=False)
    if wrong:
        raise typer.Exit(BAD_INPUT)


def _study(folder: Path) -> None:
    from sraccel.study.measure import write_report
    from sraccel.study.report.outputs import FILES
    from sraccel.study.runs.store import Store

    with Store.read(folder) as store:
        write_report(store)
    for name in FILES:
        Console().print(f"wrote {folder / name}", soft_wrap=True, markup=False, highlight=False)


def report_in(place: Path) -> Path:
    """The report's file: the place itself, or in it."""
    named = place.suffix == ".json" and not place.is_dir()
    return place if named or place.is_file() else place / "report.json"


def read_report(path: Path) -> Report:
    """Read a report's JSON.

    Raises:
        typer.BadParameter: there is none, it is malformed, or it is of another version.
    """
    from pydantic import ValidationError

    from sraccel.report.model import Report

    text = report_text(path)
    _check_version(text, path)
    try:
        return Report.from_json(text)
    except ValidationError as error:
        raise typer.BadParameter(
            f"{path} is not a report: {first_complaint(error.errors())}"
        ) from None


def report_text(path: Path) -> str:
    """The text of a report's file.

    Raises:
        typer.BadParameter: there is none, or it cannot be read.
    """
    try:
        return read_text(path)
    except FileNotFoundError:
        raise typer.BadParameter(
            f"there is no {path}: give a folder that `sraccel demo`, `sraccel generate` or "
            "`sraccel study` wrote"
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
    if not isinstance(content, dict) or "schema_version" not in content:
        raise typer.BadParameter(f"{path} is not a report: it has no schema_version")
    version = content["schema_version"]
    known = Report.model_fields["schema_version"].default
    if version != known:
        why = "update sraccel, or use the one that wrote it"
        if version == 1:
            why = "denoisers and measurements had other names then: use the sraccel that wrote it"
        raise typer.BadParameter(
            f"{path} has schema_version {json.dumps(version)}, and this sraccel reads {known}: "
            f"{why}"
        )
