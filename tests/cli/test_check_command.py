"""`sraccel check`: everything that is wrong, where, and what a model says; nothing runs."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import outlined
import pytest
from command import Sraccel
from typer.testing import Result

from sraccel.accelerators.sageattention import kernels
from sraccel.demo.pair import DEMO_WEIGHTS
from sraccel.loop.accelerator import Accelerator
from sraccel.recipe.catalogue import Plugin, installed

THREE_MISTAKES = """\
name: three
accelerators:
  - use: teacash
    threshold: 0.1
  - use: sageattention
    kernel: tritn
  - {use: srdiffusion, render: demo, switch_stp: 8}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(text)
        return path

    return write


def test_three_mistakes_are_reported_at_once_with_line_column_and_what_may_be_meant(
    sraccel: Sraccel, recipe: Callable[[str], Path]
):
    path = recipe(THREE_MISTAKES)
    result = sraccel("check", path)
    assert result.exit_code == 2
    lines = result.stdout.splitlines()
    errors = [line for line in lines if ": error: " in line]
    meant = {"3:10": "teacache", "6:13": "triton", "7:38": "switch_step"}
    for error, (place, name) in zip(errors, meant.items(), strict=True):
        assert error.startswith(f"{path}:{place}: error: ")
        assert f"did you mean '{name}'?" in error
    index = lines.index("    6 |     kernel: tritn")
    assert lines[index + 1] == "      |             ^"
    assert lines[index + 2].startswith("    given 'tritn', says sraccel ")
    assert lines[-1] == f"{path}: 3 errors"


def test_a_valid_recipe_is_said_to_be_with_exit_code_0(sraccel: Sraccel):
    result = sraccel("check", "wan2.1-14b-quality")
    assert result.exit_code == 0
    assert "valid (sageattention + srdiffusion + teacache)" in result.stdout
    assert "--model Wan-AI/Wan2.1-T2V-14B-Diffusers" in result.stdout


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("name: empty\n", "lists no accelerator: it does nothing"),
        ("accelerators: [{use: teacache, threshold: 0}]", "never skips"),
        (
            "sampling: {num_inference_steps: 4}\naccelerators: [{use: teacache}]",
            "4 steps leave little to skip",
        ),
        (
            "sampling: {num_inference_steps: 8}\n"
            "accelerators: [{use: srdiffusion, render: demo, switch_step: 8}]",
            "switch_step 8 lies beyond the 8 steps",
        ),
        (
            "sampling: {num_inference_steps: 8}\n"
            "accelerators: [{use: srdiffusion, render: demo, min_step: 7}]",
            "min_step 7 lies beyond the 8 steps",
        ),
        (
            "accelerators: [{use: srdiffusion, render: demo, switch_step: 0}]",
            "nothing is sketched",
        ),
        ("accelerators: [{use: sageattention, kernel: emulated}]", "makes nothing faster"),
    ],
)
def test_what_will_do_nothing_is_a_warning_with_exit_code_0(
    sraccel: Sraccel, recipe: Callable[[str], Path], text: str, warning: str
):
    path = recipe(text)
    result = sraccel("check", path)
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stdout.splitlines() if "warning: " in line]
    assert warning in line
    assert line.startswith(str(path))
    assert "1 warning" in result.stdout


def test_a_switch_within_the_run_is_no_warning(sraccel: Sraccel, recipe: Callable[[str], Path]):
    text = "sampling: {num_inference_steps: 9}\naccelerators: [{use: srdiffusion, render: demo, "
    assert "warning" not in sraccel("check", recipe(text + "switch_step: 8}]")).stdout
    assert "warning" not in sraccel("check", recipe(text + "min_step: 7}]")).stdout


def test_overrides_are_checked_with_the_file(sraccel: Sraccel, recipe: Callable[[str], Path]):
    path = recipe("accelerators: [{use: teacache, threshold: -1}]")
    assert sraccel("check", path, "--set", "teacache.threshold=0.2").exit_code == 0
    result = sraccel("check", path, "--set", "teacache.start=x", "--set", "teacash.a=1")
    assert result.exit_code == 2
    for part in ("--set teacache.start=x: error", "--set teacash.a=1: error", f"{path}:1:43"):
        assert part in result.stdout
    assert "3 errors" in result.stdout


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", "accelerators: [\n", "{path}:1:15: error: cannot be read as a recipe"),
        ("a.toml", "a = = 1\n", "{path}:1:5: error: cannot be read as a recipe"),
        ("a.json", '{"a": }\n', "{path}:1:7: error: cannot be read as a recipe"),
        ("wan2.1-14b-qality", None, "did you mean 'wan2.1-14b-quality'?"),
    ],
)
def test_a_malformed_or_missing_file_is_one_error(
    sraccel: Sraccel, tmp_path: Path, name: str, text: str | None, said: str
):
    if text is not None:
        (tmp_path / name).write_text(text)
    path = tmp_path / name if text is not None else name
    result = sraccel("check", path)
    assert result.exit_code == 2
    assert said.format(path=path) in result.stdout
    assert "Traceback" not in result.output


def test_as_json_everything_is_structured(sraccel: Sraccel, recipe: Callable[[str], Path]):
    path = recipe(THREE_MISTAKES)
    result = sraccel("check", path, "--json")
    assert result.exit_code == 2
    data = json.loads(result.stdout)
    assert data["valid"] is False
    first, second, _ = data["problems"]
    assert (first["path"], first["line"], first["column"]) == ("accelerators[0].use", 3, 10)
    assert first["suggestion"] == "teacache"
    assert second["plugin"].startswith("sraccel ")
    good = json.loads(sraccel("check", "demo", "--json").stdout)
    assert good["valid"]
    assert good["recipe"]["name"] == "demo"
    assert [one["level"] for one in good["findings"]] == ["warning"]


def test_piped_output_is_plain_text_and_no_line_is_broken(
    sraccel: Sraccel, recipe: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "40")
    shown = sraccel("check", recipe(THREE_MISTAKES)).stdout
    assert "\x1b" not in shown
    assert sum(": error: " in line for line in shown.splitlines()) == 3
    shown = sraccel("check", recipe("accelerators: [{use: '[bold]x[/nothing]'}]")).stdout
    assert "[bold]x[/nothing]" in shown


def findings(result: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(result.stdout)["findings"]
    return found


def about(result: Result, name: str) -> str:
    return "\n".join(one["message"] for one in findings(result) if one["about"] == name)


def test_a_model_that_fits_is_described(sraccel: Sraccel):
    result = sraccel("check", "demo", "--model", "demo", "--json", "--dtype", "float32")
    assert result.exit_code == 0, result.output
    assert "render: WanTransformer3DModel" in about(result, "model")
    assert "fits the pipeline's" in about(result, "model")
    assert "transformer, plain, fitted" in about(result, "teacache")
    assert "render, plain, fitted" in about(result, "teacache")
    assert "'emulated' is usable here" in about(result, "sageattention")
    assert "transformer 23.5 MiB, render 2.7 MiB" in about(result, "memory")
    assert "sraccel predict RECIPE --model demo" in about(result, "speedup")


def test_no_weights_are_needed(sraccel: Sraccel, tmp_path: Path):
    folder = tmp_path / "demo"
    shutil.copytree(DEMO_WEIGHTS, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    render = f"srdiffusion.render={{model: {folder}, subfolder: render}}"
    result = sraccel("check", "demo", "--model", folder, "--set", render, "--json")
    assert result.exit_code == 0, result.output
    assert "fits the pipeline's" in about(result, "model")
    assert "render, plain, fitted" in about(result, "teacache")


@pytest.fixture
def cogvideox(tmp_path: Path) -> Path:
    """A model of another family, small to build."""
    return outlined.cogvideox(tmp_path / "model", {**outlined.COGVIDEOX_2B, "num_layers": 2}, 1, 1)


def test_everything_that_a_model_refuses_is_reported_at_once(
    sraccel: Sraccel, cogvideox: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(kernels, "_cuda_lacks", lambda: "no GPU in this test")
    command = ("check", "demo", "--model", cogvideox, "--set", "sageattention.kernel=triton")
    result = sraccel(*command, "--set", "teacache.retention=true", "--json")
    assert result.exit_code == 2
    errors = {one["about"]: one["message"] for one in findings(result) if one["level"] == "error"}
    assert set(errors) == {"srdiffusion", "sageattention", "teacache"}
    assert "the models do not fit each other" in errors["srdiffusion"]
    assert "no GPU in this test" in errors["sageattention"]
    assert "no retention variant for 'cogvideox'" in errors["teacache"]


def test_a_model_without_coefficients_is_refused_saying_how_to_fit_them(
    sraccel: Sraccel, cogvideox: Path
):
    command = ("--set", "teacache.retention=false", "--json")
    result = sraccel("check", "wan2.1-1.3b", "--model", cogvideox, *command)
    assert result.exit_code == 2
    assert "no coefficients are known" in about(result, "teacache")
    assert "sraccel calibrate teacache" in about(result, "teacache")


def test_without_a_gpu_the_real_kernels_are_a_warning(
    sraccel: Sraccel, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(kernels, "_cuda_lacks", lambda: "no GPU in this test")
    command = ("check", "demo", "--model", "demo", "--set", "sageattention.kernel=auto", "--json")
    result = sraccel(*command)
    assert result.exit_code == 0
    assert "does nothing here: no kernel is usable" in about(result, "sageattention")


def test_models_that_do_not_fit_into_memory_are_a_warning(
    sraccel: Sraccel, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sraccel.check.memory_check.free_bytes", lambda device: 25_000_000)
    result = sraccel("check", "demo", "--model", "demo", "--dtype", "float32", "--json")
    assert result.exit_code == 0
    assert "All at once do not fit: offload" in about(result, "memory")
    assert "residency: swap" in about(result, "memory")


@pytest.mark.parametrize(
    ("model", "advice"), [("/no/such/folder", "no model folder"), ("{tmp}", "no model_index.json")]
)
def test_a_missing_model_is_an_error(sraccel: Sraccel, tmp_path: Path, model: str, advice: str):
    result = sraccel("check", "demo", "--model", model.format(tmp=tmp_path), "--json")
    assert result.exit_code == 2
    assert advice in about(result, "model")


def test_two_pipelines_are_said_not_to_be_checked(sraccel: Sraccel, recipe: Callable[[str], Path]):
    path = recipe("accelerators: [{use: srdiffusion, render: org/name, handoff: reencode}]")
    result = sraccel("check", path, "--model", "demo", "--json")
    assert result.exit_code == 0, result.output
    assert "not checked with the model" in about(result, "srdiffusion")


def test_a_plugin_that_cannot_be_imported_is_an_error_of_the_recipe(
    sraccel: Sraccel, recipe: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
):
    broken = Plugin("broken", "broken 1.2", ImportError("no such thing"))
    monkeypatch.setattr(installed(), "plugins", [*installed().plugins, broken])
    path = recipe("accelerators: [{use: broken}]")
    result = sraccel("check", path)
    assert result.exit_code == 2
    assert f"{path}:1:16: error: accelerators[0]: the plugin 'broken' (broken 1.2) is" in (
        result.stdout
    )


def test_debug_shows_the_traceback_of_what_nobody_foresaw(
    sraccel: Sraccel, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("sraccel.check.recipe_check.check_recipe", broken)
    assert sraccel("check", "demo").exit_code == 1
    assert isinstance(sraccel("check", "demo", "--debug").exception, RuntimeError)


def test_the_readmes_commands_do_what_it_says(sraccel: Sraccel):
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^sraccel ((?:recipes|check)\b.*)$", text, re.MULTILINE)
    assert len(commands) >= 2
    for command in commands:
        result = sraccel(*shlex.split(command, comments=True))
        assert result.exit_code == 0, result.output


def test_what_a_model_refuses_is_reported_at_the_accelerators_line(
    sraccel: Sraccel, recipe: Callable[[str], Path], cogvideox: Path
):
    path = recipe(
        "name: w\n# a comment\naccelerators:\n"
        "  - use: srdiffusion\n    render: demo\n"
        "  - {use: teacache, retention: true}\n"
    )
    result = sraccel("check", path, "--model", cogvideox)
    assert result.exit_code == 2
    assert f"{path}:4:5: error: srdiffusion: " in result.stdout
    assert f"{path}:6:5: error: teacache: teacache has no retention" in result.stdout
    fits = recipe("accelerators: [{use: teacache}]").as_posix()
    assert "\nnote: teacache: " in sraccel("check", fits, "--model", "demo").stdout


def test_accelerators_that_contradict_each_other_are_reported_at_the_last_of_them(
    sraccel: Sraccel, recipe: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
):
    class Other(Accelerator):
        """Owns the attention, too."""

        name = "other"
        claims = frozenset({"attention"})

    monkeypatch.setitem(installed().accelerators, "other", Other)
    uses = ("sageattention", "teacache", "other", "srdiffusion, render: demo")
    path = recipe("accelerators:\n" + "".join(f"  - {{use: {use}}}\n" for use in uses))
    result = sraccel("check", path)
    assert result.exit_code == 2
    said = f"{path}:4:5: error: 'sageattention' and 'other' both replace how attention"
    assert said in result.stdout
    (found,) = [one for one in findings(sraccel("check", path, "--json")) if one["between"]]
    assert found["between"] == ["sageattention", "other"]


@pytest.mark.parametrize(
    "text",
    [
        b'"\\e]0;pwned\\a": 1\n',
        b'# \x1b]0;pwned\x07\nname: "a\n',
        b'accelerators: [{use: "\\e[2J\\u202e"}, {use: teacache, "\\e[2J": 1}]\n',
        b'"\\e[2J": &a 1\nname: *b\n',
        b"name: \x1b]0;pwned\x07\n",
        b"name: \xff\x1b]0;pwned\x07\n",
        b'model: "\\e]0;pwned\\a"\naccelerators: []\n',
        b'include: "\\e]0;pwned\\a"\n',
        b'sampling: {"\\e]0;pwned\\a": 1}\n',
    ],
)
def test_nothing_in_a_downloaded_file_steers_the_terminal(
    sraccel: Sraccel, tmp_path: Path, text: bytes
):
    path = tmp_path / "downloaded.yaml"
    path.write_bytes(text)
    for command in (("check", path), ("check", path, "--set", "teacache.x=1")):
        shown = sraccel(*command).output
        assert [char for char in shown if not (char.isprintable() or char == "\n")] == []


def test_the_mark_stands_under_its_column_behind_what_is_shown_as_an_escape(
    sraccel: Sraccel, recipe: Callable[[str], Path]
):
    path = recipe('sampling: {negative_prompt: "\u200b", heigth: 3}\n')
    lines = sraccel("check", path).stdout.splitlines()
    shown = next(index for index, line in enumerate(lines) if line.startswith("    1 | "))
    assert r'"\u200b"' in lines[shown]
    assert lines[shown + 1].index("^") == lines[shown].index("heigth")


@pytest.mark.parametrize(
    "index",
    [
        [],
        3,
        {"_class_name": "WanPipeline", "transformer": []},
        {"_class_name": "WanPipeline", "transformer": ["diffusers"]},
        {"_class_name": "Wan\0Pipeline", "transformer": ["diffusers", "WanTransformer3DModel"]},
        {"transformer": [1, 2], "text_encoder": ["transformers"]},
        {"scheduler": 3, "vae": "x"},
    ],
)
def test_a_downloaded_folder_is_refused_as_a_model_with_exit_code_2(
    sraccel: Sraccel, tmp_path: Path, index: Any
):
    outlined.wan(tmp_path / "model", {**outlined.WAN_1_3B, "num_layers": 1})
    (tmp_path / "model" / "model_index.json").write_text(json.dumps(index))
    result = sraccel("check", "wan2.1-1.3b", "--model", tmp_path / "model", "--json")
    assert result.exit_code == 2, result.output
    (error,) = [one for one in findings(result) if one["level"] == "error"]
    assert error["about"] == "model"
    assert str(tmp_path / "model") in error["message"]


@pytest.mark.parametrize("encoder", [[], ["transformers"], ["transformers", 3], 3, {"a": 1}])
def test_an_odd_text_encoder_is_left_out(sraccel: Sraccel, tmp_path: Path, encoder: Any):
    folder = outlined.wan(tmp_path / "model", {**outlined.WAN_1_3B, "num_layers": 1})
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "text_encoder": encoder}))
    command = ("--set", "teacache.coefficients=[1, 2, 3, 4, 5]", "--json")
    result = sraccel("check", "wan2.1-1.3b", "--model", folder, *command)
    assert result.exit_code == 0, result.output
    assert "weights in" in about(result, "memory")


def test_a_study_file_is_checked_too(sraccel: Sraccel, recipe: Callable[[str], Path]):
    path = recipe("include: demo\nstudy: {design: pairs, plain_steps: [25]}\n")
    result = sraccel("check", path)
    assert result.exit_code == 0
    stack = "sageattention + srdiffusion + teacache + forecast"
    assert f"{path}: valid ({stack}; study: pairs, 13 cells)" in result.stdout
    shown = json.loads(sraccel("check", path, "--json", "--set", "study.seeds=[3]").stdout)
    assert shown["recipe"]["study"]["seeds"] == [3]
    sweep = ("--set", "study.design=sweep", "--set", "srdiffusion.threshold=0.01,0.02,0.03")
    swept = sraccel("check", path, *sweep)
    assert "study: sweep, 5 cells)" in swept.stdout
    assert sraccel("check", path, "--set", "study.seeds=x").exit_code == 2


def test_a_study_files_mistakes_are_reported_with_their_places(
    sraccel: Sraccel, recipe: Callable[[str], Path]
):
    path = recipe(
        "include: demo\nstudy:\n  sweep:\n    srdiffusion.treshold: [1]\n"
        "    teacache.threshold: [0.1, high]\n"
    )
    result = sraccel("check", path)
    assert result.exit_code == 2
    assert f"{path}:4:5: error: study.sweep.srdiffusion.treshold: " in result.stdout
    assert "did you mean 'threshold'?" in result.stdout
    assert f"{path}:5:31: error: study.sweep.teacache.threshold[1]: " in result.stdout
    assert f"{path}: 2 errors" in result.stdout


def test_cells_of_a_study_that_cannot_run_are_warned_of(
    sraccel: Sraccel, recipe: Callable[[str], Path]
):
    path = recipe(
        "accelerators: [{use: teacache}, {use: skip-schedule}]\n"
        "sampling: {num_inference_steps: 20}\n"
        "study: {plain_steps: [20, 10]}\n"
    )
    for model in ([], ["--model", "demo"]):
        result = sraccel("check", path, *model)
        assert result.exit_code == 0
        text = "the cell 'teacache + skip-schedule' cannot run: 'teacache' and 'skip-schedule' both"
        assert result.stdout.count(text) == 1
        assert "'20 plain steps' are no fewer than the other runs' 20" in result.stdout
        assert "'10 plain steps'" not in result.stdout


@pytest.mark.parametrize("design", ["order", "pairs"])
def test_a_design_that_one_accelerator_cannot_fill_is_warned_of(
    sraccel: Sraccel, recipe: Callable[[str], Path], design: str
):
    result = sraccel(
        "check", recipe(f"accelerators: [use: teacache]\nstudy: {{design: {design}}}\n")
    )
    assert result.exit_code == 0
    assert f"the design '{design}' of one accelerator is that one alone" in result.stdout
    assert "2 cells), 1 warning" in result.stdout


@pytest.mark.parametrize("command", ["generate", "demo"])
def test_a_study_file_is_no_recipe_to_run(
    sraccel: Sraccel, recipe: Callable[[str], Path], command: str, tmp_path: Path
):
    path = recipe("include: demo\nstudy: {}\n")
    given = ["--recipe", path] if command == "demo" else [path, "--prompt", "x"]
    result = sraccel(command, *given, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "run it with `sraccel study`" in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()
