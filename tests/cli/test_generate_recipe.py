"""`sraccel generate` takes model and sampling from the recipe where no option gives them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import Sraccel, unframed

from sraccel.report.model import Report

Generate = Callable[..., Report]
RECIPE = """\
model: demo
sampling: {num_inference_steps: 5, guidance_scale: 1, height: 32, width: 32, num_frames: 5}
accelerators: [{use: srdiffusion, render: demo, switch_step: 3}]
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def generate(sraccel: Sraccel, recipe: Path, tmp_path: Path) -> Generate:
    """`generate("--steps", 4)`: the report of a run."""

    def run(*arguments: object) -> Report:
        out = tmp_path / "out"
        command = ("generate", recipe, "--prompt", "a red circle moving left", "--out", out)
        result = sraccel(*command, *arguments)
        assert result.exit_code == 0, result.output
        return Report.from_json((out / "report.json").read_text())

    return run


def call_of(report: Report) -> dict[str, Any]:
    return {name: report.call[name] for name in ("num_inference_steps", "height", "num_frames")}


def test_the_recipe_gives_model_and_sampling(generate: Generate):
    report = generate()
    assert len(report.steps) == 5
    assert call_of(report) == {"num_inference_steps": 5, "height": 32, "num_frames": 5}
    assert {call.branch for step in report.steps for call in step.calls} == {"cond"}
    assert report.recipe["model"] == "demo"
    assert report.recipe["sampling"]["width"] == 32


def test_options_go_before_overrides_and_overrides_before_the_file(generate: Generate):
    overrides = ("--set", "sampling.num_inference_steps=6", "--set", "sampling.height=64")
    assert call_of(generate(*overrides))["num_inference_steps"] == 6
    more = ("--set", "srdiffusion.switch_step=2", "--model", "demo")
    report = generate(*overrides, *more, "--steps", 4, "--frames", 8)
    assert report.switch_step == 2
    assert call_of(report) == {"num_inference_steps": 4, "height": 64, "num_frames": 8}


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ("accelerators: []", (), ["no model: give --model, or name one in the recipe"]),
        (
            RECIPE,
            ("--set", "teacash.threshold=1"),
            ["The recipe is not valid", "teacash.threshold=1: the recipe has no accelerator 'teac"],
        ),
        (
            "accelerators: [{use: teacash}, {use: teacache, threshold: -1}]",
            (),
            ["recipe.yaml", "teacash", "accelerators[1].threshold"],
        ),
    ],
)
def test_a_wrong_recipe_is_refused_with_every_problem_before_anything_is_loaded(
    sraccel: Sraccel,
    recipe: Path,
    tmp_path: Path,
    content: str,
    options: tuple[str, ...],
    said: list[str],
):
    recipe.write_text(content)
    out = tmp_path / "out"
    result = sraccel("generate", recipe, "--prompt", "x", "--out", out, *options)
    assert result.exit_code == 2
    for text in said:
        assert text in unframed(result.stderr)
    assert not out.exists()


def test_sampling_that_the_pipeline_does_not_know_is_refused(
    sraccel: Sraccel, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from sraccel.demo.pipeline import DemoPipeline

    def call(self: Any, prompt: str, num_inference_steps: int) -> None: ...

    monkeypatch.setattr(DemoPipeline, "__call__", call)
    result = sraccel("generate", recipe, "--prompt", "x", "--out", tmp_path / "out")
    assert result.exit_code == 2
    shown = unframed(result.stderr)
    assert "does not know --guidance-scale, --height, --frames, --width" in shown
    assert "or in the recipe" in shown
