"""`sraccel predict` and `sraccel bench`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import Sraccel, unframed

QUICK = ("--model", "demo", "--steps", 10, "--rounds", 1, "--samples", 2, "--device", "cpu")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "accelerators:\n  - use: srdiffusion\n    render: demo\n    switch_step: 4\n"
        "  - use: teacache\n    threshold: 0.08\n",
        encoding="utf-8",
    )
    return path


def test_a_prediction_says_what_is_measured_and_what_assumed(sraccel: Sraccel, recipe: Path):
    result = sraccel("predict", recipe, *QUICK, "--skip", "render=0.5", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["switch_step"] == 4
    assert found["skipped"] == {"render": 0.5}
    assert found["speedup"]["value"] > 0
    assert any("skips 50 % of render (given)" in line for line in found["assumed"])
    assert any(line.startswith("a call of transformer, computed: ") for line in found["measured"])


def test_a_bench_writes_a_table_a_page_and_what_it_measured(
    sraccel: Sraccel, recipe: Path, tmp_path: Path
):
    out = tmp_path / "out"
    result = sraccel("bench", recipe, *QUICK, "--skip", 0.5, "--out", out)
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == {
        "bench.html",
        "bench.json",
        "measurements.jsonl",
    }
    text = unframed(result.stdout)
    assert "srdiffusion + teacache" in text
    assert "measured here" in text
    assert len(json.loads((out / "bench.json").read_text("utf-8"))["rows"]) == 4


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--model", "wan2.1"), "no configuration of 'wan2.1' is known"),
        (("--model", "demo", "--height", 70), "height 70 is no multiple of 16: take 64 or 80"),
        (("--model", "demo", "--device", "cuda"), "no CUDA device is usable here"),
        (("--model", "demo", "--skip", "2"), "give a share from 0 to 1"),
        (("--model", "demo", "--decisions", "nowhere"), "there is no nowhere"),
        ((), "give --model"),
    ],
)
def test_bad_input_is_refused_in_words(
    sraccel: Sraccel, recipe: Path, given: tuple[object, ...], words: str
):
    result = sraccel("predict", recipe, *given)
    assert result.exit_code == 2, result.output
    assert words in unframed(result.stderr)
