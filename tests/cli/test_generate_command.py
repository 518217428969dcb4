from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from command import Sraccel, unframed

from sraccel.cli import main
from sraccel.demo.pair import DEMO_WEIGHTS
from sraccel.models import loading, memory
from sraccel.report.build import PACKAGE
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
    command = ("generate", recipe, "--model", "demo", "--prompt", PROMPT, "--steps", 6)
    result = sraccel(*command, "--out", out)
    assert result.exit_code == 0, result.output
    names = ["report.html", "report.json", "timeline.svg", "video.mp4"]
    assert sorted(path.name for path in out.iterdir()) == names
    report = Report.from_json((out / "report.json").read_text())
    assert report.switch_step == 3
    assert [step.denoiser for step in report.steps] == ["transformer"] * 3 + ["render"] * 3
    assert report.speedup.measured is None
    assert report.quality is None
    assert load_video(out / "video.mp4").shape[1:] == (256, 256, 3)
    assert "not measured" in result.stdout
    for name in names:
        assert name in result.stdout
        assert str(PACKAGE).encode() not in (out / name).read_bytes(), "where it is installed"


def test_a_rival_is_for_a_comparison(sraccel: Sraccel, recipe: Path, tmp_path: Path):
    command = ("generate", recipe, "--model", "demo", "--prompt", PROMPT, "--rival")
    result = sraccel(*command, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "--rival goes with --compare" in unframed(result.output)


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
    ("options", "said"),
    [
        (("--model", "/no/such/folder"), "no model folder"),
        (("--model", "{tmp}"), "no model_index.json"),
        (("--model", "{tmp}/recipe.yaml"), "is a file"),
        (("--height", "50"), "divisible by 16"),
        (("--steps", "0"), "Invalid value for '--steps'"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    sraccel: Sraccel, recipe: Path, tmp_path: Path, options: tuple[str, ...], said: str
):
    command = ("generate", recipe, "--model", "demo", "--prompt", PROMPT, "--out", tmp_path)
    result = sraccel(*command, *(option.format(tmp=tmp_path) for option in options))
    assert result.exit_code == 2
    assert said in unframed(result.stderr)
    assert "Traceback" not in result.output


def test_two_models_that_do_not_fit_together_are_refused_before_one_is_loaded(
    sraccel: Sraccel, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The demo pair's denoisers need 26.2 MiB together; the larger alone would fit."""
    monkeypatch.setattr(memory, "free_bytes", lambda device: 25_000_000)
    monkeypatch.setattr(loading, "load_demo", None)  # would fail in another way
    command = ("generate", recipe, "--model", "demo", "--prompt", PROMPT, "--out", tmp_path)
    result = sraccel(*command, "--dtype", "float32")
    assert result.exit_code == 2
    assert "loading demo and demo needs 26.2 MiB, and 23.8 MiB are free" in " ".join(
        result.stderr.split()
    )


def test_debug_shows_what_is_decided_at_every_call_and_tears_no_bar(
    recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)  # bars are drawn, and drawn again
    size = ("--height", "32", "--width", "32", "--frames", "5", "--steps", "4")
    command = ("sraccel", "generate", str(recipe), "--model", "demo", "--prompt", PROMPT, *size)

    def logged(*options: str) -> list[str]:
        monkeypatch.setattr("sys.argv", [*command, "--out", str(tmp_path / "out"), *options])
        with pytest.raises(SystemExit, match=r"^0$"):
            main()
        shown = re.sub(r"\x1b\[[\d;?]*\w", "", capsys.readouterr().err)
        assert re.search(r"accelerated ━+ 4/4 steps", shown)
        lines = [line for line in re.split(r"[\r\n]+", shown) if re.search(r"tep[ (]3|cache", line)]
        return [line for line in lines if not re.search(r"Call\(step [^3]", line)]

    calls = "DEBUG sraccel.loop.seams.denoiser_call: Call(step 3, {}, render): computed"
    steps = "DEBUG sraccel.loop.step: Step(3, timestep=189.0, denoiser='render') begins, chosen by"
    *way, warning = logged("--debug")[:4]  # whether the cache skipped anything comes after
    assert way == [f"{steps} srdiffusion", calls.format("cond"), calls.format("uncond")]
    assert warning.startswith("WARNING sraccel: teacache: 4 steps leave little to skip")
    assert logged() == []
