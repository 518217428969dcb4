"""What somebody meets who uses the command for the first time."""

from __future__ import annotations

import logging
import subprocess
import sys
import webbrowser
from pathlib import Path

import pytest
from command import Sraccel, unframed

from sraccel.cli.app import app
from sraccel.cli.failures import note, set_loudness
from sraccel.cli.options import open_page
from sraccel.cli.study_progress import StudyProgress
from sraccel.study.cell import Block
from sraccel.study.runs.watcher import Position

COMMANDS = [
    command.callback.__name__.replace("_", "-")
    for command in app.registered_commands
    if command.callback
]


@pytest.mark.parametrize("command", ["", *COMMANDS, "calibrate"])
def test_help_has_a_short_name(sraccel: Sraccel, command: str) -> None:
    done = sraccel(*command.split(), "-h")
    assert done.exit_code == 0
    assert f"Usage: sraccel {command}".strip() in unframed(done.stdout)


def test_a_page_is_opened_or_the_way_to_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    page = tmp_path / "report.html"
    open_page(page, False)
    assert (
        capsys.readouterr().out == f"to look at it, open {page} in a browser (--open does that)\n"
    )
    assert not opened
    open_page(page, True)
    assert opened == [page.as_uri()]


def test_quiet_leaves_out_notes_and_verbose_shows_what_is_logged(
    sraccel: Sraccel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        set_loudness(quiet=True, verbose=False)
        note("a note")
        set_loudness(quiet=False, verbose=False)
        note("another note")
        assert capsys.readouterr().err == "another note\n"
    finally:
        set_loudness(quiet=False, verbose=False)
    model = ("check", "demo", "--model", "demo")
    loud = sraccel("--verbose", *model)
    assert (loud.exit_code, sraccel("--quiet", *model).exit_code) == (0, 0)
    assert logging.getLogger("sraccel").level == logging.NOTSET


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("folder", "is a folder"),
        ("fastercache", "no shipped recipe of that name ("),
        ("nothere.yaml", "no shipped recipe of that name ("),
        ("recipe.yml", "did you mean"),
    ],
)
def test_a_hint_is_given_only_where_something_near_is_there(
    sraccel: Sraccel, tmp_path: Path, given: str, says: str
) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("noperm.yaml", "recipe.yaml"):
        (tmp_path / name).write_text("accelerators: []")
    done = sraccel("check", tmp_path / given if given != "fastercache" else given)
    assert done.exit_code == 2
    assert says in unframed(done.stdout + done.stderr)


def test_an_accelerator_of_another_name_is_no_hint(sraccel: Sraccel, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("accelerators: [fastercache]")
    assert "did you mean" not in sraccel("check", path).stdout


@pytest.mark.parametrize(
    ("of_round", "of_budget", "says"),
    [
        (1080.0, 180.0, "3 min left of the budget"),
        (None, 60.0, "60 s left of the budget"),
        (30.0, 60.0, "30 s left in it"),
        (30.0, None, "30 s left in it"),
    ],
)
def test_a_studys_bar_never_promises_more_than_the_budget(
    of_round: float | None, of_budget: float | None, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with StudyProgress() as bars:
        bars.begun(Position("bare", Block("a red circle", 0), 0, 1, 4, of_round, of_budget))
    assert says in unframed(capsys.readouterr().err)


def test_output_that_nobody_reads_on_is_no_error_of_a_plugin() -> None:
    """`sraccel pairs | head -1`."""
    command = [sys.executable, "-m", "sraccel", "pairs"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    said = running.stderr.read()
    running.wait()
    running.stderr.close()
    assert said == b""
