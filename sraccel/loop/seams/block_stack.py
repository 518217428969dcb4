"""The block-stack seam: the residual of a span of blocks may stand in for running them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sraccel.errors import ConflictError, LoopError
from sraccel.loop.intercept import CALL, Bypass, Interception, Later, is_compiled
from sraccel.loop.seams.shard import Arguments, shard_of, splitting_hooks

if TYPE_CHECKING:
    import torch

    from sraccel.loop.call import Call
    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.hooks import LoopHooks
    from sraccel.loop.skipping import Skipping


class BlockStackSeam:
    """Watches the blocks of one denoiser, for the calls that `begin` announces.

    A rule's span begins behind its probe and ends with the stack, unless the rule says otherwise. A
    skipped span passes its streams through unchanged, and the residual is added where it ends; at
    the end of the stack that is where the family's residual ends: adding it where it begins would
    count what a ControlNet adds twice.
    """

    def __init__(self, denoiser: Denoiser, hooks: LoopHooks, skipping: Skipping) -> None:
        self._denoiser = denoiser
        self._adapter = denoiser.adapter
        self._hooks = hooks
        self._skipping = skipping
        self._announced: Call | None = None
        self._thread = 0  # that it was announced in
        self._residual: torch.Tensor | None = None
        self._entered = False  # the first block of the span, in this forward
        self._reached = False  # where the residual ends
        self._bypass = Bypass((), self._skip)  # of the blocks that no layer watches
        self._probes = False  # whether blocks come before the span
        self._watched: list[Any] = []  # the blocks as they are now, and are to remain
        self._sole = False  # whether the first block of the span is the last one, too
        self._splits: list[Any] = []  # hooks that split a sequence where the stack begins

    def install(self) -> Iterator[Interception | Bypass | Later]:
        """Put the layers in place, one after the other.

        Raises:
            ConflictError: the blocks cannot be watched: see `check_block_stack`.
        """
        module = self._denoiser.module
        check_block_stack(self._denoiser, self._hooks, self._skipping)
        blocks = self._adapter.blocks(module)
        self._watched = list(blocks)
        self._splits = splitting_hooks(blocks[0])
        span = blocks[self._skipping.span_of(self._denoiser)]
        tail = self._adapter.tail(module) if span[-1] is blocks[-1] else None
        if tail is None:
            yield Interception(span[-1], CALL, self._last_block)
        else:
            yield Interception(tail, CALL, self._tail)
        yield Interception(span[0], CALL, self._head)
        self._probes = span[0] is not blocks[0]
        if self._probes:
            yield Interception(blocks[0], CALL, self._probe)
        for name, tapped in self._adapter.taps(module).items():
            yield Interception(tapped, CALL, self._tap(name))
        self._sole = tail is None and len(span) == 1
        self._bypass = Bypass(span[1:] if tail is not None else span[1:-1], self._skip)
        yield self._bypass

    @property
    def _call(self) -> Call | None:
        """The call whose forward this is; another thread's is none of the stack's."""
        return self._announced if threading.get_ident() == self._thread else None

    def begin(self, call: Call) -> None:
        """The next forward of this denoiser, in this thread, is this call."""
        self._thread, self._announced, self._residual = threading.get_ident(), call, None
        self._entered = self._reached = False

    def end(self) -> None:
        """The forward is over (or has raised)."""
        self._announced = self._residual = None
        self._bypass.close()

    def check_unchanged(self) -> None:
        """Raise LoopError if the model has other blocks than were watched."""
        blocks = self._adapter.blocks(self._denoiser.module) if self._watched else []
        if [*map(id, blocks)] != [*map(id, self._watched)]:
            raise LoopError(
                f"the blocks of the denoiser {self._denoiser.role!r} were changed while the stack "
                "is attached, so the recipe would act on others: detach first, then compose again"
            )

    def check_reached(self) -> None:
        """Raise LoopError if the forward did not pass the block stack where it was watched."""
        if not self._reached:
            raise self._not_watched()

    def _not_watched(self) -> LoopError:
        return LoopError(
            f"the denoiser {self._denoiser.role!r} ran without passing its blocks where sraccel "
            f"watches them: was it compiled as a whole, or were its blocks replaced? Use "
            f"`compile_repeated_blocks()`, and compose after such changes"
        )

    def _probe(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        """The first block of the stack, where the span begins later."""
        if self._call is not None:
            if self._entered:
                raise self._nested()
            self._see_input(self._call, (args, kwargs))
        return inner(*args, **kwargs)

    def _see_input(self, call: Call, given: Arguments) -> Arguments:
        """Show the call what the first block sees; returned, too."""
        if self._splits:
            given = shard_of(self._watched[0], self._splits, given)
        call.block_arguments = given
        call.block_input = call.span_input = self._adapter.block_input(*given)
        return given

    def _head(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        call = self._call
        if call is None and self._announced is not None:  # another thread's
            return inner(*args, **kwargs)
        self._bypass.close()  # it is open if Ctrl-C broke off `end`
        if call is None:
            return inner(*args, **kwargs)
        if self._entered:
            raise self._nested()
        self._entered = True
        seen = args, kwargs
        if self._probes:
            call.span_input = self._adapter.block_input(args, kwargs)
        else:
            seen = self._see_input(call, seen)
        if self._skipping.blocks:
            self._residual = self._skipping.stand_in(call, "blocks", call.span_input)
        if self._call is not call:
            raise self._nested()
        if self._residual is None:
            return inner(*args, **kwargs)
        self._bypass.open()
        args, kwargs = seen
        return inner(*args, **kwargs) if self._sole else self._skip(*args, **kwargs)

    def _nested(self) -> LoopError:
        return LoopError(
            f"the denoiser {self._denoiser.role!r} was called within its own forward: which of the "
            f"two calls its blocks run for is not known"
        )

    def _skip(self, *args: Any, **kwargs: Any) -> Any:
        if self._call is None:
            raise LoopError(
                f"two threads use the model of the denoiser {self._denoiser.role!r} at a time: "
                "give each a copy"
            )
        return self._adapter.unchanged(args, kwargs)

    def _last_block(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        if self._call is None:
            return inner(*args, **kwargs)
        output = inner(*args, **kwargs) if self._residual is None else self._skip(*args, **kwargs)
        carried = self._end_of_residual(self._call, self._adapter.carried(output))
        return output if carried is None else self._adapter.with_carried(output, carried)

    def _tail(self, inner: Any, carried: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if self._call is not None:
            replaced = self._end_of_residual(self._call, carried)
            carried = carried if replaced is None else replaced
        return inner(carried, *args, **kwargs)

    def _end_of_residual(self, call: Call, carried: torch.Tensor) -> torch.Tensor | None:
        """Report the residual if the span ran; else return the stream with the predicted one."""
        if not self._entered:
            raise self._not_watched()
        self._reached = True
        if self._residual is None:
            residual = carried - call.span_input
            self._hooks.residual_computed(call, residual)
            self._skipping.computed(call, "blocks", residual)
            return None
        return call.span_input + self._residual

    def _tap(self, name: str) -> Any:
        def layer(inner: Any, *args: Any, **kwargs: Any) -> Any:
            output = inner(*args, **kwargs)
            if self._call is not None:
                self._call.taps[name] = output
            return output

        return layer


def check_block_stack(denoiser: Denoiser, hooks: LoopHooks, skipping: Skipping) -> None:
    """Refuse a denoiser whose blocks cannot be watched.

    Raises:
        ConflictError: it has no block stack, is compiled as a whole, runs one block several times,
            or the rule's span of it is empty or cannot end where it does.
    """
    blocks = denoiser.adapter.blocks(denoiser.module)
    what = f"the denoiser {denoiser.role!r}"
    users = hooks.who("skip_blocks", "residual_computed")
    leave_out = f"leave {', '.join(map(repr, users))} out of the recipe"
    if not blocks:
        raise ConflictError(
            f"{what} ({type(denoiser.module).__name__}) has no block stack that could be skipped: "
            f"{leave_out}"
        )
    if is_compiled(denoiser.module):
        raise ConflictError(
            f"{what} is compiled as a whole, so its blocks cannot be skipped: use "
            f"`compile_repeated_blocks()` instead of `compile()`, or {leave_out}"
        )
    if len({id(block) for block in blocks}) < len(blocks):
        raise ConflictError(
            f"{what} runs one block several times, so where its block stack begins and ends is "
            f"not known: {leave_out}"
        )
    wanted = skipping.span_of(denoiser)
    span = blocks[wanted]
    if not span:
        raise ConflictError(
            f"{what} has {len(blocks)} blocks, of which the span {wanted} leaves none that "
            f"could be skipped: {leave_out}"
        )
    if span[-1] is not blocks[-1] and len(denoiser.adapter.streams) > 1:
        raise ConflictError(
            f"{what} carries a text stream from block to block, so a span that ends before the "
            f"last block cannot be skipped: let it end there, or {leave_out}"
        )
