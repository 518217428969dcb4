"""The one primitive: layers go on and come off in any order and leave no trace."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from misbehaving import interrupted
from torch import nn

from sraccel.loop.intercept import CALL, Bypass, Interception


class Doubler(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


class Scheduler:
    def __init__(self) -> None:
        self.log: list[float] = []

    def step(self, value: float, *, return_dict: bool = True) -> float:
        """Remember the value."""
        self.log.append(value)
        return value


def adding(amount: int):
    return lambda inner, x: inner(x) + amount


@given(st.permutations(range(4)))
def test_layers_come_off_in_any_order_and_leave_nothing(order: list[int]) -> None:
    module = Doubler()
    before = dict(module.__dict__)
    layers = [Interception(module, CALL, adding(10**n)) for n in range(4)]
    left = set(range(4))
    for n in order:
        assert int(module(torch.tensor(1))) == 2 + sum(10**k for k in left)
        layers[n].undo()
        layers[n].undo()
        left.discard(n)
    assert int(module(torch.tensor(1))) == 2
    assert module.__dict__ == before


def test_a_foreign_wrapper_put_on_top_keeps_working_after_undo() -> None:
    scheduler = Scheduler()
    layer = Interception(scheduler, "step", lambda inner, value: inner(value + 1))
    ours = scheduler.step
    scheduler.step = lambda value: ours(value) * 10  # type: ignore[method-assign]
    assert scheduler.step(1) == 20
    layer.undo()
    assert scheduler.step(1) == 10


def test_a_deep_copy_is_not_watched() -> None:
    scheduler, module = Scheduler(), Doubler()
    seen = []
    Interception(scheduler, "step", lambda inner, value: seen.append(value) or inner(value))
    Interception(module, CALL, adding(100))
    copied_scheduler, copied_module = copy.deepcopy(scheduler), copy.deepcopy(module)
    copied_scheduler.step(3)
    assert (seen, scheduler.log, copied_scheduler.log) == ([], [], [3])
    assert int(copied_module(torch.tensor(1))) == 2


@pytest.mark.parametrize(
    ("put_by_others", "expected"),
    [
        (lambda module, ours: module._call_impl, 7),  # as `module.compile()` replaces it
        (lambda module, ours: lambda x: ours(x) * 10, 25),
    ],
)
def test_a_layer_is_reapplied_where_it_was_replaced_and_once(
    put_by_others: Any, expected: int
) -> None:
    module = Doubler()
    layer = Interception(module, CALL, adding(5))
    module.__dict__[CALL] = put_by_others(module, module.__dict__[CALL])
    layer.reapply()
    layer.reapply()
    assert int(module(torch.tensor(1))) == expected


def test_a_layer_that_another_layer_covers_is_not_reapplied() -> None:
    module = Doubler()
    below, above = Interception(module, CALL, adding(1)), Interception(module, CALL, adding(10))
    below.reapply()
    above.reapply()
    assert int(module(torch.tensor(1))) == 13


def in_turn(modules: list[Doubler]) -> int:
    """What 1 becomes by all modules, one after the other."""
    value = torch.tensor(1)
    for module in modules:
        value = module(value)
    return int(value)


class TestBypass:
    @pytest.fixture
    def modules(self) -> list[Doubler]:
        """A plain one, one with layers, one that was compiled, one that has a foreign call."""
        found = [Doubler() for _ in range(4)]
        Interception(found[1], CALL, adding(1))
        found[2].compile(backend="eager")
        found[3].__dict__[CALL] = lambda x: x * 7
        return found

    def test_while_it_is_open_nothing_of_the_modules_runs(self, modules: list[Doubler]) -> None:
        expected, seen = in_turn(modules), []
        for module in modules:
            module.register_forward_hook(lambda *_: seen.append(1))
        before = [dict(module.__dict__) for module in modules]
        bypass = Bypass(modules[1:], lambda x: x)
        assert [module.__dict__ for module in modules] == before, "it acts before it is opened"
        bypass.open()
        assert in_turn(modules) == 2
        assert len(seen) == 1, "of the module that it does not cover"
        bypass.close()
        assert [module.__dict__ for module in modules] == before
        assert in_turn(modules) == expected

    @given(st.lists(st.sampled_from(["open", "close", "undo", "reapply"])), st.booleans())
    def test_opened_and_closed_in_any_order_it_leaves_no_trace(
        self, actions: list[str], one_twice: bool
    ) -> None:
        modules = [Doubler(), Doubler()]
        Interception(modules[1], CALL, adding(1))
        before = [dict(module.__dict__) for module in modules]
        bypass = Bypass(modules + modules[:1] * one_twice, lambda x: x)
        for action in actions:
            getattr(bypass, action)()
            assert in_turn(modules) == (1 if action == "open" else 5)
        bypass.close()
        assert [module.__dict__ for module in modules] == before

    def test_two_that_share_a_module_may_nest(self, modules: list[Doubler]) -> None:
        expected = in_turn(modules)
        outer, inner = Bypass(modules[:3], lambda x: x), Bypass(modules[1:], lambda x: x + 100)
        outer.open()
        inner.open()
        assert in_turn(modules) == 301
        inner.close()
        assert in_turn(modules) == 7
        outer.close()
        assert in_turn(modules) == expected

    def test_a_layer_taken_away_while_it_is_open_does_not_come_back(self) -> None:
        module = Doubler()
        before = dict(module.__dict__)
        layer = Interception(module, CALL, adding(1))
        bypass = Bypass((module,), lambda x: x)
        bypass.open()
        layer.undo()
        bypass.close()
        assert int(module(torch.tensor(1))) == 2
        assert module.__dict__ == before

    def test_a_copy_made_while_it_is_open_runs(self) -> None:
        module = Doubler()
        bypass = Bypass((module,), lambda x: x)
        bypass.open()
        assert int(copy.deepcopy(module)(torch.tensor(1))) == 2

    @pytest.mark.parametrize("method", ["open", "close"])
    def test_wherever_ctrl_c_hits_it_closing_it_restores_everything(
        self, method: str, modules: list[Doubler]
    ) -> None:
        before = [dict(module.__dict__) for module in modules]
        bypass = Bypass(modules, lambda x: x)
        hits = 0
        for line in range(1000):
            if method == "close":
                bypass.open()
            if not interrupted(getattr(bypass, method), after_lines=line):
                break
            hits += 1
            bypass.close()
            assert [module.__dict__ for module in modules] == before
        assert hits > len(modules)
