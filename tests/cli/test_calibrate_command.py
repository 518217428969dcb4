from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from command import Sraccel, unframed
from tiny_models import tiny_transformer
from typer.testing import Result

from sraccel.accelerators.teacache.calibration import fitting
from sraccel.accelerators.teacache.calibration.runs import FullRun, Journal, count_runs, runs_path
from sraccel.accelerators.teacache.calibration_file import CalibrationFile
from sraccel.calibration.budgets import BudgetFile
from sraccel.calibration.calibration import FitFile
from sraccel.cli.calibrate import snippet
from sraccel.composer import compose
from sraccel.demo.pair import DEMO_WEIGHTS
from sraccel.demo.pipeline import DemoPipeline
from sraccel.errors import ModelError
from sraccel.models.loading import load_demo
from sraccel.recipe.recipe import Recipe


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text(
        "# what the demo pair knows\n\na red circle moving left\n  a blue square moving up\n"
        "a red circle moving left\n"
    )
    return path


@pytest.fixture
def calibrate(sraccel: Sraccel, prompts: Path, tmp_path: Path) -> Sraccel:
    """`calibrate("--steps", 8)`: of the demo pair, into `c.json`; later options win."""

    def run(*arguments: object) -> Result:
        command = ("--model", "demo", "--prompts", prompts, "--steps", 7, "-o", tmp_path / "c.json")
        return sraccel("calibrate", "teacache", *command, *arguments)

    return run


def test_the_demo_is_calibrated_and_the_recipe_to_paste_is_valid(
    calibrate: Sraccel, tmp_path: Path
) -> None:
    result = calibrate("--seeds", "0,1")
    assert result.exit_code == 0, result.output
    entry = CalibrationFile.load(tmp_path / "c.json").models["transformer"]
    assert entry.prompts == ["a red circle moving left", "a blue square moving up"]
    assert entry.seeds == [0, 1]
    assert entry.size == {"height": 64, "width": 64, "num_frames": 8}
    assert entry.guidance_scale == 5.0
    for name in ("c.json", "c.transformer.png", "c.transformer.runs.jsonl"):
        assert (tmp_path / name).is_file()
        assert name in unframed(result.output)
    for text in ("R^2", "prompts left out", "mean absolute error", "share of the 7 steps"):
        assert text in unframed(result.output)
    text = snippet(entry, tmp_path / "c.json")
    assert " ".join(text.split()) in unframed(result.output)
    recipe = Recipe(**yaml.safe_load(text))
    compose(load_demo(), recipe)  # takes the file for this model
    (item,) = recipe.accelerators
    assert item.coefficients == str(tmp_path / "c.json")
    assert item.threshold in [row.threshold for row in entry.thresholds]


def test_the_render_model_goes_into_the_same_file(calibrate: Sraccel, tmp_path: Path) -> None:
    for role in ("transformer", "render"):
        assert calibrate("--role", role).exit_code == 0
    models = CalibrationFile.load(tmp_path / "c.json").models
    layers = {name: entry.signature["num_layers"] for name, entry in models.items()}
    assert layers == {"transformer": 7, "render": 2}


def test_a_local_folder_and_a_size(calibrate: Sraccel, tmp_path: Path) -> None:
    pipe = load_demo()
    transformer = tiny_transformer(text_dim=64, in_channels=24, out_channels=24)
    DemoPipeline(**{**pipe.components, "transformer": transformer}).save_pretrained(tmp_path / "m")
    size = ("--height", 32, "--width", 48, "--frames", 5, "--guidance-scale", 1)
    result = calibrate("--model", tmp_path / "m", *size)
    assert result.exit_code == 0, result.output
    entry = CalibrationFile.load(tmp_path / "c.json").models["transformer"]
    assert entry.signature["num_layers"] == 3
    assert entry.latent_shape == [1, 24, 6, 4, 6]
    assert entry.num_points == 2 * 6  # one branch: no guidance


def test_a_poor_fit_is_said_before_anything_else(
    calibrate: Sraccel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "POOR_R2", 2.0)
    result = calibrate()
    assert result.exit_code == 0
    assert "transformer: read this first" in result.stdout.splitlines()[0]
    assert "poor fit: R^2 on prompts left out is" in unframed(result.output)


def test_ctrl_c_says_what_is_kept_and_the_same_command_goes_on(
    calibrate: Sraccel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Journal.add

    def interrupted_before_the_second(self: Journal, record: FullRun) -> None:
        if self.records:
            raise KeyboardInterrupt
        add(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", interrupted_before_the_second)
        result = calibrate()
    assert result.exit_code == 130
    assert "1 of 2 runs are kept in" in unframed(result.output)
    assert "the same command goes on" in unframed(result.output)
    assert "Traceback" not in result.output
    assert not (tmp_path / "c.json").exists()
    result = calibrate()
    assert result.exit_code == 0, result.output
    assert "1 of 2 runs are in" in unframed(result.output)
    assert count_runs(runs_path(tmp_path / "c.json", "transformer")) == 2


def test_other_steps_are_refused_beside_the_runs_that_are_there(calibrate: Sraccel) -> None:
    assert calibrate().exit_code == 0
    result = calibrate("--steps", 8)
    assert result.exit_code == 2
    assert "num_inference_steps: 7 (there), 8 (now)" in unframed(result.output)
    assert "are kept" not in unframed(result.output)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--prompts", "none.txt"), 2, "does not exist"),
        (("--prompts", "{tmp}/empty.txt"), 2, "holds no prompts"),
        (("--prompts", "{weights}/text_encoder/model.safetensors"), 2, "no text"),
        (
            ("--prompts", "{weights}/transformer/diffusion_pytorch_model.safetensors"),
            2,
            "larger than",
        ),
        (("--steps", 5), 2, "5 steps are too few for a polynomial of degree 4"),
        (("--seeds", "one"), 2, "--seeds takes whole numbers"),
        (("--out", "{tmp}/c.yaml"), 2, "name the output *.json"),
        (("--out", "{tmp}/prompts.txt/c.json"), 1, "cannot write to the folder"),
        (("--out", "{tmp}/other.json"), 2, "is not a calibration file"),
        (("--model", "/no/such/folder"), 2, "no model folder"),
        (("--height", 50), 2, "divisible by 16"),
    ],
)
def test_wrong_input_is_one_message(
    calibrate: Sraccel, tmp_path: Path, arguments: tuple[str, object], code: int, text: str
) -> None:
    (tmp_path / "empty.txt").write_text("# nothing\n\n")
    (tmp_path / "other.json").write_text('{"schema_version": 1, "models": {"a": 1}}')
    option, value = arguments
    given = str(value).format(tmp=tmp_path, weights=DEMO_WEIGHTS)
    result = calibrate(option, given)
    assert result.exit_code == code, result.output
    assert text in unframed(result.output)
    assert "Traceback" not in result.output
    assert not (tmp_path / "c.json").exists()


def test_calibrations_share_one_set_of_runs_and_draw_what_they_found(
    sraccel: Sraccel, tmp_path: Path
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a red circle moving left\na blue square moving up\n")
    common = ("--model", "demo", "--prompts", prompts, "--steps", 5, "--budgets", "2-3")
    small = ("--height", 32, "--width", 32, "--frames", 5)
    for what in ("steps", "schedule"):
        out = tmp_path / f"{what}.json"
        result = sraccel("calibrate", what, *common, *small, "-o", out)
        assert result.exit_code == 0, result.output
        file = BudgetFile.load(out, what)
        assert sorted(file.budgets) == [2, 3]
        assert file.guidance_scale == 5.0
        assert f"use: {what}" in result.output
        assert out.with_suffix(".png").read_bytes()[1:4] == b"PNG"
    assert file.settings["forecast"] == {"kind": "hermite", "order": 2, "of": "velocity"}
    out = tmp_path / "blend.json"
    result = sraccel("calibrate", "blend", *common[:6], *small, "-o", out)
    assert result.exit_code == 0, result.output
    fit = FitFile.load(out, "blend")
    assert 0 <= fit.fit["alpha"] <= 2
    assert fit.error_held_out is not None
    assert out.with_suffix(".png").read_bytes()[1:4] == b"PNG"
    assert f"alpha: {out}" in unframed(result.output)
    assert (tmp_path / "runs.jsonl").read_bytes().count(b"\n") == 3
    predictor = {"use": "forecast", "kind": "blend", "alpha": str(out)}
    compose(load_demo("transformer"), [{"use": "schedule", "steps": [0, 1]}, predictor])
    with pytest.raises(ModelError, match="calibrated on"):
        compose(load_demo("render"), [{"use": "schedule", "steps": [0]}, predictor])
    wrong = sraccel("calibrate", "steps", *common, "--budgets", "many", "-o", tmp_path / "x.json")
    assert wrong.exit_code == 2
