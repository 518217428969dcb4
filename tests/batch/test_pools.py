"""What a batch on Ray is made of, without Ray: the two stages, and the sizes of their pools."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from batches import LINES, Batch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sraccel.batch.pools import Pools, Sizing, balanced, parse_pools
from sraccel.cli import app
from sraccel.errors import ConflictError, OutputError

seconds = st.floats(0.01, 1e4)


@given(st.integers(2, 200), seconds, seconds)
def test_no_other_sizes_make_more_prompts(devices: int, sketch: float, render: float) -> None:
    def rate(pools: Pools) -> float:
        return min(pools.sketch / sketch, pools.render / render)

    found = balanced(devices, sketch, render)
    assert found.sketch + found.render == devices
    assert rate(found) == max(rate(Pools(n, devices - n)) for n in range(1, devices))


@given(st.integers(1, 999), st.integers(1, 999))
def test_sizes_are_read_as_they_are_shown(sketch: int, render: int) -> None:
    assert parse_pools(str(Pools(sketch, render))) == Pools(sketch, render)


def not_asked() -> tuple[float, float]:
    raise AssertionError("the forecast is not needed")


@given(st.integers(2, 64), st.integers(65, 999), seconds, seconds)
def test_the_first_prompt_sizes_the_pools_once_it_was_in_both(
    devices: int, prompts: int, sketch: float, render: float
) -> None:
    sizing = Sizing(devices, prompts, not_asked)
    assert (sizing.now, sizing.settled) == (Pools(1, 1), False)
    assert not sizing.hear([], [], whole=False)  # it failed
    assert not sizing.hear([sketch], [], whole=False)
    assert sizing.hear([sketch, 7.0], [render], whole=False)
    assert sizing.now == balanced(devices, sketch, render)
    assert not sizing.hear([sketch, 7.0], [render, 9.0], whole=True)
    assert sizing.now == balanced(devices, sketch, render)


def test_the_forecast_sizes_the_pools_where_that_would_come_too_late_or_never() -> None:
    assert Sizing(12, 6, not_asked).now == Pools(6, 6)  # as many as there are prompts
    few = Sizing(12, 8, lambda: (0.75, 0.25))
    assert (few.now, few.settled) == (Pools(8, 3), True)
    whole = Sizing(12, 99, lambda: (0.25, 0.75))
    assert whole.hear([3.0], [], whole=True)
    assert whole.now == Pools(3, 9)


@pytest.mark.parametrize("text", ["", "2", "sketch", "sketch=0", "sketch=-1", "sketch=1,sketch=2"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(ConflictError, match=r"sketch|one worker"):
        parse_pools(text)


def test_without_ray_the_command_says_how_to_get_it_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    batch = Batch(tmp_path)
    refused = batch.run("--executor", "ray")
    assert refused.exit_code == 2
    assert "pip install 'sraccel[ray]'" in " ".join(refused.stderr.replace("│", " ").split())
    assert not batch.out.exists()
    assert "--executor ray" in batch.run("--workers", "sketch=1").stderr

    study = ("study", batch.recipe, "--prompts", batch.prompts, "-o", batch.out)
    refused = CliRunner().invoke(app, [str(item) for item in (*study, "--executor", "ray")])
    assert refused.exit_code == 2
    assert "pip install 'sraccel[ray]'" in " ".join(refused.stderr.replace("│", " ").split())
    assert not batch.out.exists()


def test_two_stages_make_the_videos_of_one_process(tmp_path: Path) -> None:
    from sraccel.batch.folder import BatchFolder
    from sraccel.batch.prompts_file import read_jobs
    from sraccel.batch.record import Recorder
    from sraccel.batch.stages import RenderStage, SketchStage, work_of
    from sraccel.models.source import ModelSource
    from sraccel.recipe.recipe import Recipe
    from sraccel.report.origin import Origin, sources_of

    batch = Batch(tmp_path)
    assert batch.run().exit_code == 1  # one of its prompts cannot be made
    alone, batch.out = batch.sums(), tmp_path / "two"
    batch.out.mkdir()
    jobs = read_jobs(batch.prompts, {"num_inference_steps": 3}, 0)
    recipe = Recipe.load(batch.recipe)
    sources = sources_of([ModelSource(model="demo")], recipe)
    origin = Origin(sources=sources, dtype="float32", device="cpu", offload="none", fps=8)
    recorder = Recorder(batch.out, origin, recipe.model_dump(mode="json"))
    placing = {"dtype": "float32", "device": "cpu", "offload": "none"}
    work = work_of("demo", recipe, recorder, placing)
    with pytest.raises(ConflictError, match="folder that all machines share"):
        SketchStage(work).load()
    BatchFolder(batch.out, {})
    sketch, render = SketchStage(work), RenderStage(work)
    sketch.load()
    render.load()
    for job in jobs:
        outcome, run = sketch.make(job)
        if outcome.status == "failed":
            assert (job.id, run) == ("odd", b"")
            assert "ValueError" in outcome.reason
        else:
            assert render.make(job, run).status == "finished"
            assert render.make(job, run[:-9]).reason.startswith("HandoverError")
    assert batch.sums() == alone
    assert {*alone} == {line["id"] for line in LINES} - {"odd"}
    render.work = replace(work, recorder=replace(recorder, folder=tmp_path / os.devnull))
    with pytest.raises(OutputError):  # no other prompt could be written either
        render.make(jobs[0], sketch.make(jobs[0])[1])
