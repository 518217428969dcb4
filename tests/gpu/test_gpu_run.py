"""`tests/gpu/run.sh` and its benchmark: what is run on a GPU, tried on the CPU with tiny models."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from gpu_cases import PARTS, SWITCHES, Case, Plan, cases, predicted
from gpu_results import Results

ROOT = Path(__file__).parents[2]
CASES = list(cases())
PAIR: Any = SimpleNamespace(skipped=0.5, plans=True)
SOME_PARTS = ("wan2.1 runs", "cogvideox placement")
"""All of them take minutes, most of which is loading torch."""


def test_all_combinations_and_all_switches_are_run_bare_and_the_whole_stack_first() -> None:
    assert [case.name for case in CASES[:2]] == [
        "bare",
        "sage + cache + steps + switch at 10",
    ]
    subsets = {case.parts for case in CASES}
    assert len(subsets) == 2 ** len(PARTS)
    assert {case.switch for case in CASES if case.parts == ("switch",)} == {*SWITCHES}
    assert {case.switch for case in CASES if case.parts == PARTS} == {*SWITCHES}
    assert len({case.name for case in CASES}) == len(CASES)


@given(st.sampled_from(CASES), st.integers(8, 100), st.floats(0, 0.9), st.booleans())
def test_a_plan_computes_each_models_first_step_and_skips_the_published_share(
    case: Case, steps: int, skipped: float, plans: bool
) -> None:
    plan = Plan.of(case, SimpleNamespace(skipped=skipped, plans=plans), steps)  # type: ignore[arg-type]
    taken = len(plan.positions)
    assert list(plan.positions) == sorted({*plan.positions})
    assert plan.positions[-1] < steps
    assert plan.positions[0] == 0
    assert 0 in plan.computed
    assert plan.switch == taken or plan.switch in plan.computed
    assert plan.computed <= {*range(taken)}
    if "cache" in case.parts:
        left_out = taken - len(plan.computed)
        assert left_out <= round(skipped * taken)
        assert left_out == round(skipped * taken) or len(plan.computed) <= 6
    kinds = plan.kinds(sage=False)
    assert predicted(kinds, dict.fromkeys(kinds, 2.0)) == pytest.approx(2.0 * taken)
    assert predicted(kinds, {}) is None


def test_a_torn_line_loses_no_other_and_the_table_says_what_failed(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.add(part="p", what="case", case="bare", seconds=2.0, predicted=2.2, peak_gib=1.0)
    with results.path.open("a") as file:
        file.write('\n{"part": "p", "wha')
    results.add(part="p", what="case", case="sage", predicted=1.0, failed="OutOfMemoryError: no")
    assert [line["case"] for line in results.lines()] == ["bare", "sage"]
    text = results.save_table().read_text()
    assert "| bare | 2 | 2.2 | +10.0% | 1.00x | 1 |" in text
    assert "Failed (sage): OutOfMemoryError: no" in text


def benchmark(out: Path, *more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "tests/benchmarks/gpu_wan.py", "--tiny", "--device", "cpu"]
    given = [*command, "--out", out, *more]
    return subprocess.run(
        [str(part) for part in given], capture_output=True, text=True, check=False, cwd=ROOT
    )


@pytest.mark.slow
def test_a_part_beyond_its_time_is_written_down_and_the_next_comes(tmp_path: Path) -> None:
    stopped = benchmark(
        tmp_path, "--minutes", 0.01, "--parts", "wan2.1 placement", "wan2.1 prediction"
    )
    assert stopped.returncode == 1
    lines = Results(tmp_path).lines()
    failed = [line["part"] for line in lines if line.get("failed")]
    assert failed == ["wan2.1 placement", "wan2.1 prediction"]
    assert "stopped after" in (tmp_path / "results.md").read_text()


@pytest.mark.slow
def test_one_command_installs_tests_and_measures_and_goes_on_where_it_was_stopped(
    tmp_path: Path,
) -> None:
    given = {"DEVICE": "cpu", "TINY": "yes", "VENV": sys.prefix}
    tests = {"GPU_TESTS": "tests/accelerators/test_residency.py"}
    command = [str(ROOT / "tests/gpu/run.sh"), str(tmp_path), "--parts", *SOME_PARTS]

    def run() -> str:
        done = subprocess.run(
            command, env={**os.environ, **given, **tests}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    late = benchmark(tmp_path, "--part", SOME_PARTS[0], "--until", 1.0)
    assert late.returncode == 0, late.stderr
    assert Results(tmp_path).lines()[-1]["what"] == "unfinished", "it goes on below"
    said = run()
    assert "skipped" in said
    lines = Results(tmp_path).lines()
    assert not [line for line in lines if line.get("failed")]
    assert list(dict.fromkeys(line["part"] for line in lines if "part" in line)) == [*SOME_PARTS]
    measured = [line for line in lines if line.get("what") == "case" and "seconds" in line]
    assert [line["case"] for line in measured] == [case.name for case in CASES]
    assert all(line["predicted"] > 0 for line in measured)
    residencies = [line["residency"] for line in lines if line.get("what") == "placement"]
    assert residencies == ["both", "swap", "prefetch"]
    assert "they passed before" in run()
    assert len(Results(tmp_path).lines()) == len(lines), "nothing is measured again"
