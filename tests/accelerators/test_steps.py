"""Placed steps: what is asked for, what is taken, and whose calibration it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from calibrations import calibration
from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline
from placed_steps import placed_steps
from pydantic import ValidationError
from tiny_models import tiny_pipeline, wan_scheduler
from untouched import untouched

import sraccel
from sraccel.accelerators.steps import Steps
from sraccel.calibration.budgets import BudgetFile
from sraccel.demo.pair import DEMO_WEIGHTS
from sraccel.testing import load_demo_pipeline

Generate = Callable[..., torch.Tensor]


def taken(stack: sraccel.Stack) -> list[float]:
    return [step.sigma for step in stack.report.steps]


@pytest.mark.parametrize("positions", [[0, 1, 2, 5, 9], [0], list(range(12))])
def test_given_positions_are_the_placed_scheduler_bit_for_bit(
    positions: list[int], pipe: WanPipeline, generate: Generate
) -> None:
    """The benchmark's own scheduler is the reference."""
    with placed_steps(pipe, positions):
        expected = generate(pipe, steps=12)
    bare = generate(pipe, steps=12)
    with untouched(pipe):
        with sraccel.compose(pipe, [{"use": "steps", "positions": positions}]) as stack:
            for _ in range(2):
                assert torch.equal(generate(pipe, steps=12), expected)
    report = stack.report
    assert (report.asked_steps, len(report.steps)) == (12, len(positions))
    assert report.planned_by == "steps"
    assert torch.equal(generate(pipe, steps=12), bare)


def test_uniform_and_sigmas_place_steps_for_any_scheduler_that_takes_them(
    generate: Generate,
) -> None:
    for scheduler in (wan_scheduler(), FlowMatchEulerDiscreteScheduler()):
        pipe = tiny_pipeline(scheduler=scheduler)
        uniform = {"use": "steps", "number": 4, "placement": "uniform"}
        with sraccel.compose(pipe, [uniform]) as stack:
            generate(pipe, steps=12)
        grid = pipe.scheduler
        grid.set_timesteps(12)
        first = float(grid.sigmas[0])
        assert taken(stack) == [float(grid.sigmas[k]) for k in (0, 3, 6, 9)]
        with sraccel.compose(pipe, [{"use": "steps", "sigmas": [first, 0.6, 0.123]}]) as stack:
            assert generate(pipe, steps=12).isfinite().all()
        assert taken(stack) == pytest.approx([first, 0.6, 0.123])


def test_more_steps_than_asked_for_changes_no_bit(pipe: WanPipeline, generate: Generate) -> None:
    bare = generate(pipe, steps=6)
    with sraccel.compose(pipe, [{"use": "steps", "number": 9, "placement": "uniform"}]) as stack:
        assert torch.equal(generate(pipe, steps=6), bare)
    assert stack.report.warnings == ["steps planned no steps"]


def test_options_are_checked_before_a_run(pipe: WanPipeline, generate: Generate) -> None:
    for wrong in (
        {},
        {"number": 4, "positions": [0, 1]},
        {"positions": [1, 2]},
        {"positions": [0, 2, 2]},
        {"sigmas": [0.3, 0.6]},
        {"positions": [0, 1], "file": "steps.json"},
    ):
        with pytest.raises(ValidationError):
            Steps.Options(**wrong)
    with sraccel.compose(pipe, [{"use": "steps", "positions": [0, 3, 8]}]):
        with pytest.raises(sraccel.ConflictError, match="no step 8 in a run of 8"):
            generate(pipe, steps=8)


class TestCalibration:
    def test_a_file_places_steps_on_its_own_grid_and_on_others(
        self, tmp_path: Path, pipe: WanPipeline, generate: Generate
    ) -> None:
        file = calibration(pipe)
        path = str(file.save(tmp_path / "steps.json"))
        with sraccel.compose(pipe, [{"use": "steps", "number": 3, "file": path}]) as stack:
            generate(pipe, steps=10)
            assert taken(stack) == file.levels(3)
            generate(pipe, steps=17)
        assert taken(stack) == pytest.approx(file.levels(3), rel=1e-2)

    def test_what_is_missing_or_of_another_model_is_refused(
        self, tmp_path: Path, pipe: WanPipeline
    ) -> None:
        recipe = {"use": "steps", "number": 3}
        with pytest.raises(sraccel.ModelError, match="no calibration lies beside"):
            sraccel.compose(pipe, [recipe])
        path = tmp_path / "steps.json"
        for content, said in (
            (None, "cannot read"),
            ("{", "is not JSON"),
            ("{}", "is not a calibration of 'steps'"),
            (calibration(pipe, what="schedule").model_dump_json(), "calibration of 'schedule'"),
            (calibration(pipe, weights="0").model_dump_json(), "with other weights"),
            (calibration(pipe, budgets={}).model_dump_json(), "not for 3"),
            (json.dumps({**calibration(pipe).model_dump(mode="json"), "extra": 1}), "extra"),
        ):
            if content is not None:
                path.write_text(content)
            with pytest.raises(sraccel.ModelError, match=said):
                sraccel.compose(pipe, [{**recipe, "file": str(path)}])


@pytest.mark.skipif(not (DEMO_WEIGHTS / "steps.json").is_file(), reason="the weights are not here")
def test_the_demo_pairs_calibration_is_found_by_itself() -> None:
    pipe = load_demo_pipeline()
    with sraccel.compose(pipe, [{"use": "steps", "number": 6}]) as stack:
        pipe.scheduler.set_timesteps(50)
        sigmas = pipe.scheduler.sigmas.tolist()
    file = BudgetFile.load(DEMO_WEIGHTS / "steps.json", "steps")
    pipe.scheduler.set_timesteps(50)
    grid = pipe.scheduler.sigmas.tolist()
    assert sigmas == [grid[position] for position in file.budget(6).positions] + [0.0]
    assert stack.accelerators
