"""Shortest paths of predicted errors: against brute force, and against the tensors themselves."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sraccel.accelerators.forecast.extrapolation import Kind, weights
from sraccel.calibration.fitting import Predictor, fitted
from sraccel.calibration.path import (
    Costs,
    cache_costs,
    edges_of,
    length_of,
    shortest_path,
    step_costs,
)
from sraccel.calibration.recording import Setup
from sraccel.calibration.trajectory import Trajectory

VALUES = 40
PREDICTORS: list[tuple[Kind, int]] = [("reuse", 0), ("taylor", 1), ("hermite", 2)]


def cached(run: Trajectory, kind: Kind, order: int) -> Costs:
    return cache_costs(run, partial(weights, kind, order), order + 1)


def made(seed: int, steps: int) -> tuple[Trajectory, np.ndarray, np.ndarray]:
    """A run of Euler's method along a random, smooth velocity; its latents and velocities."""
    rng = np.random.default_rng(seed)
    sigmas = np.sort(rng.uniform(0.05, 1.0, steps))[::-1]
    base, bend, wave = rng.normal(size=(3, VALUES))
    velocities = np.array([base + bend * s**2 + wave * np.sin(5 * s) for s in sigmas])
    latents = [rng.normal(size=VALUES)]
    for k, move in enumerate(np.diff(sigmas)):
        latents.append(latents[-1] + move * velocities[k])
    rows = np.array([*latents, *velocities])
    run = Trajectory(
        prompt=f"p{seed}",
        seed=seed,
        sigmas=sigmas.tolist(),
        products=(rows @ rows.T / VALUES).tolist(),
    )
    return run, np.array(latents), velocities


def rms(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean()))


@given(st.integers(0, 99), st.integers(2, 7))
def test_costs_are_the_errors_of_the_tensors(seed: int, steps: int) -> None:
    run, latents, velocities = made(seed, steps)
    sigmas = np.array([*run.sigmas, 0.0])
    points = np.array([*latents, latents[-1] - sigmas[-2] * velocities[-1]])
    costs = step_costs(run)
    for i, j in combinations(range(steps + 1), 2):
        jump = points[i] + (sigmas[j] - sigmas[i]) * velocities[i] - points[j]
        assert costs[i, j] == pytest.approx(rms(jump), abs=1e-6)


@given(st.integers(0, 99), st.integers(2, 7), st.sampled_from(PREDICTORS), st.data())
def test_the_length_of_a_path_is_the_error_that_its_predictions_add(
    seed: int, steps: int, predictor: tuple[Kind, int], data: Any
) -> None:
    run, _, velocities = made(seed, steps)
    rest = data.draw(st.sets(st.integers(1, steps - 1)))
    computed, moves = [0, *sorted(rest)], np.diff([*run.sigmas, 0.0])
    expected = 0.0
    for number, last in enumerate(computed, start=1):
        error, known = np.zeros(VALUES), computed[:number][-predictor[1] - 1 :]
        for k in range(last + 1, [*computed, steps][number]):
            predicted = np.array(weights(*predictor, known, k)) @ velocities[known]
            error = error + moves[k] * (predicted - velocities[k])
        expected += rms(error)
    assert length_of(cached(run, *predictor), computed) == pytest.approx(expected, abs=2e-6)


@given(st.integers(0, 99), st.integers(2, 8), st.data())
def test_no_other_choice_of_so_many_steps_is_shorter(seed: int, steps: int, data: Any) -> None:
    number = data.draw(st.integers(1, steps))
    run, *_ = made(seed, steps)
    for costs in (*(cached(run, *each) for each in PREDICTORS), edges_of(step_costs(run))):
        found = shortest_path(costs, number)
        assert (len(found), found[0]) == (number, 0)
        every = ([0, *rest] for rest in combinations(range(1, steps), number - 1))
        least = min(length_of(costs, one) for one in every)
        assert length_of(costs, found) == pytest.approx(least, abs=1e-5)
    found = shortest_path(edges_of(step_costs(run)), steps)
    assert found == list(range(steps))
    assert length_of(cached(run, "hermite", 2), found) == 0.0


@given(st.integers(0, 99))
def test_more_steps_never_predict_a_greater_error_for_reuse_held_out_is_said(seed: int) -> None:
    runs = [made(seed + k, 7)[0] for k in range(3)]
    for run in runs[1:]:
        run.sigmas = runs[0].sigmas
    setup = Setup(
        class_name="A",
        weights="0",
        dtype="float32",
        scheduler="S",
        scheduler_config={},
        flow_shift=1.0,
        num_inference_steps=7,
        guidance_scale=5.0,
        call={},
    )
    hermite = Predictor(partial(weights, "hermite", 2), 3, {"kind": "hermite", "order": 2})
    for predictor in (None, hermite):
        file = fitted(runs, [2, 4, 7, 99], setup, predictor)
        assert file.what == ("steps" if predictor is None else "schedule")
        assert file.settings.get("forecast") == (predictor and predictor.options)
        assert sorted(file.budgets) == [2, 4, 7]
        for budget in file.budgets.values():
            assert budget.error_held_out >= budget.error - 1e-5
    assert file.budgets[7].error == 0.0


def test_a_path_that_cannot_be_is_refused() -> None:
    run, *_ = made(0, 3)
    for number in (0, 4):
        with pytest.raises(ValueError, match="has no path of"):
            shortest_path(edges_of(step_costs(run)), number)
