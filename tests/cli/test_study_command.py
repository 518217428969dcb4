"""`sraccel study`: a study from the shell, and what is left of one that was broken off."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import Sraccel, unframed
from small_study import PROMPTS, untimed
from typer.testing import CliRunner, Result

from sraccel.cli import app
from sraccel.study.report.outputs import FILES
from sraccel.study.runs.store import FILE, Store

SMALL = ("--height", 32, "--width", 32, "--frames", 5, "--steps", 4)
RECIPE = """
model: demo
accelerators:
  - {use: srdiffusion, render: demo, switch_step: 2}
  - {use: teacache, threshold: 10}
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe and its prompts."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "two.yaml").write_text(RECIPE)
    (folder / "prompts.txt").write_text("# two\n" + "\n".join(PROMPTS) + "\n")
    return folder


def command(files: Path, out: Path, *options: object) -> list[str]:
    """10 runs a seed."""
    given = ("--prompts", files / "prompts.txt", "--repeats", 1, "--plain-steps", 2, *options)
    return ["study", str(files / "two.yaml"), *map(str, (*given, *SMALL, "-o", out))]


@pytest.fixture(scope="module")
def whole(files: Path) -> tuple[Result, Path]:
    """What the command printed, and the folder that it left."""
    out = files / "whole"
    return CliRunner().invoke(app, command(files, out), env={"COLUMNS": "100"}), out


@pytest.fixture
def done(whole: tuple[Result, Path], tmp_path: Path) -> Path:
    """A copy of its own of that folder."""
    return Path(shutil.copytree(whole[1], tmp_path / "done"))


def runs(folder: Path) -> Any:
    with Store.read(folder) as store:
        return list(store.records().values())


def test_it_writes_the_report_and_prints_it(whole: tuple[Result, Path]) -> None:
    result, out = whole
    assert result.exit_code == 0, result.stderr
    assert all((out / name).stat().st_size for name in FILES)
    content = json.loads((out / "report.json").read_text())
    names = [cell["name"] for cell in content["analysis"]["cells"]]
    assert names == ["bare", "srdiffusion", "teacache", "srdiffusion + teacache", "2 plain steps"]
    assert content["done"] == content["planned"] == 10
    for name in names:
        assert name in result.stdout
    videos = content["showcases"][0]["videos"]
    assert set(videos) == set(names)
    assert all((out / path).is_file() for path in videos.values())
    assert "10 runs a round" in result.stderr


def test_a_dry_run_says_cells_runs_and_time_and_writes_nothing(
    sraccel: Sraccel, files: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ("--seeds", "0,1,2", "--budget", "30m", "--dry-run")
    result = sraccel(*command(files, out, *options))
    assert result.exit_code == 0, result.stderr
    assert "srdiffusion + teacache" in result.stdout
    words = unframed(result.stdout)
    assert "30 runs a round (6 blocks of prompt and seed), at most about" in words
    assert "measured for 30 min at most" in words
    assert not out.exists()


def test_a_dry_run_goes_by_the_runs_that_are_there(
    sraccel: Sraccel, files: Path, done: Path
) -> None:
    result = sraccel(*command(files, done, "--dry-run"))
    assert result.exit_code == 0, result.stderr
    assert "one round; all of them are on disk already." in unframed(result.stdout)
    assert "at most" not in result.stdout


def test_several_values_make_a_sweep(sraccel: Sraccel, files: Path, tmp_path: Path) -> None:
    sweep = ("--design", "sweep", "--set", "teacache.threshold=0,10", "--dry-run")
    result = sraccel(*command(files, tmp_path / "out", *sweep))
    assert result.exit_code == 0, result.stderr
    rows = [line.strip() for line in result.stdout.splitlines()]
    for cell in ("bare", "teacache.threshold=0", "teacache.threshold=10", "2 plain steps"):
        assert any(row.startswith(f"{cell}  ") for row in rows)
    assert "srdiffusion" not in result.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "no prompts: give --prompts FILE"),
        (("--prompts", "none.txt"), "none.txt"),
        (("--prompts", "PROMPTS", "--design", "fulll"), "full"),
        (("--prompts", "PROMPTS", "--seeds", "a"), "--seeds"),
        (("--prompts", "PROMPTS", "--budget", "soon"), "--budget"),
        (("--prompts", "PROMPTS", "--design", "sweep"), "nothing is swept"),
        (("--prompts", "PROMPTS", "--set", "teacache.treshold=1,2"), "threshold"),
        (("--prompts", "PROMPTS", "--set", "teacache.threshold=1,no"), "no"),
        (("--prompts", "PROMPTS", "--model", "nowhere"), "nowhere"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    sraccel: Sraccel,
    files: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    words: str,
) -> None:
    given = [str(files / "prompts.txt") if option == "PROMPTS" else option for option in options]
    result = sraccel("study", files / "two.yaml", *given, "-o", tmp_path / "out")
    assert result.exit_code == 2, result.stderr
    assert words in unframed(result.stderr)
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("more", [(), ("--dry-run",)], ids=["run", "dry run"])
def test_another_study_in_the_folder_is_refused_and_kept(
    sraccel: Sraccel, files: Path, done: Path, more: tuple[str, ...]
) -> None:
    before = (done / FILE).read_bytes()
    result = sraccel(*command(files, done, "--set", "teacache.threshold=9", *more))
    assert result.exit_code == 2
    words = unframed(result.stderr)
    assert "holds runs of another study" in words
    assert "threshold: 10.0 there, 9.0 now" in words
    assert (done / FILE).read_bytes() == before


def test_the_report_can_be_made_again_from_the_runs(sraccel: Sraccel, done: Path) -> None:
    before = {name: (done / name).read_text() for name in FILES}
    for name in FILES:
        (done / name).unlink()
    result = sraccel("report", done)
    assert result.exit_code == 0, result.stderr
    assert json.loads((done / "report.json").read_text()) == json.loads(before["report.json"])
    assert (done / "cells.csv").read_text() == before["cells.csv"]


def hears_ctrl_c() -> None:
    """What a shell starts in the background ignores SIGINT, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(arguments: list[str], before: Callable[[], None] = hears_ctrl_c) -> subprocess.Popen[str]:
    """A command as a process of its own; `before` runs in it."""
    return subprocess.Popen(
        [sys.executable, "-m", "sraccel", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"},
        preexec_fn=before,
    )


def wait_for_runs(process: subprocess.Popen[str], out: Path) -> None:
    """Until some runs are on disk: the videos of the first block are there, not all of them."""
    until = time.monotonic() + 120
    while len(list(out.glob("videos/*.mp4"))) < 2 and time.monotonic() < until:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


def test_kill_9_costs_one_run_and_the_same_command_ends_with_the_same_table(
    sraccel: Sraccel, files: Path, whole: tuple[Result, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    killed = start(command(files, out))
    wait_for_runs(killed, out)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    kept = untimed(runs(out))
    assert 0 < len(kept) < 10
    result = sraccel(*command(files, out))
    assert result.exit_code == 0, result.stderr
    again = untimed(runs(out))
    assert again == untimed(runs(whole[1]))
    assert [again[run][:2] for run in kept] == [values[:2] for values in kept.values()]
    assert not list(out.glob("frames/*"))
    tables = [table_of(folder) for folder in (out, whole[1])]
    assert tables[0] == tables[1]


def table_of(folder: Path) -> list[Any]:
    """The table of cells, but for what depends on the machine's speed."""
    report = json.loads((folder / "report.json").read_text())
    timed = ("seconds", "speedup", "whole_call", "front")
    return [
        {key: value for key, value in cell.items() if key not in timed}
        for cell in report["analysis"]["cells"]
    ]


@pytest.mark.slow
def test_ctrl_c_keeps_the_runs_and_leaves_a_report(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(command(files, out))
    wait_for_runs(process, out)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command goes on" in unframed(stderr)
    assert "Traceback" not in stderr
    content = json.loads((out / "report.json").read_text())
    assert content["stopped"] == "interrupted"
    assert content["done"] == len(runs(out)) < content["planned"]


@pytest.mark.slow
def test_a_disk_that_fills_up_is_one_message_and_the_runs_are_kept(
    sraccel: Sraccel, files: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    process = start(command(files, out, "--seeds", "0,1"), small_files)
    _, stderr = process.communicate(timeout=240)
    assert process.returncode == 1, stderr
    assert "study.sqlite" in stderr
    assert "Traceback" not in stderr
    kept = runs(out)
    assert 0 < len(kept) < 20
    result = sraccel(*command(files, out, "--seeds", "0,1"))
    assert result.exit_code == 0, result.stderr
    again = runs(out)
    unjudged = [run.model_copy(update={"quality": {}}) for run in kept]
    assert [run.model_copy(update={"quality": {}}) for run in again[: len(kept)]] == unjudged
    # The bare pipeline runs anew in the block that was cut off, beside what was missing there.
    assert len({(run.cell, run.prompt, run.seed) for run in again}) == 20
