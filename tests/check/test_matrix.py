"""Which accelerators go together is found by composing and attaching each pair."""

from __future__ import annotations

from typing import Any

from untouched import untouched

from sraccel.check.matrix import pairs


def test_pairs_are_tried_in_both_orders_and_leave_the_pipeline_alone(pipe: Any) -> None:
    names = ["bf16-linear", "sageattention", "skip-schedule", "teacache"]
    with untouched(pipe):
        found = {(pair.first, pair.second): pair.refusal for pair in pairs(pipe, names)}
    alone = found["teacache", "teacache"]
    assert alone is not None, "a tiny model has no published coefficients"
    assert "coefficients" in alone
    usable = names[:3]
    assert found.keys() == {(a, b) for a in usable for b in usable} | {("teacache", "teacache")}
    assert all(found[pair] is None for pair in found if "teacache" not in pair)
