"""The check finds what an accelerator does wrong, and says it in words."""

from __future__ import annotations

import pytest
from faults import FAULTY, Faulty
from faulty.hooks import PredictsANumber
from faulty.models import SkipsByItself

from sraccel.testing import INVARIANTS, BehaviourError, check_accelerator


@pytest.mark.parametrize("faulty", FAULTY, ids=lambda one: f"{one.kind.name}-{one.invariant}")
def test_a_broken_accelerator_is_found_by_the_invariant_that_it_breaks(faulty: Faulty) -> None:
    with pytest.raises(BehaviourError) as found:
        check_accelerator(faulty.entry, targets=faulty.targets(), **(faulty.more or {}))
    assert faulty.said_by(found.value), str(found.value)


def test_every_invariant_has_an_accelerator_that_breaks_it() -> None:
    assert {*INVARIANTS} == {one.invariant for one in FAULTY}


def test_one_error_has_every_fault_with_expected_seen_and_what_to_do() -> None:
    (faulty,) = [one for one in FAULTY if one.entry is SkipsByItself and one.invariant == "claims"]
    with pytest.raises(BehaviourError) as found:
        check_accelerator(SkipsByItself, targets=faulty.targets())
    error = found.value
    assert error.accelerator == "skips-by-itself"
    assert {fault.invariant for fault in error.faults} >= {"attribution", "claims"}
    for fault in error.faults:
        lines = str(fault).splitlines()
        assert lines[0] == f"{fault.invariant}: {INVARIANTS[fault.invariant]} (on Wan)"
        assert [line.split()[0] for line in lines[1:]] == ["expected:", "seen:", "to"]
        assert str(fault) in str(error)


def test_an_instance_is_refused_since_it_belongs_to_one_stack() -> None:
    with pytest.raises(TypeError, match="give the class, or a function that makes one"):
        check_accelerator(PredictsANumber())
