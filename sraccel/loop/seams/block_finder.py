"""Finding the blocks of a model that no adapter knows, in its first call, and proving it.

What the blocks do must reach the output by the carried stream alone: with all of them skipped, and
the stream put where it ended, the model must answer the same, bit for bit.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from sraccel.loop.denoiser_adapter import parameters_of
from sraccel.loop.found_blocks import (
    FoundBlocks,
    Output,
    Parameter,
    Pattern,
    carried_parameters,
    carried_position,
)
from sraccel.loop.intercept import CALL, Interception
from sraccel.loop.seams.survey import Ran, Shape, Survey, tensors_of

if TYPE_CHECKING:
    import torch
    from torch import nn


def find_blocks(model: nn.Module, forward: Callable[[], Any]) -> FoundBlocks | None:
    """Where the blocks of a model are, by running it; None: it cannot be said.

    Args:
        model: the denoiser.
        forward: runs it, with the arguments of a real call.
    """
    survey = Survey(model)
    expected = tensors_of(survey.watch(forward))
    for found, end in _candidates(survey):
        if _proves(found, end, forward, expected):
            return found
    return None


def _candidates(survey: Survey) -> Iterator[tuple[FoundBlocks, torch.Tensor]]:
    """What may be the block stack, the longest first, and the carried stream where it ended."""
    blocks = survey.blocks
    if len({id(ran.module) for ran in blocks}) < len(blocks):
        return  # one runs several times: where the stack begins and ends is not known
    for first in _starts(blocks):
        stack = blocks[first:]
        for start, reverse in itertools.product(carried_parameters(stack[0].module), (False, True)):
            outputs = _outputs(stack, reverse)
            if outputs is None:
                continue
            shape = _shape(stack[0], start)
            for tail, end, tensor in _ends(survey, stack[-1], shape):
                modules = tuple(ran.module for ran in stack)
                yield FoundBlocks(modules, tail, start, end, outputs), tensor


def _starts(blocks: Sequence[Ran]) -> Iterator[int]:
    """Where the stack may begin: with the first list, or after some lists that run before it."""
    for position in range(len(blocks)):
        before = {earlier.group for earlier in blocks[:position]}
        if not before & {later.group for later in blocks[position:]}:
            yield position


def _ends(
    survey: Survey, last: Ran, shape: Shape | None
) -> Iterator[tuple[nn.Module | None, int | None, torch.Tensor]]:
    """Where the carried stream may end: (tail, position in the last output, the stream there)."""
    if shape is None:
        return
    known = carried_position(last.module)
    positions = [at for at, part in enumerate(last.outputs) if part == shape]
    for at in sorted(positions, key=lambda at: at != known):
        yield None, at if last.several else None, last.tensors[at]
    for ran in survey.after(last):
        if ran.args and ran.args[0] == shape:
            yield ran.module, None, ran.tensors[0]


def _shape(ran: Ran, parameter: Parameter) -> Shape | None:
    if len(ran.args) > parameter.position:
        return ran.args[parameter.position]
    return ran.kwargs.get(parameter.name)


def _outputs(stack: Sequence[Ran], reverse: bool) -> dict[Pattern, Output] | None:
    """What blocks that do nothing return, by how they are called; None: it cannot be said."""
    found: dict[Pattern, Output] = {}
    for ran in stack:
        output = _output(ran, reverse)
        if output is None:
            return None
        found.setdefault((len(ran.args), tuple(sorted(ran.kwargs))), output)
    return found


def _output(ran: Ran, reverse: bool) -> Output | None:
    """Which of its arguments a block returns changed: those of the same shape, in their order.

    `reverse` takes the parts of the output backwards, for blocks that return their streams in
    another order than they take them.
    """
    names = parameters_of(type(ran.module))
    given = [Parameter(at, name) for at, name in enumerate(names)]
    carried = next(carried_parameters(ran.module))
    free = [carried, *(one for one in given if one != carried)]
    known = carried_position(ran.module)
    order = sorted(range(len(ran.outputs)), key=lambda at: at != known)
    parts: list[Parameter | None] = [None] * len(order)
    for at in reversed(order) if reverse else order:
        if ran.outputs[at] is None:
            continue
        match = next((one for one in free if _shape(ran, one) == ran.outputs[at]), None)
        if match is None:
            return None
        parts[at] = match
        free.remove(match)
    return tuple(parts) if ran.several else parts[0]


def _proves(
    found: FoundBlocks,
    end: torch.Tensor,
    forward: Callable[[], Any],
    expected: Sequence[torch.Tensor],
) -> bool:
    """Whether the model answers the same if only the end of the carried stream is given to it."""
    import torch

    def skipped(inner: Any, *args: Any, **kwargs: Any) -> Any:
        return found.unchanged(args, kwargs)

    def last(inner: Any, *args: Any, **kwargs: Any) -> Any:
        return found.with_carried(found.unchanged(args, kwargs), end)

    def tail(inner: Any, carried: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        return inner(end, *args, **kwargs)

    with ExitStack() as undo:
        for block in found.blocks[:-1]:
            undo.callback(Interception(block, CALL, skipped).undo)
        closing = last if found.tail is None else skipped
        undo.callback(Interception(found.blocks[-1], CALL, closing).undo)
        if found.tail is not None:
            undo.callback(Interception(found.tail, CALL, tail).undo)
        try:
            answer = tensors_of(forward())
        except Exception:  # the model cannot do with what the skipped blocks return
            return False
    return len(answer) == len(expected) and all(map(torch.equal, answer, expected))
