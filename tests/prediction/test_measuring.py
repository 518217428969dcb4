"""What counts of a probe, and whole models' costs from those of few blocks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sraccel.comparison.costs import Costs, Kind
from sraccel.prediction.measuring import ONE, averaged, extrapolated, pooled

COMPUTED, SKIPPED = Kind("transformer", None), Kind("transformer", "blocks")
seconds = st.floats(1e-4, 10)


def stack_of(**counts: int) -> Any:
    """What is asked of a stack here: the configuration of its one model."""
    denoiser = SimpleNamespace(module=SimpleNamespace(config=counts))
    return SimpleNamespace(denoisers={"transformer": denoiser})


def costs_of(computed: float, skipped: float) -> Costs:
    costs = Costs()
    costs.samples |= {COMPUTED: [computed], SKIPPED: [skipped]}
    costs.rests |= {COMPUTED: [0.5]}
    return costs


@given(seconds, seconds, seconds, st.integers(3, 60), st.integers(3, 60))
def test_few_blocks_of_each_kind_tell_what_the_whole_model_costs(
    head: float, double: float, single: float, doubles: int, singles: int
):
    stack = stack_of(num_layers=doubles, num_single_layers=singles)
    one = head + double + single
    by_build = {
        ONE: costs_of(one, head),
        "3 of num_layers": costs_of(one + 2 * double, head),
        "3 of num_single_layers": costs_of(one + 2 * single, head),
    }
    found = extrapolated(by_build, stack)
    whole = head + doubles * double + singles * single
    assert found.samples[COMPUTED] == pytest.approx([whole], rel=1e-3)
    assert found.samples[SKIPPED] == pytest.approx([head])
    assert found.rest(COMPUTED) == 0.5


def test_a_call_costs_the_mean_of_the_round_in_the_middle():
    rounds = [costs_of(1.0, 0.1), costs_of(9.0, 0.3), costs_of(2.0, 0.2)]
    rounds[0].samples[COMPUTED].append(3.0)
    assert pooled(rounds).samples[COMPUTED] == [1.0, 3.0, 9.0, 2.0]
    usual = averaged(rounds)
    assert usual.seconds(COMPUTED) == 2.0
    assert usual.seconds(SKIPPED) == 0.2
    assert usual.rest(COMPUTED) == 0.5
