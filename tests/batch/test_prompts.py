"""`sraccel generate --prompts`: nothing finished is lost, nothing is made twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from batches import LINES, Batch
from typer.testing import CliRunner

from sraccel.cli import app


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    return Batch(tmp_path)


def test_a_failing_prompt_is_recorded_and_passed_by_and_only_it_is_tried_again(
    batch: Batch, tmp_path: Path
) -> None:
    first = batch.run()
    assert first.exit_code == 1, first.output
    ends = {"red": "finished", "blue": "finished", "odd": "failed", "last.1": "finished"}
    assert batch.ends() == ends
    (odd,) = (entry for entry in batch.entries() if entry["status"] == "failed")
    assert "ValueError" in odd["error"]
    assert "odd failed" in first.stderr
    assert {path.name for path in batch.out.iterdir()} == {
        "manifest.jsonl",
        *(f"{name}{end}" for name in ("red", "blue", "last.1") for end in (".mp4", ".report.json")),
    }
    assert [entry["switch_step"] for entry in batch.entries() if "video" in entry] == [1, 1, 1]
    seeds = [entry["request"]["seed"] for entry in batch.entries()]
    assert seeds == [3, 0, 0, 0]

    before = batch.times()
    batch.ask([*LINES[:2], {**LINES[2], "height": 64}, LINES[3]])
    again = batch.run()
    assert again.exit_code == 0, again.output
    assert "3 of 4 prompts are there already" in again.stderr
    assert batch.ends() == {**ends, "odd": "finished"}
    assert {name: at for name, at in batch.times().items() if name in before} == before

    alone = tmp_path / "alone"
    call = ("generate", batch.recipe, "--prompt", LINES[0]["prompt"], "--seed", 3, "--steps", 3)
    assert CliRunner().invoke(app, [str(item) for item in (*call, "-o", alone)]).exit_code == 0
    reports = [alone / "report.json", batch.out / "red.report.json"]
    sums = {json.loads(path.read_text())["origin"]["frames_sha256"] for path in reports}
    assert len(sums) == 1  # as if it had been made alone

    batch.ask([{**LINES[0], "seed": 4}])
    other = batch.run()
    assert other.exit_code == 2
    assert "seed was 3 and is 4 now" in " ".join(other.stderr.replace("│", " ").split())
    assert batch.run("--set", "srdiffusion.switch_step=2").exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"id": "a", "prompt": "x"}\n{"id": "a", "prompt": "y"}', "'a' is in line 1 already"),
        ('{"id": "../a", "prompt": "x"}', "must match pattern"),
        ('{"prompt": "x"}', "id: is missing"),
        ('{"id": "a", "prompt": "x", "sede": 3}', "sede"),
        ("a red circle", "not JSON"),
        ("\n", "holds no prompts"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_lines(batch: Batch, text: str, said: str) -> None:
    batch.prompts.write_text(text)
    refused = batch.run()
    assert refused.exit_code == 2
    assert said in " ".join(refused.stderr.replace("│", " ").split())
    assert not batch.out.exists()


@pytest.mark.slow
def test_a_killed_batch_goes_on_with_the_same_command(batch: Batch) -> None:
    batch.ask([{**LINES[0], "id": f"p{index}", "seed": index} for index in range(4)])
    process = batch.begin()
    process.kill()
    process.communicate()
    before = batch.times()
    assert 1 <= len(before) < 4
    manifest = batch.out / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes() + b'{"id": "p3", "sta')  # torn in the middle
    (batch.out / ".p3.mp4.a1b2.part").touch()
    done = {path.name.removesuffix(".report.json") for path in batch.out.glob("*.report.json")}
    assert batch.run().exit_code == 0
    assert batch.ends() == {f"p{index}": "finished" for index in range(4)}
    assert len(batch.entries()) == 4  # one line each: nothing was made twice
    assert not list(batch.out.glob(".*"))
    kept = {f"{name}.mp4" for name in done}
    assert {name: at for name, at in batch.times().items() if name in kept} == {
        name: at for name, at in before.items() if name in kept
    }


def test_a_full_disk_ends_the_batch_and_leaves_no_half_file(batch: Batch, full_disk: Path) -> None:
    batch.out = full_disk / "out"
    failed = batch.run()
    assert failed.exit_code == 1
    assert "No space left" in failed.stderr
    assert [path.name for path in batch.out.iterdir()] == ["manifest.jsonl"]
