"""Decisions put into a run: exact counts, and costs that add up as they must."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sraccel.comparison.costs import Costs, Kind
from sraccel.comparison.prediction import loop_seconds
from sraccel.errors import RecipeError
from sraccel.loop.forecast import evenly
from sraccel.prediction.decisions import Decisions
from sraccel.prediction.recorded import of_run, recorded
from sraccel.prediction.replay import counts, skip_steps, switch_models
from sraccel.report.model import AcceleratorRecord, CallRecord, Report, StepRecord
from sraccel.study.results import Analysis, CellResult, StudyReport, Switch

BRANCHES = ("cond", "uncond")
ACCELERATORS = [
    AcceleratorRecord(name="srdiffusion"),
    AcceleratorRecord(name="teacache"),
]
LARGE, LARGE_SKIPPED = Kind("transformer", None), Kind("transformer", "blocks")
SMALL, SMALL_SKIPPED = Kind("render", None), Kind("render", "blocks")


def asked(steps: int) -> Report:
    """What a loop of two branches asks for."""

    def call(branch: str) -> CallRecord:
        return CallRecord(branch=branch, requested="transformer", denoiser="transformer")

    return Report(
        outcome="finished",
        num_inference_steps=steps,
        steps=[
            StepRecord(index=index, denoiser="transformer", calls=[*map(call, BRANCHES)])
            for index in range(steps)
        ],
        accelerators=ACCELERATORS,
    )


def run_of(steps: int, switch: int | None, shares: dict[str, float]) -> Report:
    """The run that these decisions make."""
    decisions = Decisions(
        steps,
        switch=switch,
        role="render",
        chosen_by="srdiffusion",
        skips={role: evenly(share) for role, share in shares.items()},
        reused_by="teacache",
    )
    report = asked(steps)
    switch_models(report, decisions)
    skip_steps(report, decisions)
    return report


def costs_of(large: float, head: float, small: float, rest: float = 0.0) -> Costs:
    seconds = {LARGE: large, LARGE_SKIPPED: head, SMALL: small, SMALL_SKIPPED: head}
    costs = Costs()
    for kind, value in seconds.items():
        costs.samples[kind].append(value)
        costs.rests[kind].append(rest)
    return costs


def test_a_given_list_of_decisions_is_replayed_with_exact_counts():
    """Golden: 50 steps, a switch at 10, half of the sketch's and 60 % of the render's skipped."""
    report = run_of(50, 10, {"transformer": 0.5, "render": 0.6})
    assert counts(report, ACCELERATORS) == Counter(
        {LARGE: 10, LARGE_SKIPPED: 10, SMALL: 32, SMALL_SKIPPED: 48}
    )
    assert counts(report, []) == Counter({LARGE: 100})
    assert counts(report, ACCELERATORS[:1]) == Counter({LARGE: 20, SMALL: 80})
    skipped = [step.index for step in report.steps if step.calls[0].reused]
    assert skipped[:5] == [1, 2, 4, 6, 8]
    assert report.switch_step == 10
    seconds = loop_seconds(report, ACCELERATORS, costs_of(1.0, 0.1, 0.2, rest=0.01))
    assert math.isclose(seconds, 10 * 1.0 + 10 * 0.1 + 32 * 0.2 + 48 * 0.1 + 50 * 0.01)
    again = of_run(report, 50, "here")
    assert (again.switch, again.skipped) == (10, {"transformer": 0.5, "render": 0.6})


def test_a_studys_cell_gives_its_median_switch_and_share(tmp_path: Path):
    cell = CellResult(
        name="srdiffusion + teacache",
        kind="stack",
        accelerators=["srdiffusion", "teacache"],
        num_inference_steps=50,
        reused=0.66,
        switch=Switch(median=10, least=8, most=11),
    )
    study = StudyReport(
        design="full",
        prompts=["a cat"],
        seeds=[0],
        repeats=1,
        done=2,
        planned=2,
        accelerators=["srdiffusion", "teacache"],
        analysis=Analysis(resamples=10, blocks=1, cells=[cell]),
    )
    study.save(tmp_path / "report.json")
    found = recorded(tmp_path, ["srdiffusion", "teacache"], 25)
    assert (found.switch, found.skipped) == (5, {"": 0.66})
    with pytest.raises(RecipeError, match="no cell of teacache"):
        recorded(tmp_path, ["teacache"], 25)


@given(st.integers(1, 200), st.floats(0, 1))
def test_steps_that_are_skipped_are_so_many_apart_and_never_the_first(steps: int, share: float):
    count = round(share * steps)
    positions = evenly(share)(range(steps))
    assert len(positions) == len(set(positions)) == min(count, steps - 1)
    assert all(0 < position < steps for position in positions)
    gaps = {after - before for before, after in pairwise(positions)}
    assert not gaps or max(gaps) - min(gaps) <= 1


positive = st.floats(1e-3, 1e3)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 30),
    st.integers(0, 30),
    st.floats(0, 1),
    st.tuples(positive, positive, positive, positive),
    st.floats(1, 10),
)
def test_dearer_calls_never_make_a_run_faster_and_nothing_is_once_the_speed(
    steps: int, switch: int, share: float, seconds: tuple[float, ...], dearer: float
):
    report = run_of(steps, switch, {"transformer": share, "render": share})
    before = loop_seconds(report, ACCELERATORS, costs_of(*seconds))
    for place in range(len(seconds)):
        raised = [value * dearer if at == place else value for at, value in enumerate(seconds)]
        assert loop_seconds(report, ACCELERATORS, costs_of(*raised)) >= before * (1 - 1e-9)
    idle = run_of(steps, None, {})
    costs = costs_of(*seconds)
    assert loop_seconds(idle, ACCELERATORS, costs) == loop_seconds(idle, [], costs)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 30), st.integers(0, 29), st.floats(0, 1), st.floats(0, 1))
def test_skipping_more_or_switching_earlier_to_what_is_cheaper_never_takes_longer(
    steps: int, switch: int, share: float, other: float
):
    costs = costs_of(1.0, 0.1, 0.3)
    low, high = sorted((share, other))
    few, many = (run_of(steps, None, {"transformer": one}) for one in (low, high))
    later, earlier = (run_of(steps, one, {}) for one in (switch + 1, switch))
    for slow, fast in ((few, many), (later, earlier)):
        slower = loop_seconds(slow, ACCELERATORS, costs)
        assert loop_seconds(fast, ACCELERATORS, costs) <= slower * (1 + 1e-9)
