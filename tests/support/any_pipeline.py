"""What works on one pipeline: tried on a tiny one, each time against its bare output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from residual_rules import ReuseFromStep1
from tiny import TinyFamily

import sraccel
from sraccel.loop.unknown_family import UnknownFamily
from sraccel.plugin import Accelerator, Call, Run, Step, hookimpl

STEPS = 4


class Watching(Accelerator):
    """Sees every call, step and run, and decides nothing."""

    name = "watching"

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.calls: list[str] = []
        self.steps: list[int] = []
        self.runs = 0

    @hookimpl
    def select_denoiser(self, step: Step) -> None:
        assert step.run.current_step is step

    @hookimpl
    def denoiser_called(self, call: Call, output: torch.Tensor) -> None:
        assert output.isfinite().all()
        self.calls.append(call.branch)

    @hookimpl
    def step_finished(self, step: Step) -> None:
        self.steps.append(step.index)

    @hookimpl
    def run_finished(self, run: Run) -> None:
        self.runs += 1


@dataclass(frozen=True)
class Tried:
    """One pipeline's results.

    Attributes:
        pipeline: its class.
        denoiser: class of its denoiser.
        adapter: the family's adapter; None: there is none.
        empty: whether its output under an empty recipe is the bare one, bit for bit.
        steps: the same under a rule that watches steps and calls.
        steps_seen, calls_seen: of the pipeline's loop, as the rule saw it.
        switched: how many calls a second model of the same class took; or why it was refused.
        reused: how many calls reused the residual of their blocks; or why it was refused.
    """

    pipeline: str
    denoiser: str
    adapter: str | None
    empty: bool
    steps: bool
    steps_seen: int
    calls_seen: int
    switched: int | str
    reused: int | str


def tried(tiny: TinyFamily) -> Tried:
    """Everything that needs no knowledge of blocks, and reuse of the blocks' residual."""
    pipe = tiny.pipeline()
    bare = output_of(tiny, pipe)
    with sraccel.compose(pipe, []) as stack:
        empty = same(output_of(tiny, pipe), bare)
        own = stack.own
    with sraccel.compose(pipe, [Watching.Options()]) as stack:
        watched = same(output_of(tiny, pipe), bare)
        (watching,) = stack.accelerators
    assert isinstance(watching, Watching)
    half = len(stack.report.steps) // 2
    render = {"use": "srdiffusion", "render": tiny.render(), "switch_step": half}
    return Tried(
        type(pipe).__name__,
        type(own.module).__name__,
        None if isinstance(own.adapter, UnknownFamily) else own.family,
        empty,
        watched,
        len(stack.report.steps),
        len(watching.calls),
        _counted(tiny, pipe, [render], lambda call: call.chosen_by is not None),
        _counted(tiny, pipe, [ReuseFromStep1.Options()], lambda call: call.reused),
    )


def _counted(
    tiny: TinyFamily, pipe: Any, recipe: list[Any], counts: Callable[[Any], bool]
) -> int | str:
    """How many calls of a run count; or, in words, why the recipe was refused."""
    try:
        with sraccel.compose(pipe, recipe) as stack:
            output_of(tiny, pipe)
    except sraccel.SraccelError as error:
        return f"{type(error).__name__}: {error}"
    return sum(counts(call) for step in stack.report.steps for call in step.calls)


def output_of(tiny: TinyFamily, pipe: Any) -> list[torch.Tensor]:
    """All tensors that a run returns; what draws without a generator draws the same each time."""
    torch.manual_seed(5)
    found = tensors(pipe(**tiny.arguments(STEPS)))
    assert found
    return found


def tensors(value: Any) -> list[torch.Tensor]:
    """The tensors and arrays in what a pipeline returns."""
    if isinstance(value, torch.Tensor):
        return [value]
    if hasattr(value, "__array__"):
        return [torch.as_tensor(value)]
    items = value.values() if hasattr(value, "values") else value
    iterable = isinstance(value, (list, tuple, dict))
    return [found for item in items for found in tensors(item)] if iterable else []


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    """Whether two outputs are the same, bit for bit."""
    return len(one) == len(other) and all(map(torch.equal, one, other))
