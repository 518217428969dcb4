"""`sraccel study`: a study from the shell, and what is left of one that was broken off."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_study import PROMPTS, told
from typer.testing import Result

from sraccel.study.report.outputs import FILES
from sraccel.study.runs.store import FILE, Store

SMALL = ("--height", 32, "--width", 32, "--frames", 5, "--steps", 4)
RECIPE = """
model: demo
accelerators:
  - {use: srdiffusion, render: demo, switch_step: 2}
  - {use: teacache, threshold: 10}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "two.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("# two\n" + "\n".join(PROMPTS) + "\n")
    return path


def runs(folder: Path) -> Any:
    with Store.read(folder) as store:
        return list(store.records().values())


def test_it_writes_the_report_and_prints_it(
    sraccel: Callable[..., Result], recipe: Path, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ("--prompts", prompts, "--seeds", "0,1", "--repeats", 1, "--plain-steps", 2)
    result = sraccel("study", recipe, *options, *SMALL, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert all((out / name).stat().st_size for name in FILES)
    content = json.loads((out / "report.json").read_text())
    names = [cell["name"] for cell in content["analysis"]["cells"]]
    assert names == ["bare", "srdiffusion", "teacache", "srdiffusion + teacache", "2 plain steps"]
    assert content["done"] == content["planned"] == 20
    for name in names:
        assert name in result.stdout
    videos = content["showcases"][0]["videos"]
    assert set(videos) == set(names)
    assert all((out / path).is_file() for path in videos.values())
    assert "20 runs a round" in result.stderr


def test_a_dry_run_tells_cells_runs_and_time_and_writes_nothing(
    sraccel: Callable[..., Result], recipe: Path, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ("--prompts", prompts, "--seeds", "0,1,2", "--budget", "30m", "--dry-run")
    result = sraccel("study", recipe, *options, *SMALL, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert "srdiffusion + teacache" in result.stdout
    words = " ".join(result.stdout.split())
    assert "24 runs a round (6 blocks of prompt and seed), at most about" in words
    assert "measured for 30 min at most" in words
    assert not out.exists()


def test_a_dry_run_goes_by_the_runs_that_are_there_and_refuses_those_of_another_study(
    sraccel: Callable[..., Result], recipe: Path, prompts: Path, tmp_path: Path
) -> None:
    study = ("study", recipe, "--prompts", prompts, "--repeats", 1, *SMALL, "-o", tmp_path / "out")
    assert sraccel(*study).exit_code == 0
    again = sraccel(*study, "--dry-run")
    assert again.exit_code == 0, again.stderr
    assert "one round; all of them are on disk already." in " ".join(again.stdout.split())
    assert "at most" not in again.stdout
    other = sraccel(*study, "--set", "teacache.threshold=9", "--dry-run")
    assert other.exit_code == 2
    assert "holds runs of another study" in " ".join(other.stderr.split())


def test_several_values_make_a_sweep(
    sraccel: Callable[..., Result], recipe: Path, prompts: Path, tmp_path: Path
) -> None:
    sweep = ("--design", "sweep", "--set", "teacache.threshold=0,10", "--repeats", 1)
    out = tmp_path / "out"
    given = (*SMALL, "--steps", 10)  # fewer leave nothing to skip
    result = sraccel("study", recipe, "--prompts", prompts, *sweep, *given, "-o", out)
    assert result.exit_code == 0, result.stderr
    cells = {run.cell: run for run in runs(out)}
    assert set(cells) == {"bare", "teacache.threshold=0", "teacache.threshold=10"}
    assert cells["teacache.threshold=0"].reused_calls == 0
    assert cells["teacache.threshold=10"].reused_calls > 0


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
    sraccel: Callable[..., Result],
    recipe: Path,
    prompts: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    words: str,
) -> None:
    given = [str(prompts) if option == "PROMPTS" else option for option in options]
    result = sraccel("study", recipe, *given, "-o", tmp_path / "out")
    assert result.exit_code == 2, result.stderr
    assert words in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_another_study_in_the_folder_is_refused_and_kept(
    sraccel: Callable[..., Result], recipe: Path, prompts: Path, tmp_path: Path
) -> None:
    first = ("study", recipe, "--prompts", prompts, "--design", "one-at-a-time", "--repeats", 1)
    assert sraccel(*first, *SMALL, "-o", tmp_path / "out").exit_code == 0
    before = (tmp_path / "out" / FILE).read_bytes()
    more = ("--set", "teacache.threshold=9")
    result = sraccel(*first, *more, *SMALL, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "threshold: 10.0 there, 9.0 now" in " ".join(result.stderr.split())
    assert (tmp_path / "out" / FILE).read_bytes() == before


def test_the_report_can_be_made_again_from_the_runs(
    sraccel: Callable[..., Result], recipe: Path, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    study = ("study", recipe, "--prompts", prompts, "--repeats", 1, *SMALL, "-o", out)
    assert sraccel(*study).exit_code == 0
    before = {name: (out / name).read_text() for name in FILES}
    for name in FILES:
        (out / name).unlink()
    result = sraccel("report", out)
    assert result.exit_code == 0, result.stderr
    content = json.loads(before["report.json"])
    again = json.loads((out / "report.json").read_text())
    assert again == content
    assert (out / "cells.csv").read_text() == before["cells.csv"]


def command(recipe: Path, prompts: Path, out: Path, seeds: str = "0") -> list[str]:
    """8 runs a seed."""
    options = ("--prompts", prompts, "--seeds", seeds, "--repeats", 1, *SMALL, "-o", out)
    return ["study", str(recipe), *map(str, options)]


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
    sraccel: Callable[..., Result], recipe: Path, prompts: Path, tmp_path: Path
) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    killed = start(command(recipe, prompts, out))
    wait_for_runs(killed, out)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    kept = told(runs(out))
    assert 0 < len(kept) < 8
    for folder in (out, whole):
        result = sraccel(*command(recipe, prompts, folder))
        assert result.exit_code == 0, result.stderr
    assert told(runs(out)) == told(runs(whole))
    again = told(runs(out))
    assert [again[run][:2] for run in kept] == [values[:2] for values in kept.values()]
    assert not list(out.glob("frames/*"))
    tables = [untimed(json.loads((folder / "report.json").read_text())) for folder in (out, whole)]
    assert tables[0] == tables[1]


def untimed(report: dict[str, Any]) -> list[Any]:
    """The table of cells, but for what depends on the machine's speed."""
    timed = ("seconds", "speedup", "whole_call", "front")
    return [
        {key: value for key, value in cell.items() if key not in timed}
        for cell in report["analysis"]["cells"]
    ]


@pytest.mark.slow
def test_ctrl_c_keeps_the_runs_and_leaves_a_report(
    recipe: Path, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(command(recipe, prompts, out))
    wait_for_runs(process, out)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command goes on" in " ".join(stderr.split())
    assert "Traceback" not in stderr
    content = json.loads((out / "report.json").read_text())
    assert content["stopped"] == "interrupted"
    assert content["done"] == len(runs(out)) < content["planned"]


@pytest.mark.slow
def test_a_disk_that_fills_up_is_one_message_and_the_runs_are_kept(
    sraccel: Callable[..., Result], recipe: Path, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    process = start(command(recipe, prompts, out, "0,1"), small_files)
    _, stderr = process.communicate(timeout=240)
    assert process.returncode == 1, stderr
    assert "study.sqlite" in stderr
    assert "Traceback" not in stderr
    kept = runs(out)
    assert 0 < len(kept) < 16
    result = sraccel(*command(recipe, prompts, out, "0,1"))
    assert result.exit_code == 0, result.stderr
    again = runs(out)
    unjudged = [run.model_copy(update={"quality": {}}) for run in kept]
    assert [run.model_copy(update={"quality": {}}) for run in again[: len(kept)]] == unjudged
    assert len(again) == 16
