"""The scripts that measure still start, and the rivals go through on a few short runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(path for path in FOLDER.rglob("*.py") if "__main__" in path.read_text("utf-8"))
STEPS = 8

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def run(script: str, *arguments: object) -> str:
    """What a script prints."""
    command = [sys.executable, str(FOLDER / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


HELP_OF_EACH = """
import os, runpy, sys

for script in sys.argv[1:]:
    sys.argv, sys.path[0] = [script, "--help"], os.path.dirname(script)
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:
        assert not ended.code, script
"""


def test_each_script_says_how_it_is_run() -> None:
    """In one process, which imports torch once."""
    command = [sys.executable, "-c", HELP_OF_EACH, *map(str, SCRIPTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for script in SCRIPTS:
        assert f"usage: {script.name} " in done.stdout


@pytest.fixture(scope="module")
def placements(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few steps placed on a short grid, at two shifts."""
    path = tmp_path_factory.mktemp("placements") / "placements.json"
    few = ("--steps", STEPS, "--budgets", 4, 3, "--prompts", 2, "--reference-prompts", 2)
    run("placements.py", *few, "--doublings", 1, "--sweeps", 1, "--out", path)
    run("placements.py", *few, "--sweeps", 0, "--shifts", 1, "--out", path)
    return path


def test_placements_begin_at_the_noise_and_are_no_worse_than_their_starts(placements: Path) -> None:
    for found in json.loads(placements.read_text("utf-8"))["shifts"].values():
        for budget, entry in found["budgets"].items():
            assert entry["positions"][0] == 0
            assert len(entry["positions"]) == int(budget)
            starts = (entry["path"], entry["uniform"])
            assert entry["psnr_db"] >= max(start["psnr_db"] for start in starts)


def test_the_rivals_are_measured_in_shards_then_judged(placements: Path, tmp_path: Path) -> None:
    few = ("--steps", STEPS, "--prompts", 2, "--batch", 1, "--placements", placements)
    work = ("--work", tmp_path / "work", "--out", tmp_path)
    for shard in ("0/2", "1/2"):
        run("rivals.py", *few, *work, "--shard", shard)
    printed = run("rivals.py", *few, *work)
    content = json.loads((tmp_path / "rivals.json").read_text("utf-8"))
    rows = {row["name"]: row for row in content["rows"]}
    assert rows["bare"]["counted_speedup"][0] == 1.0
    assert rows["fewer steps, uniform: 4 steps"]["counted_speedup"][0] == pytest.approx(2)
    for threshold in (0.1, 0.5):
        cache = rows[f"TeaCache: threshold {threshold}"]
        plain = rows[f"plain steps at the positions of TeaCache: threshold {threshold}"]
        assert plain["computed_steps"] == cache["computed_steps"]
    for verdict in content["verdict"]:
        assert verdict["sentence"] in printed
    assert (tmp_path / "rivals-iou.png").is_file()


def test_shifts_are_compared_each_with_its_own_bare_run(placements: Path, tmp_path: Path) -> None:
    own = 0.7
    few = ("--steps", STEPS, "--prompts", 1, "--placements", placements, "--budgets", 4)
    shifts = ("--shifts", own, 1)
    run("shift.py", *few, *shifts, "--work", tmp_path, "--out", tmp_path)
    rows = json.loads((tmp_path / "shift.json").read_text("utf-8"))["rows"]
    bare = [row for row in rows if row["family"] == "bare"]
    assert [row["shift"] for row in bare] == [own, 1]
    assert [row["psnr_db"]["bare"][0] for row in bare] == [pytest.approx(100)] * 2
