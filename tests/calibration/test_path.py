"""Shortest paths of predicted errors: against brute force, and against the tensors themselves."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sraccel.calibration.fitting import fitted
from sraccel.calibration.path import (
    cache_costs,
    length_of,
    pairs_of,
    shortest_path,
    shortest_path_of_pairs,
    step_costs,
)
from sraccel.calibration.recording import Setup
from sraccel.calibration.trajectory import Trajectory

VALUES = 40


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
    cached = cache_costs(run, order=1)
    for i, j in combinations(range(steps + 1), 2):
        jump = points[i] + (sigmas[j] - sigmas[i]) * velocities[i] - points[j]
        assert costs[i, j] == pytest.approx(rms(jump), abs=1e-6)
        for before in range(i + 1):
            error, gap = np.zeros(VALUES), i - before
            for k in range(i + 1, j):
                slope = (velocities[i] - velocities[before]) / gap if gap else 0.0
                predicted = velocities[i] + (k - i) * slope
                error = error + (sigmas[k + 1] - sigmas[k]) * (predicted - velocities[k])
            assert cached[before, i, j] == pytest.approx(rms(error), abs=1e-6)


@given(st.integers(0, 99), st.integers(2, 8), st.data())
def test_no_other_choice_of_so_many_steps_is_shorter(seed: int, steps: int, data: Any) -> None:
    number = data.draw(st.integers(1, steps))
    run, *_ = made(seed, steps)
    for costs in (cache_costs(run, 0), cache_costs(run, 1), pairs_of(step_costs(run))):
        found = shortest_path_of_pairs(costs, number)
        assert (len(found), found[0]) == (number, 0)
        every = ([0, *rest] for rest in combinations(range(1, steps), number - 1))
        least = min(length_of(costs, one) for one in every)
        assert length_of(costs, found) == pytest.approx(least, abs=1e-12)
    found = shortest_path(step_costs(run), steps)
    assert found == list(range(steps))
    assert length_of(cache_costs(run, 1), found) == 0.0


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
    for what in ("steps", "schedule"):
        file = fitted(what, runs, [2, 4, 7, 99], setup)
        assert sorted(file.budgets) == [2, 4, 7]
        for budget in file.budgets.values():
            assert budget.error_held_out >= budget.error - 1e-9
    assert file.budgets[7].error == 0.0


def test_a_path_that_cannot_be_is_refused() -> None:
    run, *_ = made(0, 3)
    for number in (0, 4):
        with pytest.raises(ValueError, match="has no path of"):
            shortest_path(step_costs(run), number)
