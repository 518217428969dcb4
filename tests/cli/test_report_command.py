"""`sraccel report`: the page again, from the files of a run."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from sraccel.report.model import Report, Timing
from sraccel.video import save_video

Sraccel = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What `sraccel demo` leaves, but for the page."""
    timing = Timing(seconds=1.0)
    report = Report(
        outcome="finished", num_inference_steps=4, baseline=timing, call={"prompt": "a red circle"}
    )
    report.save(tmp_path / "report.json")
    for number, name in enumerate(("bare.mp4", "accelerated.mp4")):
        save_video(np.full((4, 32, 32, 3), 90 * number, np.uint8), tmp_path / name, fps=4)
    return tmp_path


def embedded(folder: Path) -> list[bytes]:
    text = (folder / "report.html").read_text(encoding="utf-8")
    return [base64.b64decode(found) for found in re.findall(r"video/mp4;base64,([\w+/=]+)", text)]


def videos(folder: Path, *names: str) -> list[bytes]:
    return [(folder / name).read_bytes() for name in names]


def change(folder: Path, **keys: object) -> None:
    path = folder / "report.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


def message(result: Result) -> str:
    return " ".join(result.stderr.replace("│", "").split())


def test_the_page_is_made_of_the_report_and_the_videos(sraccel: Sraccel, folder: Path):
    result = sraccel("report", folder)
    assert result.exit_code == 0, result.output
    assert f"wrote {folder / 'report.html'}" in result.stdout
    assert "a red circle" in (folder / "report.html").read_text(encoding="utf-8")
    assert embedded(folder) == videos(folder, "bare.mp4", "accelerated.mp4")


def test_a_bare_video_of_another_run_stays_out(sraccel: Sraccel, folder: Path):
    """`generate` without `--compare`, into the folder of an earlier comparison."""
    change(folder, baseline=None)
    assert sraccel("report", folder).exit_code == 0
    assert embedded(folder) == videos(folder, "accelerated.mp4")


def test_of_two_accelerated_videos_the_newer_is_shown(sraccel: Sraccel, folder: Path):
    save_video(np.zeros((4, 32, 32, 3), np.uint8), folder / "video.mp4", fps=8)
    os.utime(folder / "accelerated.mp4", (0, 0))
    sraccel("report", folder)
    assert embedded(folder) == videos(folder, "bare.mp4", "video.mp4")


def test_a_run_that_failed_has_no_video_of_its_own(sraccel: Sraccel, folder: Path):
    change(folder, outcome="failed: RuntimeError: boom")
    assert sraccel("report", folder).exit_code == 0
    assert embedded(folder) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not a text file"),
        (b"[1]", "has schema_version null, and this sraccel reads 1"),
        (b'{"schema_version": 2}', "has schema_version 2, and this sraccel reads 1"),
        (b'{"schema_version": 1, "outcome": 3}', "is not a report: outcome:"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_what_is_no_report_of_this_version_is_bad_input(
    sraccel: Sraccel, tmp_path: Path, content: bytes | None, said: str
):
    if content is not None:
        (tmp_path / "report.json").write_bytes(content)
    result = sraccel("report", tmp_path)
    assert result.exit_code == 2
    assert said in message(result)
    assert "Traceback" not in result.output
    assert not (tmp_path / "report.html").exists()


def test_a_page_that_cannot_be_written_fails_and_says_where(sraccel: Sraccel, folder: Path):
    (folder / "report.html").mkdir()
    result = sraccel("report", folder)
    assert result.exit_code == 1
    assert "cannot write" in message(result)
    assert sorted(path.name for path in folder.iterdir()) == [
        *("accelerated.mp4", "bare.mp4", "report.html", "report.json"),
    ]


def test_a_video_that_cannot_be_read_is_named(sraccel: Sraccel, folder: Path):
    (folder / "accelerated.mp4").write_bytes(b"cut short")
    result = sraccel("report", folder)
    assert result.exit_code == 1
    assert "accelerated.mp4 into the page" in message(result)
