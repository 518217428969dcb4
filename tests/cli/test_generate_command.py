from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Sraccel, unframed

from sraccel.demo.pair import DEMO_WEIGHTS
from sraccel.loop.accelerator import Accelerator
from sraccel.loop.hookspecs import hookimpl
from sraccel.models import loading, memory
from sraccel.recipe.catalogue import installed
from sraccel.report.model import Report
from sraccel.video.mp4 import load_video

PROMPT = "a red circle moving left"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "accelerators:\n"
        "  - {use: srdiffusion, render: demo, switch_step: 3}\n"
        "  - {use: teacache, threshold: 0.2}\n"
    )
    return path


def test_generate_writes_a_video_a_report_and_a_timeline(
    sraccel: Sraccel, recipe: Path, tmp_path: Path
):
    out = tmp_path / "new" / "folder"
    result = sraccel(
        "generate", recipe, "--model", "demo", "--prompt", PROMPT, "--steps", 6, "--out", out
    )
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == [
        "report.html",
        "report.json",
        "timeline.svg",
        "video.mp4",
    ]
    report = Report.from_json((out / "report.json").read_text())
    assert report.switch_step == 3
    assert [step.denoiser for step in report.steps] == ["transformer"] * 3 + ["render"] * 3
    assert report.speedup.measured is None
    assert report.quality is None
    assert load_video(out / "video.mp4").shape[1:] == (288, 288, 3)
    assert "not measured" in result.stdout
    for name in ("video.mp4", "report.json", "timeline.svg"):
        assert name in result.stdout


def test_compare_adds_the_bare_video_the_measured_speedup_and_the_quality(
    sraccel: Sraccel, recipe: Path, tmp_path: Path
):
    out = tmp_path / "out"
    result = sraccel(
        *("generate", recipe, "--model", "demo", "--prompt", PROMPT, "--steps", 6),
        *("--compare", "--out", out),
    )
    assert result.exit_code == 0, result.output
    report = json.loads((out / "report.json").read_text())
    assert report["speedup"]["measured"] == pytest.approx(
        report["baseline"]["seconds"] / report["accelerated"]["seconds"]
    )
    assert report["quality"].keys() >= {"psnr_db", "ssim"}
    assert not np.array_equal(load_video(out / "bare.mp4"), load_video(out / "video.mp4"))


def test_a_folder_a_size_and_a_seed_do_what_they_say(
    sraccel: Sraccel, recipe: Path, tmp_path: Path
):
    def made(seed: int) -> np.ndarray:
        result = sraccel(
            *("generate", recipe, "--model", DEMO_WEIGHTS, "--prompt", PROMPT, "--steps", 4),
            *("--height", 32, "--width", 48, "--frames", 5, "--seed", seed, "--guidance-scale", 1),
            *("--fps", 4, "--out", tmp_path / "out"),
        )
        assert result.exit_code == 0, result.output
        return load_video(tmp_path / "out" / "video.mp4")

    first, again, other = made(1), made(1), made(2)
    assert first.shape == (6, 256, 384, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    report = Report.from_json((tmp_path / "out" / "report.json").read_text())
    assert {call.branch for step in report.steps for call in step.calls} == {"cond"}


@pytest.mark.parametrize(
    ("model", "advice"),
    [
        ("/no/such/folder", "no model folder"),
        ("{tmp}", "no model_index.json"),
        ("{tmp}/recipe.yaml", "is a file"),
    ],
)
def test_a_wrong_model_is_one_message_and_exit_code_2(
    sraccel: Sraccel, recipe: Path, tmp_path: Path, model: str, advice: str
):
    name = model.format(tmp=tmp_path)
    result = sraccel("generate", recipe, "--model", name, "--prompt", PROMPT, "--out", tmp_path)
    assert result.exit_code == 2
    assert advice in unframed(result.stderr)
    assert "Traceback" not in result.output


def test_a_wrong_recipe_names_every_problem_before_anything_is_loaded(
    sraccel: Sraccel, tmp_path: Path
):
    recipe = tmp_path / "wrong.yaml"
    recipe.write_text("accelerators: [{use: teacash}, {use: teacache, threshold: -1}]\n")
    out = tmp_path / "out"
    result = sraccel("generate", recipe, "--model", "demo", "--prompt", PROMPT, "--out", out)
    assert result.exit_code == 2
    for part in ("wrong.yaml", "teacash", "accelerators[1].threshold"):
        assert part in result.stderr
    assert not out.exists()


def test_two_models_that_do_not_fit_together_are_refused_before_one_is_loaded(
    sraccel: Sraccel, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The demo pair's denoisers need 0.026 GiB together; the larger alone would fit."""
    monkeypatch.setattr(memory, "free_bytes", lambda device: 25_000_000)
    monkeypatch.setattr(loading, "load_demo", None)  # would fail in another way
    command = ("generate", recipe, "--model", "demo", "--prompt", PROMPT, "--out", tmp_path)
    result = sraccel(*command, "--dtype", "float32")
    assert result.exit_code == 2
    assert "loading demo and demo needs 0.03 GiB" in " ".join(result.stderr.split())


def test_what_a_pipeline_refuses_is_bad_input_too(sraccel: Sraccel, recipe: Path, tmp_path: Path):
    command = ("generate", recipe, "--model", "demo", "--prompt", PROMPT, "--out", tmp_path)
    result = sraccel(*command, "--height", 50)
    assert result.exit_code == 2
    assert "divisible by 16" in result.stderr


def test_an_output_folder_that_cannot_be_written_is_noticed_before_the_work(
    sraccel: Sraccel, recipe: Path
):
    result = sraccel("generate", recipe, "--model", "demo", "--prompt", PROMPT, "--out", recipe)
    assert result.exit_code == 1
    assert "cannot write to the folder" in result.stderr


def test_debug_keeps_the_traceback(sraccel: Sraccel, recipe: Path):
    result = sraccel(
        "generate", recipe, "--model", "/none", "--prompt", "", "--out", "x", "--debug"
    )
    assert type(result.exception).__name__ == "ModelError"


class PressesCtrlC(Accelerator):
    """Interrupts the run in its third step."""

    name = "presses-ctrl-c"

    @hookimpl
    def select_denoiser(self, step: Any) -> None:
        if step.index == 2:
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_says_so_and_keeps_the_report_of_the_steps_taken(
    sraccel: Sraccel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
):
    monkeypatch.setitem(installed().accelerators, PressesCtrlC.name, PressesCtrlC)
    # A shell that starts a job in the background has it ignore Ctrl-C; Python inherits that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("accelerators: [{use: presses-ctrl-c}]\n")
    out = tmp_path / "out"
    result = sraccel("generate", recipe, "--model", "demo", "--prompt", PROMPT, "--out", out)
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
    assert "Traceback" not in result.output
    report = Report.from_json((out / "report.json").read_text())
    assert "KeyboardInterrupt" in report.outcome
    assert [len(step.calls) for step in report.steps][:2] == [2, 2]
    assert not (out / "video.mp4").exists()
