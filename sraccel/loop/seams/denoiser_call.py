"""The call seam: every call of a denoiser becomes a `Call` of the open step."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sraccel.loop.denoiser_adapter import named
from sraccel.loop.intercept import CALL, Interception
from sraccel.loop.seams.sibling_call import call_sibling

if TYPE_CHECKING:
    import torch

    from sraccel.loop.call import Call
    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.seams.block_stack import BlockStackSeam
    from sraccel.loop.tracker import Tracker

CONDITION = "encoder_hidden_states"
"""What a guidance branch is known by where the loop gives it no name."""

_log = logging.getLogger(__name__)


class DenoiserCallSeam:
    """Stands in front of one denoiser that the loop calls, and routes its calls.

    Attributes:
        context: name that the pipeline gave the call by `cache_context`, while one is open.
    """

    def __init__(
        self, denoiser: Denoiser, tracker: Tracker, block_seams: Mapping[str, BlockStackSeam]
    ) -> None:
        self._denoiser = denoiser
        self._tracker = tracker
        self._block_seams = block_seams  # by role of the denoiser that they watch
        self.context: str | None = None

    def install(self) -> Iterator[Interception]:
        """Put the layers in place, one after the other."""
        module = self._denoiser.module
        yield Interception(module, CALL, self._layer)
        if hasattr(module, "cache_context"):
            yield Interception(module, "cache_context", self._context_layer)

    @contextmanager
    def _context_layer(self, inner: Any, name: str, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with inner(name, *args, **kwargs) as value:
            outer, self.context = self.context, name
            try:
                yield value
            finally:
                self.context = outer

    def _layer(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        step = self._tracker.step_of(self._denoiser, args, kwargs)
        if step is None:
            return inner(*args, **kwargs)
        condition = kwargs.get(CONDITION)
        if condition is None and len(args) > 2:  # given by position
            condition = named(self._denoiser.module, args, kwargs).get(CONDITION)
        branch = step.branch_of(self.context, condition)
        latents = _tensor(args[0] if args else kwargs[self._denoiser.adapter.latents])
        call = step.open_call(self._denoiser, branch, latents)
        output = self._answer(call, inner, args, kwargs)
        if step.run.hooks.anyone("denoiser_called"):
            step.run.hooks.denoiser_called(call, _prediction(output))
        _log.debug("%r: %s", call, call.reused_by or "computed")
        call.release()
        return output

    def _answer(self, call: Call, inner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The output of the denoiser that takes the call, its blocks watched if anybody asks."""
        blocks = self._block_seams.get(call.denoiser.role)
        clock = call.step.run.clock
        started = clock.mark()
        if blocks is not None:
            blocks.begin(call)
        try:
            if call.denoiser is self._denoiser:
                output = inner(*args, **kwargs)
            else:
                output = call_sibling(call, self._denoiser, args, kwargs)
        finally:
            if blocks is not None:
                blocks.end()
        if blocks is not None:
            blocks.check_reached()
        call.marks = (started, clock.mark())
        return output


def _prediction(output: Any) -> torch.Tensor:
    """The prediction in what a denoiser returns: a tensor, or it leads a tuple or `ModelOutput`."""
    return _tensor(output)


def _tensor(value: Any) -> torch.Tensor:
    """A tensor, or the first of several (some models take and return a list for a batch)."""
    import torch

    while not isinstance(value, torch.Tensor):
        value = value[0]
    return value
