"""`sraccel generate` with two pipelines, whose VAEs differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Sraccel, unframed
from diffusers import WanPipeline
from tiny_models import tiny_transformer, wan_vae
from typer.testing import Result

from sraccel.demo.pair import DEMO_WEIGHTS
from sraccel.loop.accelerator import Accelerator
from sraccel.loop.hookspecs import hookimpl
from sraccel.models.loading import load_demo
from sraccel.recipe.catalogue import installed
from sraccel.report.model import Report
from sraccel.video.mp4 import load_video

SIZE = ("--height", 32, "--width", 64, "--frames", 8, "--steps", 5)  # the demo pair adds a frame


@pytest.fixture(scope="module")
def render(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline's folder: the demo pair's text encoder, another VAE, a random transformer."""
    demo = load_demo()
    pipeline = WanPipeline(
        tokenizer=demo.tokenizer,
        text_encoder=demo.text_encoder,
        vae=wan_vae(1, 6, spatial=16),
        scheduler=demo.scheduler,
        transformer=tiny_transformer(
            7, layers=1, in_channels=6, out_channels=6, text_dim=demo.transformer.config.text_dim
        ),
    )
    folder = tmp_path_factory.mktemp("models") / "render"
    pipeline.save_pretrained(folder)
    return folder


def written(folder: Path, render: object, more: str = "") -> Path:
    path = folder / "recipe.yaml"
    path.write_text(
        "accelerators:\n"
        f"  - {{use: srdiffusion, handoff: reencode, render: {render}, switch_step: 2}}\n{more}"
    )
    return path


def generate(sraccel: Sraccel, recipe: Path, out: Path, *more: object) -> Result:
    return sraccel(
        *("generate", recipe, "--model", "demo", "--prompt", "a red circle", *SIZE),
        *("--out", out, *more),
    )


def test_two_pipelines_make_the_video_and_one_report_and_make_it_again_bit_for_bit(
    sraccel: Sraccel, render: Path, tmp_path: Path
):
    cache = (
        "  - {use: teacache, threshold: 0.1, "
        "coefficients: {transformer: [0, 0, 0, 1, 0], render: [0, 0, 0, 1, 0]}}\n"
    )
    recipe, out = written(tmp_path, render, cache), tmp_path / "out"
    result = generate(sraccel, recipe, out, "--seed", 3)
    assert result.exit_code == 0, result.output
    names = ["report.html", "report.json", "timeline.svg", "video.mp4"]
    assert sorted(path.name for path in out.iterdir()) == names
    report = Report.from_json((out / "report.json").read_text())
    assert [step.denoiser for step in report.steps] == ["transformer"] * 2 + ["render"] * 3
    assert report.handoff.kind == "re-encode"
    assert report.handoff.noise_level_before == report.handoff.noise_level_after
    assert report.call["seed"] == 3
    assert "Hand-off" in result.stdout
    assert len(load_video(out / "video.mp4")) == 9
    assert [source.name for source in report.origin.sources] == ["demo", str(render)]
    result = sraccel("generate", "--from", out / "report.json", "--out", tmp_path / "again")
    assert result.exit_code == 0, result.output
    assert "the same frames as" in result.stderr
    again = Report.from_json((tmp_path / "again" / "report.json").read_text())
    assert again.origin == report.origin


def test_compare_runs_the_sketch_pipeline_bare_beside_it(
    sraccel: Sraccel, render: Path, tmp_path: Path
):
    out = tmp_path / "out"
    result = generate(sraccel, written(tmp_path, render), out, "--compare")
    assert result.exit_code == 0, result.output
    report = Report.from_json((out / "report.json").read_text())
    assert report.speedup.measured == pytest.approx(
        report.baseline.seconds / report.accelerated.seconds
    )
    assert report.quality.keys() >= {"psnr_db", "ssim"}
    bare, video = (load_video(out / name) for name in ("bare.mp4", "video.mp4"))
    assert bare.shape == video.shape
    assert not np.array_equal(bare, video)


@pytest.mark.parametrize(
    ("second", "options", "advice"),
    [
        ("demo", (), "takes no `handoff: reencode`"),
        ("{{model: org/name, revision: main}}", (), "given: revision"),
        ("/no/such/folder", (), "no model folder"),
        ("{render}", ("--frames", 11), "12 frames (possible: 9, 13)"),
    ],
)
def test_a_second_pipeline_that_cannot_render_is_bad_input(
    sraccel: Sraccel,
    render: Path,
    tmp_path: Path,
    second: str,
    options: tuple[object, ...],
    advice: str,
):
    out = tmp_path / "out"
    recipe = written(tmp_path, second.format(render=render))
    result = generate(sraccel, recipe, out, *options)
    assert result.exit_code == 2
    assert advice in unframed(result.stderr)
    assert options or not out.exists()  # refused before anything is loaded


class PressesCtrlC(Accelerator):
    """Interrupts the render pipeline in its second step."""

    name = "presses-ctrl-c"

    @hookimpl
    def step_finished(self, step: Any) -> None:
        if "render" in step.run.stack.denoisers and step.index == 1:
            raise KeyboardInterrupt


def test_ctrl_c_keeps_the_report_of_both_runs(
    sraccel: Sraccel, render: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(installed().accelerators, PressesCtrlC.name, PressesCtrlC)
    out = tmp_path / "out"
    recipe = written(tmp_path, render, "  - {use: presses-ctrl-c}\n")
    result = generate(sraccel, recipe, out)
    assert result.exit_code == 130
    report = Report.from_json((out / "report.json").read_text())
    assert "KeyboardInterrupt" in report.outcome
    assert [step.denoiser for step in report.steps[:3]] == ["transformer", "transformer", "render"]
    assert report.handoff.seconds > 0
    assert not (out / "video.mp4").exists()


def test_the_demo_pair_s_folder_is_a_pipeline_as_any_other(sraccel: Sraccel, tmp_path: Path):
    """As the second pipeline: diffusers' sibling must know the factors of its VAE."""
    out = tmp_path / "out"
    result = generate(sraccel, written(tmp_path, DEMO_WEIGHTS), out)
    assert result.exit_code == 0, result.output
    assert (out / "video.mp4").exists()
