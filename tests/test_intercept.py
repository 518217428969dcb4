"""The one primitive: layers go on and come off in any order and leave no trace."""

from __future__ import annotations

import copy
import inspect

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sraccel.intercept import CALL, intercept


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
def test_layers_come_off_in_any_order(order: list[int]) -> None:
    module = Doubler()
    layers = [intercept(module, CALL, adding(10**n)) for n in range(4)]
    left = set(range(4))
    for n in order:
        assert int(module(torch.tensor(1))) == 2 + sum(10**k for k in left)
        layers[n].undo()
        layers[n].undo()
        left.discard(n)
    assert int(module(torch.tensor(1))) == 2


def test_nothing_is_left_when_layers_come_off_in_reverse() -> None:
    module = Doubler()
    before = dict(module.__dict__)
    layers = [intercept(module, CALL, adding(n)) for n in range(3)]
    for layer in reversed(layers):
        layer.undo()
    assert module.__dict__ == before


def test_a_foreign_wrapper_put_on_top_keeps_working_after_undo() -> None:
    scheduler = Scheduler()
    layer = intercept(scheduler, "step", lambda inner, value: inner(value + 1))
    ours = scheduler.step
    scheduler.step = lambda value: ours(value) * 10  # type: ignore[method-assign]
    assert scheduler.step(1) == 20
    layer.undo()
    assert scheduler.step(1) == 10


def test_the_wrapped_signature_shows() -> None:
    scheduler = Scheduler()
    before = inspect.signature(scheduler.step)
    intercept(scheduler, "step", lambda inner, *args, **kwargs: inner(*args, **kwargs))
    assert inspect.signature(scheduler.step) == before


def test_a_deep_copy_is_not_watched() -> None:
    scheduler, module = Scheduler(), Doubler()
    seen = []
    intercept(scheduler, "step", lambda inner, value: seen.append(value) or inner(value))
    intercept(module, CALL, adding(100))
    copied_scheduler, copied_module = copy.deepcopy(scheduler), copy.deepcopy(module)
    copied_scheduler.step(3)
    assert (seen, scheduler.log, copied_scheduler.log) == ([], [], [3])
    assert int(copied_module(torch.tensor(1))) == 2


def test_mend_puts_a_replaced_layer_back_once() -> None:
    module = Doubler()
    layer = intercept(module, CALL, adding(5))
    module.__dict__[CALL] = module._call_impl  # as `module.compile()` replaces it
    assert int(module(torch.tensor(1))) == 2
    layer.mend()
    layer.mend()
    assert int(module(torch.tensor(1))) == 7


def test_mend_leaves_a_layer_alone_that_another_layer_covers() -> None:
    module = Doubler()
    below, above = intercept(module, CALL, adding(1)), intercept(module, CALL, adding(10))
    below.mend()
    above.mend()
    assert int(module(torch.tensor(1))) == 13


def test_mend_does_not_apply_a_layer_twice_under_a_foreign_wrapper() -> None:
    module = Doubler()
    layer = intercept(module, CALL, adding(5))
    covered = module.__dict__[CALL]
    module.__dict__[CALL] = lambda x: covered(x) * 10
    layer.mend()
    assert int(module(torch.tensor(1))) == 25
