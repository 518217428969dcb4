"""Commands that are interrupted, or cannot write: what they leave, and what they say."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command import Sraccel

from sraccel.plugin import Accelerator, hookimpl
from sraccel.recipe.catalogue import installed
from sraccel.report.model import Report

PRESS = """
import signal, sys
from sraccel.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # not inherited from a background job
sys.argv = ["sraccel", *sys.argv[1:]]
main()
"""


def test_a_real_ctrl_c_ends_the_command_and_keeps_what_was_done(tmp_path: Path) -> None:
    """A real signal to a real process, in the middle of a run."""
    (tmp_path / "recipe.yaml").write_text("accelerators: [{use: sageattention, kernel: emulated}]")
    out = tmp_path / "out"
    command = ("generate", tmp_path / "recipe.yaml", "--model", "demo", "--steps", "5000")
    process = subprocess.Popen(
        [sys.executable, "-c", PRESS, *command, "--prompt", "a red circle", "--out", out],
        stderr=subprocess.PIPE,
        env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": "100"},  # draws bars while it runs
    )
    assert process.stderr is not None
    said = b""
    while b"accelerated" not in said:
        said += os.read(process.stderr.fileno(), 4096) or pytest.fail(said.decode())
    process.send_signal(signal.SIGINT)
    said += process.stderr.read()
    assert process.wait() == 130, said.decode()
    assert b"interrupted" in said
    assert b"Traceback" not in said
    report = Report.from_json((out / "report.json").read_text())
    assert report.outcome == "failed: KeyboardInterrupt"
    assert 0 < len(report.steps) < 5000
    assert f"{len(report.steps)} of 5000 steps were begun" in report.warnings[-1]
    names = ["report.html", "report.json", "timeline.svg"]
    assert sorted(path.name for path in out.iterdir()) == names


class PressesCtrlC(Accelerator):
    """Interrupts one run in its second step, and no other."""

    name = "presses-ctrl-c"
    runs = 0
    interrupts = 0

    @hookimpl
    def run_started(self) -> None:
        PressesCtrlC.runs += 1

    @hookimpl
    def select_denoiser(self, step: Any) -> None:
        if step.index == 1 and self.runs == self.interrupts:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("options", "run", "left", "warning"),
    [
        ((), 1, [], "the run is partial: 2 of 2 steps were begun"),
        (("--compare",), 2, ["bare.mp4"], "the comparison is partial: this is its bare run"),
    ],
    ids=["generate", "compare"],
)
def test_what_an_interrupted_command_leaves_says_so_and_can_be_made_again(
    options: tuple[str, ...],
    run: int,
    left: list[str],
    warning: str,
    sraccel: Sraccel,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setitem(installed().accelerators, PressesCtrlC.name, PressesCtrlC)
    PressesCtrlC.runs, PressesCtrlC.interrupts = 0, run
    recipe, out, again = (tmp_path / name for name in ("recipe.yaml", "out", "again"))
    recipe.write_text("accelerators: [{use: presses-ctrl-c}]")
    size = ("--height", "32", "--width", "32", "--frames", "5", "--steps", "2")
    command = ("generate", recipe, "--model", "demo", "--prompt", "a red circle", *size)
    result = sraccel(*command, *options, "--out", out)
    assert result.exit_code == 130, result.output
    expected = sorted([*left, "report.html", "report.json", "timeline.svg"])
    assert sorted(path.name for path in out.iterdir()) == expected
    report = Report.from_json((out / "report.json").read_text())
    assert warning in report.warnings[-1]
    result = sraccel("generate", "--from", out / "report.json", "--out", again)
    assert result.exit_code == 0, result.output
    made = Report.from_json((again / "report.json").read_text())
    assert (made.outcome, made.call) == ("finished", report.call)


@pytest.mark.parametrize(
    "command", [("demo",), ("generate", "demo", "--prompt", "x")], ids=["demo", "generate"]
)
def test_a_folder_that_cannot_be_written_is_noticed_before_the_work(
    sraccel: Sraccel, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("")
    result = sraccel(*command, "--out", tmp_path / "file")
    assert result.exit_code == 1
    assert "cannot write to the folder" in result.stderr


def test_a_command_that_cannot_write_says_so_and_exits_with_1(
    full_disk: Path, sraccel: Sraccel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    recipe = full_disk.parent / "recipe.json"
    recipe.write_text(json.dumps({"accelerators": []}))
    command = ("generate", recipe, "--model", "demo", "--prompt", "a red circle", "--steps", 2)
    result = sraccel(*command, "--out", full_disk)
    assert result.exit_code == 1
    assert f"{full_disk}/video.mp4: No space left on device" in result.stderr
    assert "Traceback" not in result.output
    assert not any(path.name.endswith((".mp4", ".part")) for path in full_disk.iterdir())
