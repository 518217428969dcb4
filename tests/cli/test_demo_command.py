from __future__ import annotations

from pathlib import Path

import pytest
from command import Sraccel, unframed

from sraccel.cli.demo import EXAMPLE_PROMPT
from sraccel.report.model import Report


def test_the_demo_writes_both_videos_the_report_and_the_timeline_and_prints_the_table(
    sraccel: Sraccel, tmp_path: Path
):
    result = sraccel("demo", "--steps", 6, "--repeats", 1, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    names = ["accelerated.mp4", "bare.mp4", "report.html", "report.json", "timeline.svg"]
    report = Report.from_json((tmp_path / "report.json").read_text())
    if report.rival is None:  # six steps can be as slow as the kernel that is emulated
        assert any("no rival" in warning for warning in report.warnings)
    else:
        assert report.rival.placement == "calibrated"
        names.append("rival.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert report.speedup.measured is not None
    assert report.call["prompt"] == EXAMPLE_PROMPT
    uses = ["sageattention", "srdiffusion", "teacache", "forecast"]
    assert [item.name for item in report.accelerators] == uses
    for shown in ("Measured speedup", *uses, *names):
        assert shown in result.stdout
    assert "Note" not in result.stderr  # the example is of the demo pair's world


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
    said = unframed(result.stderr)
    assert "knows only one to 3 moving shapes" in said
    assert "'two cats boxing' is not 'a [striped|dotted] <colour> <shape> <motion>'" in said
    for shown in ("patterns striped, dotted", "relations left of, right of", EXAMPLE_PROMPT):
        assert shown in " ".join(said.split())


SMALL = "height: 32, width: 32, num_frames: 5"


def test_the_recipe_s_sampling_holds_where_the_command_line_says_nothing(
    sraccel: Sraccel, tmp_path: Path
):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"model: demo\nsampling: {{num_inference_steps: 3, guidance_scale: 1, {SMALL}}}\n"
        "accelerators: [{use: srdiffusion, render: demo, switch_step: 2}]\n"
    )

    def made(*options: object) -> Report:
        command = ("demo", "--recipe", recipe, "--repeats", 1, "--out", tmp_path / "out")
        result = sraccel(*command, *options)
        assert result.exit_code == 0, result.output
        return Report.from_json((tmp_path / "out" / "report.json").read_text())

    report = made()
    assert report.call == {
        "prompt": EXAMPLE_PROMPT,
        "num_inference_steps": 3,
        "guidance_scale": 1,
        "height": 32,
        "width": 32,
        "num_frames": 5,
        "seed": 0,
    }
    assert (len(report.steps), report.switch_step) == (3, 2)
    assert {call.branch for step in report.steps for call in step.calls} == {"cond"}

    overrides = ("--set", "srdiffusion.switch_step=1", "--set", "sampling.num_inference_steps=9")
    report = made(*overrides, "--steps", 2)
    assert (len(report.steps), report.switch_step) == (2, 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("model: org/name\n", "is for org/name, and `sraccel demo` runs the demo pair alone"),
        ("sampling: {guidance_scale_2: 1}\n", "refuses this call"),
        ("accelerators: [{use: teacash}]\n", "teacash"),
    ],
)
def test_a_recipe_that_is_not_for_the_demo_pair_is_bad_input(
    sraccel: Sraccel, tmp_path: Path, content: str, said: str
):
    (tmp_path / "recipe.yaml").write_text(content)
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "out"
    result = sraccel("demo", "--recipe", recipe, "--steps", 2, "--repeats", 1, "--out", out)
    assert result.exit_code == 2
    assert said in unframed(result.stderr)
    assert not list(out.glob("*"))
