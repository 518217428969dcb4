"""`sraccel report`: the page again, from the files of a run."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from command import Sraccel, unframed
from typer.testing import Result

from sraccel.loop.accelerator import Accelerator
from sraccel.loop.hookspecs import hookimpl
from sraccel.recipe.catalogue import installed
from sraccel.report.model import Report, Timing
from sraccel.report.origin import Origin, Source, frames_sha256, tags
from sraccel.video.mp4 import save_video

RECIPE = {"name": "", "description": "", "accelerators": [{"use": "teacache"}]}
BARE = {**RECIPE, "accelerators": []}


def report_of(frames: torch.Tensor, recipe: dict, **call: object) -> Report:
    """The report of the run that made these frames."""
    origin = Origin(
        sources=[Source(name="demo", fingerprint="f")],
        dtype="float32",
        device="cpu",
        fps=4,
        frames_sha256=frames_sha256(frames),
    )
    return Report(
        outcome="finished",
        num_inference_steps=4,
        baseline=Timing(seconds=1.0),
        recipe=recipe,
        call={"prompt": "a red circle", "seed": 0, **call},
        versions={"sraccel": "1"},
        origin=origin,
    )


def made(path: Path, level: float, recipe: dict, **call: object) -> Report:
    """Writes a grey video as the commands do; returns its run's report."""
    frames = torch.full((4, 32, 32, 3), level)
    report = report_of(frames, recipe, **call)
    save_video(frames, path, fps=4, metadata=tags(report))
    return report


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What `sraccel demo` leaves, but for the page."""
    made(tmp_path / "bare.mp4", 0.2, BARE)
    made(tmp_path / "accelerated.mp4", 0.4, RECIPE).save(tmp_path / "report.json")
    return tmp_path


def embedded(folder: Path) -> list[bytes]:
    text = (folder / "report.html").read_text(encoding="utf-8")
    return [base64.b64decode(found) for found in re.findall(r"video/mp4;base64,([\w+/=]+)", text)]


def videos(folder: Path, *names: str) -> list[bytes]:
    return [(folder / name).read_bytes() for name in names]


def change(folder: Path, **keys: object) -> None:
    path = folder / "report.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


def message(result: Result) -> str:
    return unframed(result.stderr)


@pytest.mark.parametrize("name", ["", "report.json"])
def test_the_page_is_made_of_the_report_and_the_videos(sraccel: Sraccel, folder: Path, name: str):
    result = sraccel("report", folder / name)
    assert result.exit_code == 0, result.output
    assert f"wrote {folder / 'report.html'}" in result.stdout
    assert "a red circle" in (folder / "report.html").read_text(encoding="utf-8")
    assert embedded(folder) == videos(folder, "bare.mp4", "accelerated.mp4")


def left_out(result: Result, folder: Path) -> set[str]:
    """Names of the videos that the command and the page say are left out, and nothing else."""
    assert result.exit_code == 0, result.output
    text = (folder / "report.html").read_text(encoding="utf-8")
    names = set(re.findall(r"Note: (\S+) is left out: ", message(result)))
    assert names == set(re.findall(r">(\S+) is left out: ", text))
    return names


@pytest.mark.parametrize(
    "call", [{"seed": 1}, {"prompt": "a blue square"}, {"num_inference_steps": 9}]
)
def test_a_bare_video_of_another_call_stays_out_and_the_page_says_so(
    sraccel: Sraccel, folder: Path, call: dict
):
    made(folder / "bare.mp4", 0.1, BARE, **call)
    assert left_out(sraccel("report", folder), folder) == {"bare.mp4"}
    assert embedded(folder) == videos(folder, "accelerated.mp4")


@pytest.mark.parametrize("changed", ["versions", "environment", "origin"])
def test_a_bare_video_of_other_models_or_another_machine_stays_out(
    sraccel: Sraccel, folder: Path, changed: str
):
    content = json.loads((folder / "report.json").read_text())
    more = {"dtype": "float16"} if changed == "origin" else {"torch": "0"}
    change(folder, **{changed: content[changed] | more})
    assert "bare.mp4" in left_out(sraccel("report", folder), folder)


def test_an_accelerated_video_of_the_same_call_by_another_recipe_stays_out(
    sraccel: Sraccel, folder: Path
):
    made(folder / "video.mp4", 0.9, RECIPE | {"accelerators": [{"use": "srdiffusion"}]})
    assert left_out(sraccel("report", folder), folder) == {"video.mp4"}
    assert embedded(folder) == videos(folder, "bare.mp4", "accelerated.mp4")


def test_of_a_comparison_that_was_broken_off_only_its_bare_video_is_shown(
    sraccel: Sraccel, tmp_path: Path
):
    """The report is the bare run's; the other video is of an earlier run of the same call."""
    made(tmp_path / "video.mp4", 0.7, RECIPE)
    made(tmp_path / "bare.mp4", 0.2, BARE).save(tmp_path / "report.json")
    assert left_out(sraccel("report", tmp_path), tmp_path) == {"video.mp4"}
    assert embedded(tmp_path) == videos(tmp_path, "bare.mp4")


class PressesCtrlC(Accelerator):
    """Interrupts a run in its fourth step: after warming up, which takes three."""

    name = "presses-ctrl-c"

    @hookimpl
    def select_denoiser(self, step: Any) -> None:
        if step.index == 3:
            raise KeyboardInterrupt


def test_after_an_interrupted_comparison_no_video_of_the_run_before_is_shown(
    sraccel: Sraccel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(installed().accelerators, PressesCtrlC.name, PressesCtrlC)
    fast, slow = tmp_path / "fast.yaml", tmp_path / "slow.yaml"
    fast.write_text("accelerators: [{use: srdiffusion, render: demo, switch_step: 1}]\n")
    slow.write_text("accelerators: [{use: presses-ctrl-c}]\n")
    out = tmp_path / "out"
    call = ("--model", "demo", "--prompt", "a red circle", "--height", 32, "--width", 32)
    call = (*call, "--frames", 5, "--steps", 4, "--out", out)
    assert sraccel("generate", fast, *call).exit_code == 0
    assert sraccel("generate", slow, *call, "--compare").exit_code == 130
    shown = embedded(out)
    assert left_out(sraccel("report", out), out) == {"video.mp4"}
    assert embedded(out) == shown == videos(out, "bare.mp4")


def test_frames_that_nobody_knows_are_not_taken_for_the_same(sraccel: Sraccel, folder: Path):
    report = report_of(torch.zeros(4, 32, 32, 3), RECIPE)
    report.origin = report.origin.model_copy(update={"frames_sha256": None})
    report.save(folder / "report.json")
    video = folder / "accelerated.mp4"
    save_video(torch.ones(4, 32, 32, 3), video, fps=4, metadata=tags(report))
    assert left_out(sraccel("report", folder), folder) == {"accelerated.mp4"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: made(path, 0.2, RECIPE),  # of an accelerated run
        lambda path: save_video(torch.zeros(4, 32, 32, 3), path, fps=4),  # without a tag
        lambda path: path.write_bytes(b"cut short"),
    ],
)
def test_a_video_that_is_not_known_to_be_of_the_bare_run_stays_out(
    sraccel: Sraccel, folder: Path, spoil: Callable[[Path], object]
):
    spoil(folder / "bare.mp4")
    assert left_out(sraccel("report", folder), folder) == {"bare.mp4"}
    assert embedded(folder) == videos(folder, "accelerated.mp4")


@pytest.mark.parametrize("key", [{"outcome": "failed: RuntimeError: boom"}, {"origin": None}])
def test_a_report_of_a_failed_run_or_of_no_command_has_no_videos(
    sraccel: Sraccel, folder: Path, key: dict
):
    change(folder, **key)
    assert left_out(sraccel("report", folder), folder) == {"bare.mp4", "accelerated.mp4"}
    assert embedded(folder) == []


def test_of_two_videos_of_the_same_run_the_newer_is_shown(sraccel: Sraccel, folder: Path):
    made(folder / "video.mp4", 0.4, RECIPE)
    with (folder / "video.mp4").open("ab") as file:
        file.write(b"\0\0\0\x08free")  # an MP4 may have gaps: the same video in other bytes
    os.utime(folder / "accelerated.mp4", (0, 0))
    assert left_out(sraccel("report", folder), folder) == set()
    assert embedded(folder) == videos(folder, "bare.mp4", "video.mp4")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "/report.json: give a folder"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not a text file"),
        (b"[]", "is not a report: it has no schema_version"),
        (b"{}", "is not a report: it has no schema_version"),
        (b'{"schema_version": null}', "has schema_version null, and this sraccel reads 2"),
        (b'{"schema_version": 1}', "reads 2: denoisers and measurements had other names then"),
        (b'{"schema_version": 3}', "has schema_version 3, and this sraccel reads 2: update"),
        (b'{"schema_version": 2, "outcome": 3}', "is not a report: outcome:"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_what_is_no_report_of_this_version_is_bad_input(
    sraccel: Sraccel, tmp_path: Path, content: bytes | None, said: str
):
    if content is not None:
        (tmp_path / "report.json").write_bytes(content)
    result = sraccel("report", tmp_path / "report.json")
    assert result.exit_code == 2
    assert said in message(result)
    assert "Traceback" not in result.output
    assert not (tmp_path / "report.html").exists()


def test_a_page_that_cannot_be_written_fails_and_says_where(sraccel: Sraccel, folder: Path):
    (folder / "report.html").mkdir()
    result = sraccel("report", folder)
    assert result.exit_code == 1
    assert "cannot write" in message(result)
    assert sorted(path.name for path in folder.iterdir()) == [
        *("accelerated.mp4", "bare.mp4", "report.html", "report.json"),
    ]
