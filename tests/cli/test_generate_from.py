"""`sraccel generate --from` makes a video again, from its report or from the video itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import Sraccel, unframed
from tiny_models import tiny_transformer
from typer.testing import Result

from sraccel.demo.pair import DEMO_WEIGHTS
from sraccel.demo.pipeline import DemoPipeline
from sraccel.models.loading import load_demo
from sraccel.report.model import Report
from sraccel.report.origin import fingerprint
from sraccel.video.mp4 import load_video

PROMPT = "a red circle moving left"
SIZE = ("--height", 32, "--width", 32, "--frames", 5)
RECIPE = """\
name: fast
model: demo
sampling: {num_inference_steps: 9, guidance_scale: 1.5}
accelerators:
  - {use: srdiffusion, render: demo, switch_step: 2}
  - {use: teacache, threshold: 5, coefficients: {transformer: [0, 0, 0, 1, 0], render: auto}}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny pipeline's folder, in which the demo pair's render model fits."""
    pipe = load_demo()
    small = tiny_transformer(text_dim=64, in_channels=24, out_channels=24)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    DemoPipeline(**{**pipe.components, "transformer": small}).save_pretrained(folder)
    return folder


class Made:
    """A run's files."""

    def __init__(self, folder: Path, result: Result) -> None:
        assert result.exit_code == 0, result.output
        self.folder = folder
        self.said = " ".join(result.output.split())
        self.report = Report.from_json((folder / "report.json").read_text())
        self.video = load_video(folder / "video.mp4")


@pytest.fixture
def generate(sraccel: Sraccel, tmp_path: Path) -> Callable[..., Made]:
    """`generate("--seed", 1)`: into a folder of its own."""
    folders = iter(range(9))

    def run(*arguments: object) -> Made:
        out = tmp_path / f"out{next(folders)}"
        return Made(out, sraccel("generate", *arguments, "--out", out))

    return run


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def first(generate: Callable[..., Made], recipe: Path, model: Path) -> Made:
    """The run that is made again; options, recipe and defaults all have a part in it."""
    options = ("--steps", 4, "--seed", 7, "--fps", 5, "--negative-prompt", "blue")
    place = ("--model", model, "--device", "cpu")
    made = generate(recipe, *place, "--prompt", PROMPT, *SIZE, *options)
    assert made.report.accelerators[1].reused_calls > 0
    return made


def test_a_report_and_a_video_say_what_made_them(first: Made, model: Path) -> None:
    report = first.report
    assert report.origin is not None
    (pipeline, render) = report.origin.sources
    assert (pipeline.name, pipeline.fingerprint) == (str(model), fingerprint(model))
    assert (render.name, render.fingerprint) == ("demo", fingerprint(DEMO_WEIGHTS))
    assert (report.origin.dtype, report.origin.offload) == ("float32", "none")
    assert report.origin.fps == 5
    assert report.call == {
        "prompt": PROMPT,
        "negative_prompt": "blue",
        "num_inference_steps": 4,
        "guidance_scale": 1.5,
        "height": 32,
        "width": 32,
        "num_frames": 5,
        "seed": 7,
    }
    assert {"sraccel", "torch", "diffusers"} <= report.versions.keys()


@pytest.mark.parametrize("file", ["report.json", "video.mp4"])
def test_the_same_video_comes_again_bit_for_bit(
    file: str, first: Made, generate: Callable[..., Made]
) -> None:
    again = generate("--from", first.folder / file)
    assert np.array_equal(again.video, first.video)
    assert again.report.origin == first.report.origin  # the checksum of the frames, too
    assert again.report.call == first.report.call
    assert again.report.recipe == first.report.recipe
    assert [step.denoiser for step in again.report.steps] == ["transformer"] * 2 + ["render"] * 2
    assert f"the same frames as {first.folder / file}, bit for bit" in again.said
    assert not any("made again" in warning for warning in again.report.warnings)


def test_the_latents_come_again_bit_for_bit_without_the_command(first: Made, model: Path) -> None:
    """What the report holds is enough for one's own program, too."""
    import sraccel
    from sraccel.models.loading import load_pipeline
    from sraccel.report.origin import frames_sha256
    from sraccel.report.repetition import read_repetition
    from sraccel.video.frames import frames_of

    run = read_repetition(first.folder / "report.json")
    pipe = load_pipeline(run.pipeline.name, dtype=run.origin.dtype, device=run.origin.device)
    noise = torch.Generator().manual_seed(run.seed)
    with sraccel.compose(pipe, run.recipe_content()):
        frames = frames_of(pipe(**run.arguments, generator=noise))
    assert frames is not None
    assert frames_sha256(frames[0]) == run.origin.frames_sha256


def test_options_overrides_and_another_recipe_go_before_what_was_then(
    first: Made, generate: Callable[..., Made], tmp_path: Path
) -> None:
    options = ("--seed", 8, "--steps", 3, "--prompt", "a blue square moving up", "--fps", 6)
    changed = generate("--from", first.folder / "report.json", *options)
    assert changed.report.call == first.report.call | {
        "seed": 8,
        "num_inference_steps": 3,
        "prompt": "a blue square moving up",
    }
    assert changed.report.origin.fps == 6
    assert "the same frames" not in changed.said

    overrides = ("--set", "teacache.threshold=4", "--set", "sampling.guidance_scale=2")
    changed = generate("--from", first.folder / "video.mp4", *overrides)
    assert changed.report.call == first.report.call | {"guidance_scale": 2}
    assert changed.report.recipe["accelerators"][1]["threshold"] == 4

    (tmp_path / "other.yaml").write_text("model: demo\nsampling: {num_inference_steps: 2}\n")
    other = generate(tmp_path / "other.yaml", "--from", first.folder / "report.json")
    assert other.report.call == first.report.call | {"num_inference_steps": 2}
    assert other.report.accelerators == []
    assert other.report.origin.sources[0].name == "demo"
    warned = [text for text in other.report.warnings if text.startswith("made again from report")]
    assert any(str(first.report.origin.sources[0].name) in text for text in warned)

    (tmp_path / "none.yaml").write_text("accelerators: []\n")  # acts on the model of then
    made = generate(tmp_path / "none.yaml", "--from", first.folder / "video.mp4")
    assert made.report.origin.sources == first.report.origin.sources[:1]
    assert made.report.call == first.report.call


def test_the_bare_video_of_a_comparison_comes_again_bare(
    generate: Callable[..., Made], recipe: Path, model: Path
) -> None:
    call = ("--model", model, "--prompt", PROMPT, *SIZE, "--steps", 3)
    both = generate(recipe, *call, "--compare")
    bare = generate("--from", both.folder / "bare.mp4")
    assert np.array_equal(bare.video, load_video(both.folder / "bare.mp4"))
    assert bare.report.accelerators == []
    accelerated = generate("--from", both.folder / "report.json")
    assert np.array_equal(accelerated.video, both.video)
    for made in (bare, accelerated):
        assert "the same frames as" in made.said


def test_the_video_of_the_demo_comes_again(
    sraccel: Sraccel, generate: Callable[..., Made], tmp_path: Path
) -> None:
    demo = tmp_path / "demo"
    result = sraccel("demo", "--steps", 3, "--repeats", 1, "--out", demo)
    assert result.exit_code == 0, result.output
    for file in ("report.json", "accelerated.mp4"):
        assert f"the same frames as {demo / file}" in generate("--from", demo / file).said


def changed_copy(first: Made, name: str, **changes: Any) -> Path:
    """The report of a run that was made elsewhere."""
    content = json.loads((first.folder / "report.json").read_text())
    for key, value in changes.items():
        content[key] = {**content[key], **value}
    path = first.folder / name
    path.write_text(json.dumps(content))
    return path


def test_other_versions_another_device_and_other_frames_are_warnings(
    first: Made, generate: Callable[..., Made]
) -> None:
    elsewhere = changed_copy(
        first,
        "elsewhere.json",
        versions={"torch": "1.0"},
        environment={"device": "cuda: NVIDIA H200", "threads": "64"},
        origin={"device": "cuda", "offload": "model", "frames_sha256": "0" * 64},
    )
    again = generate("--from", elsewhere)
    warned = [
        text.removeprefix("made again from elsewhere.json: ")
        for text in again.report.warnings
        if text.startswith("made again")
    ]
    assert warned[0].startswith("torch: 1.0 then, ")
    assert warned[-1] == "the frames are not the same"
    assert any(text.startswith("threads: 64 then, ") for text in warned)
    if not torch.cuda.is_available():
        assert any(text.startswith("device: cuda: NVIDIA H200 then, cpu") for text in warned)
        assert "offload: model then, none now" in warned
    assert "the same frames" not in again.said


def test_a_model_that_has_changed_is_refused_unless_accepted(
    sraccel: Sraccel, generate: Callable[..., Made], model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    (tmp_path / "recipe.yaml").write_text("accelerators: []\n")
    call = ("--prompt", PROMPT, *SIZE, "--steps", 2)
    first = generate(tmp_path / "recipe.yaml", "--model", folder, *call)
    other = tiny_transformer(1, text_dim=64, in_channels=24, out_channels=24)
    other.save_pretrained(folder / "transformer")
    out = tmp_path / "refused"
    result = sraccel("generate", "--from", first.folder / "video.mp4", "--out", out)
    shown = unframed(result.stderr)
    assert result.exit_code == 2
    assert "what made this video has changed since" in shown
    assert "--accept-changes" in shown
    assert not out.exists()
    again = generate("--from", first.folder / "video.mp4", "--accept-changes")
    assert not np.array_equal(again.video, first.video)
    assert "made again from video.mp4: the frames are not the same" in again.report.warnings


def test_models_on_the_hub_are_taken_at_their_commits_of_then(
    model: Path, hub_cache: Path, tmp_path: Path, sraccel: Sraccel
) -> None:
    repository = hub_cache / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    for number, (commit, ref) in enumerate(zip("abc", ("main", "moved", "small"), strict=True)):
        folder = repository / "snapshots" / (commit * 40)
        shutil.copytree(model, folder)
        other = tiny_transformer(number, text_dim=64, in_channels=24, out_channels=24)
        other.save_pretrained(folder / "transformer")
        (repository / "refs" / ref).write_text(commit * 40)
    (tmp_path / "recipe.yaml").write_text(
        "accelerators:\n- use: srdiffusion\n  switch_step: 1\n"
        "  render: {model: someone/tiny, revision: small}\n"
    )

    def make(name: str, *arguments: object) -> None:
        done = sraccel("generate", *arguments, "--out", tmp_path / name)
        assert done.exit_code == 0, done.output

    size = ("--height", 32, "--width", 32, "--frames", 5, "--steps", 2)
    new = (tmp_path / "recipe.yaml", "--model", "someone/tiny", "--prompt", "a red circle", *size)
    make("first", *new)
    for ref in ("main", "small"):  # both branches move on
        (repository / "refs" / ref).write_text("b" * 40)
    make("later", *new)
    make("again", "--from", tmp_path / "first" / "video.mp4")
    make("once more", "--from", tmp_path / "again" / "report.json")
    reports = {
        name: Report.from_json((tmp_path / name / "report.json").read_text())
        for name in ("first", "later", "again", "once more")
    }
    origins = {name: report.origin for name, report in reports.items()}
    assert [(item.name, item.revision) for item in origins["first"].sources] == [
        ("someone/tiny", "a" * 40),
        ("someone/tiny@small", "c" * 40),
    ]
    assert {item.revision for item in origins["later"].sources} == {"b" * 40}
    assert origins["first"].frames_sha256 != origins["later"].frames_sha256
    assert origins["first"] == origins["again"] == origins["once more"]
    assert reports["once more"].recipe == reports["first"].recipe
    assert not any("made again" in text for text in reports["once more"].warnings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give a recipe, or an earlier run with --from"),
        (("demo", "--model", "demo"), "give a --prompt"),
        (("--from", "none.json"), "none.json: cannot be opened"),
        (("--from", "a", "--resume", "b"), "--resume and --from do not go together"),
        (("demo", "--until-switch", "a", "--compare"), "--until-switch makes half a run"),
        (("demo", "--prompts", "a", "--prompt", "b"), "--prompts and --prompt do not go together"),
    ],
)
def test_what_is_missing_or_does_not_go_together_is_named(
    arguments: tuple[str, ...], message: str, sraccel: Sraccel, tmp_path: Path
) -> None:
    result = sraccel("generate", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert message in unframed(result.stderr)
    assert not (tmp_path / "out").exists()
