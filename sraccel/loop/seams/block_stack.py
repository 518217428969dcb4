"""The block-stack seam: an accelerator may predict the stack's residual instead of running it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sraccel.errors import ConflictError, LoopError
from sraccel.loop.intercept import CALL, Bypass, Interception, Later, is_compiled

if TYPE_CHECKING:
    import torch

    from sraccel.loop.call import Call
    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.hooks import LoopHooks


class BlockStackSeam:
    """Watches the blocks of one denoiser, for the calls that `begin` announces.

    A skipped stack passes its streams through unchanged, and the residual is added where the
    family's residual ends: adding it where it begins would count what a ControlNet adds twice.
    """

    def __init__(self, denoiser: Denoiser, hooks: LoopHooks) -> None:
        self._denoiser = denoiser
        self._adapter = denoiser.adapter
        self._hooks = hooks
        self._call: Call | None = None
        self._residual: torch.Tensor | None = None
        self._entered = False  # the first block, in this forward
        self._reached = False  # where the residual ends
        self._bypass = Bypass((), self._skip)  # of the blocks that no layer watches
        self._sole = False  # whether the first block is the last one, too

    def install(self) -> Iterator[Interception | Bypass | Later]:
        """Put the layers in place, one after the other.

        Raises:
            ConflictError: the blocks cannot be watched: see `check_block_stack`.
        """
        module = self._denoiser.module
        check_block_stack(self._denoiser, self._hooks)
        blocks, tail = self._adapter.blocks(module), self._adapter.tail(module)
        if tail is None:
            yield Interception(blocks[-1], CALL, self._last_block)
        else:
            yield Interception(tail, CALL, self._tail)
        yield Interception(blocks[0], CALL, self._head)
        for name, tapped in self._adapter.taps(module).items():
            yield Interception(tapped, CALL, self._tap(name))
        self._sole = tail is None and len(blocks) == 1
        self._bypass = Bypass(blocks[1:] if tail is not None else blocks[1:-1], self._skip)
        yield self._bypass

    def begin(self, call: Call) -> None:
        """The next forward of this denoiser is this call."""
        self._call, self._residual = call, None
        self._entered = self._reached = False

    def end(self) -> None:
        """The forward is over (or has raised)."""
        self._call = self._residual = None
        self._bypass.close()

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

    def _head(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        self._bypass.close()  # it is open if Ctrl-C broke off `end`
        call = self._call
        if call is None:
            return inner(*args, **kwargs)
        if self._entered:
            raise self._nested()
        self._entered = True
        call.block_arguments = (args, kwargs)
        call.block_input = self._adapter.block_input(args, kwargs)
        answer = self._hooks.reuse_residual(call)
        if self._call is not call:
            raise self._nested()
        if answer is None:
            return inner(*args, **kwargs)
        call.reused_by, self._residual = answer
        self._bypass.open()
        return inner(*args, **kwargs) if self._sole else self._skip(*args, **kwargs)

    def _nested(self) -> LoopError:
        return LoopError(
            f"the denoiser {self._denoiser.role!r} was called within its own forward: which of the "
            f"two calls its blocks run for is not known"
        )

    def _skip(self, *args: Any, **kwargs: Any) -> Any:
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
        """Report the residual if the blocks ran; else return the stream with the predicted one."""
        if not self._entered:
            raise self._not_watched()
        self._reached = True
        if self._residual is None:
            self._hooks.residual_computed(call, carried - call.block_input)
            return None
        return call.block_input + self._residual

    def _tap(self, name: str) -> Any:
        def layer(inner: Any, *args: Any, **kwargs: Any) -> Any:
            output = inner(*args, **kwargs)
            if self._call is not None:
                self._call.taps[name] = output
            return output

        return layer


def check_block_stack(denoiser: Denoiser, hooks: LoopHooks) -> None:
    """Refuse a denoiser whose blocks cannot be watched.

    Raises:
        ConflictError: it has no block stack, is compiled as a whole, or runs one block several
            times.
    """
    blocks = denoiser.adapter.blocks(denoiser.module)
    what = f"the denoiser {denoiser.role!r}"
    users = dict.fromkeys((*hooks.who("reuse_residual"), *hooks.who("residual_computed")))
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
