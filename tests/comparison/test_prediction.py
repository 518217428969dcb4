"""Prediction and attribution, on decisions and costs that are known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sraccel.comparison.costs import Costs, Kind
from sraccel.comparison.prediction import kinds_needed, predict
from sraccel.comparison.probing import schedule_of
from sraccel.report.model import AcceleratorRecord, CallRecord, Report, StepRecord

SAGE, SWITCH, CACHE = "sage", "switch", "cache"


def report_of(
    decisions: list[tuple[bool, bool]],
    order: list[str],
    *,
    emulated: bool = False,
    known: Costs | None = None,
) -> Report:
    """A run of one call a step; each decision is (render model?, reused?)."""
    steps = [
        StepRecord(
            index=index,
            denoiser="render" if switched else "transformer",
            calls=[
                CallRecord(
                    branch="cond",
                    requested="transformer",
                    denoiser="render" if switched else "transformer",
                    chosen_by=SWITCH if switched else None,
                    reused=reused,
                    reused_by=CACHE if reused else None,
                    level="blocks" if reused else None,
                    seconds=1.0,
                )
            ],
        )
        for index, (switched, reused) in enumerate(decisions)
    ]
    return Report(
        outcome="finished",
        num_inference_steps=len(steps),
        steps=steps,
        accelerators=[recorded(name, emulated) for name in order],
        costs=(known or costs()).records(),
    )


def costs(rest: float = 0.5) -> Costs:
    """Sketch 10 s, render 2 s, a skipped stack a tenth; the kernel makes blocks 1.25x faster."""
    found = Costs()
    for prepared in ((), (SAGE,)):
        for role, seconds in (("transformer", 10.0), ("render", 2.0)):
            faster = seconds / 1.25 if prepared else seconds
            found.samples[Kind(role, None, prepared)] = [faster, faster * 5, faster * 0.9]
            found.samples[Kind(role, "blocks", prepared)] = [seconds / 10]
            for skipped in (None, "blocks"):
                found.rests[Kind(role, skipped, prepared)] = [rest]
    return found


def recorded(name: str, emulated: bool) -> AcceleratorRecord:
    kernel = name == SAGE
    return AcceleratorRecord(name=name, prepares=kernel, claims_speed=not (kernel and emulated))


DECISIONS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30)
ORDERS = st.permutations([SAGE, SWITCH, CACHE])


@given(decisions=DECISIONS, order=ORDERS, emulated=st.booleans())
def test_factors_and_overheads_multiply_to_the_predicted_speedup(
    decisions: list[tuple[bool, bool]], order: list[str], emulated: bool
) -> None:
    report = report_of(decisions, order, emulated=emulated)
    predict(report)
    parts = [
        record.factor if record.factor is not None else record.overhead
        for record in report.accelerators
    ]
    assert None not in parts
    assert report.speedup.predicted == pytest.approx(math.prod(parts))  # type: ignore[arg-type]


@given(decisions=DECISIONS, order=ORDERS)
def test_the_prediction_is_bare_over_accelerated_seconds(
    decisions: list[tuple[bool, bool]], order: list[str]
) -> None:
    report = report_of(decisions, order)
    predict(report)
    seconds = 0.0
    for switched, reused in decisions:
        call = 2.0 if switched else 10.0
        seconds += 0.5 + (call / 10 if reused else call / 1.25)
    assert report.speedup.predicted == pytest.approx(len(decisions) * 10.5 / seconds)


@given(decisions=DECISIONS, order=ORDERS)
def test_an_accelerator_that_decided_nothing_has_the_factor_one(
    decisions: list[tuple[bool, bool]], order: list[str]
) -> None:
    report = report_of([(switched, False) for switched, _ in decisions], order)
    predict(report)
    (cache,) = [record for record in report.accelerators if record.name == CACHE]
    assert cache.factor == pytest.approx(1.0)


def test_an_emulated_kernel_gets_no_factor_but_its_overhead() -> None:
    slow = costs()
    slow.samples[Kind("transformer", None, (SAGE,))] = [20.0]
    report = report_of([(False, False)] * 4, [SAGE], emulated=True, known=slow)
    predict(report)
    (record,) = report.accelerators
    assert record.factor is None
    assert record.overhead == pytest.approx(10.5 / 20.5)


def test_a_cost_that_was_never_measured_is_an_estimate_and_says_so() -> None:
    known = costs()
    del known.samples[Kind("render", None, ())]
    report = report_of([(False, False), (True, False)], [SWITCH], known=known)
    predict(report)
    assert report.accelerators[0].estimated
    assert report.speedup.predicted == pytest.approx(21.0 / (10.5 + 1.5))


def test_only_kinds_that_the_replay_asks_for_are_probed() -> None:
    report = report_of([(False, False), (True, False), (True, True)], [SWITCH, CACHE])
    assert kinds_needed(report) == {
        Kind("transformer", None),
        Kind("render", None),
        Kind("render", "blocks"),
    }


def test_a_probe_takes_one_model_after_the_other_computed_and_skipped_by_turns() -> None:
    kinds = [Kind("render", "blocks"), Kind("transformer", None)]
    turn = [("render", None), ("render", "blocks"), ("render", "blocks")]
    large = [("transformer", None)] * 3
    assert [*schedule_of(kinds, 2)] == [("render", None), *turn, *turn, *large]
