"""`sraccel generate --until-switch` and `--resume`: half a run on one machine, half on another."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from command import Sraccel, unframed

from sraccel.demo.pair import demo_weights
from sraccel.models.source import ModelSource
from sraccel.recipe.recipe import Recipe
from sraccel.report.model import Report
from sraccel.report.origin import sources_of

CALL = ("--prompt", "a red circle moving left", "--steps", 5, "--seed", 7)
RECIPE = """\
name: fast
model: demo
accelerators:
  - {use: sageattention, kernel: emulated}
  - {use: srdiffusion, render: demo, max_step: 1}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def test_two_halves_make_the_video_of_one_run_bit_for_bit(
    sraccel: Sraccel, recipe: Path, tmp_path: Path
):
    whole, split, file = tmp_path / "whole", tmp_path / "split", tmp_path / "run.handover"
    assert sraccel("generate", recipe, *CALL, "-o", whole).exit_code == 0
    begun = sraccel("generate", recipe, *CALL, "--until-switch", file)
    assert begun.exit_code == 0, begun.output
    assert str(file) in unframed(begun.stdout)
    done = sraccel("generate", "--resume", file, "-o", split)
    assert done.exit_code == 0, done.output
    assert (split / "video.mp4").read_bytes() != b""
    reports = [Report.from_json((one / "report.json").read_text()) for one in (whole, split)]
    assert reports[0].origin == reports[1].origin  # the checksum of the frames is in it
    assert reports[0].call == reports[1].call
    assert reports[0].recipe == reports[1].recipe
    notes = [{item.name: item.notes for item in report.accelerators} for report in reports]
    assert notes[0] == notes[1]

    for options, said in {
        ("--seed", 8): "seed: 7 in the hand-over, 8 here",
        ("--steps", 6): "num_inference_steps: 5 in the hand-over, 6 here",
        ("--dtype", "bfloat16"): "dtype: float32 in the hand-over, bfloat16 here",
        ("--set", "srdiffusion.max_step=2"): "max_step: 1 in the hand-over, 2 here",
    }.items():
        refused = sraccel("generate", "--resume", file, "-o", tmp_path / "no", *options)
        assert refused.exit_code == 2
        assert said in unframed(refused.stderr)

    other = tmp_path / "other"
    shutil.copytree(demo_weights(), other, copy_function=os.symlink)
    (other / "schedule.json").unlink()
    refused = sraccel("generate", "--resume", file, "-o", tmp_path / "no", "--model", other)
    assert refused.exit_code == 2
    identities = [ModelSource(model=str(one)) for one in (demo_weights(), other)]
    for source in sources_of(identities, Recipe.load([])):
        assert str(source.identity)[:40] in "".join(unframed(refused.stderr).split())

    file.write_bytes(file.read_bytes()[:-100])
    torn = sraccel("generate", "--resume", file, "-o", tmp_path / "no")
    assert torn.exit_code == 2
    assert "torn" in torn.stderr


def test_without_a_switch_there_is_nothing_to_hand_over_but_a_video(
    sraccel: Sraccel, recipe: Path, tmp_path: Path
):
    file = tmp_path / "run.handover"
    command = ("generate", recipe, *CALL, "--set", "srdiffusion.max_step=9")
    command = (*command, "--set", "srdiffusion.threshold=1e-9", "--until-switch", file)
    refused = sraccel(*command)
    assert refused.exit_code == 1
    assert "no switch came in 5 steps" in unframed(refused.stderr)
    assert sraccel(*command, "-o", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out" / "video.mp4").is_file()
    assert not file.exists()


def test_options_of_halves_that_do_not_go_together_are_refused(
    sraccel: Sraccel, recipe: Path, tmp_path: Path
):
    command = ("generate", recipe, *CALL, "-o", tmp_path)
    for options in (
        ("--until-switch", "a", "--resume", "b"),
        ("--until-switch", "a", "--from", "b"),
        ("--resume", "b", "--compare"),
    ):
        assert sraccel(*command, *options).exit_code == 2
    nowhere = sraccel(*command, "--until-switch", tmp_path / "no folder" / "file")
    assert (nowhere.exit_code, "no folder" in nowhere.stderr) == (1, True)
