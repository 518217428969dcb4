from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

from sraccel.cli.demo import EXAMPLE_PROMPT
from sraccel.demo.shapes import parse_caption
from sraccel.recipe import Recipe
from sraccel.report.model import Report

Sraccel = Callable[..., Result]


def test_the_demo_writes_both_videos_the_report_and_the_timeline_and_prints_the_table(
    sraccel: Sraccel, tmp_path: Path
):
    result = sraccel("demo", "--steps", 6, "--repeats", 1, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    names = ["accelerated.mp4", "bare.mp4", "report.html", "report.json", "timeline.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    report = Report.from_json((tmp_path / "report.json").read_text())
    assert report.speedup.measured is not None
    assert report.call["prompt"] == EXAMPLE_PROMPT
    assert [item.name for item in report.accelerators] == [
        "sageattention",
        "srdiffusion",
        "teacache",
    ]
    for shown in ("measured", "srdiffusion", "teacache", "sageattention", *names):
        assert shown in result.stdout
    assert "Note" not in result.stderr


def test_a_prompt_beyond_the_demo_s_world_gets_a_note_with_an_example(
    sraccel: Sraccel, tmp_path: Path
):
    recipe = tmp_path / "empty.yaml"
    recipe.write_text("accelerators: []\n")
    result = sraccel(
        *("demo", "--prompt", "two cats boxing", "--recipe", recipe),
        *("--steps", 2, "--repeats", 1, "--out", tmp_path),
    )
    assert result.exit_code == 0, result.output
    assert "knows only moving shapes" in result.stderr
    assert EXAMPLE_PROMPT in result.stderr


def test_the_example_prompt_is_of_the_demo_s_world():
    assert len(parse_caption(EXAMPLE_PROMPT).figures) == 2


def test_an_output_folder_that_cannot_be_written_is_noticed_before_the_work(
    sraccel: Sraccel, tmp_path: Path
):
    (tmp_path / "file").write_text("")
    result = sraccel("demo", "--out", tmp_path / "file")
    assert result.exit_code == 1
    assert "cannot write to the folder" in result.stderr


def test_the_shipped_recipe_is_valid():
    recipe = Recipe.load("demo")
    assert recipe.name == "demo"
    assert [item.use for item in recipe.accelerators] == [
        "sageattention",
        "srdiffusion",
        "teacache",
    ]
