"""The call seam: every call of a denoiser becomes a `Call` of the open step."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sraccel.loop.denoiser import denoiser_of
from sraccel.loop.denoiser_adapter import named
from sraccel.loop.history import Like
from sraccel.loop.intercept import CALL, Interception
from sraccel.loop.measure import measured_over
from sraccel.loop.seams.batch import joined, parted
from sraccel.loop.seams.model_output import OutputForm, prediction_of
from sraccel.loop.seams.sibling_call import call_sibling

if TYPE_CHECKING:
    import torch

    from sraccel.loop.call import Call
    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.seams.block_stack import BlockStackSeam
    from sraccel.loop.skipping import Skipping
    from sraccel.loop.tracker import Tracker

CONDITION = "encoder_hidden_states"
"""What a guidance branch is known by where the loop gives it no name."""
Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""By position and by name."""

_log = logging.getLogger(__name__)


class DenoiserCallSeam:
    """Stands in front of one denoiser that the loop calls, and routes its calls.

    A call may be answered by an accelerator, which may evaluate denoisers for it; what is evaluated
    may be skipped; what is not skipped goes to the model, whose blocks are watched if anybody asks.

    Attributes:
        context: name that the pipeline gave the call by `cache_context`, while one is open, in this
            thread.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        tracker: Tracker,
        block_seams: Mapping[str, BlockStackSeam],
        skipping: Skipping,
    ) -> None:
        self._denoiser = denoiser
        self._tracker = tracker
        self._block_seams = block_seams  # by role of the denoiser that they watch
        self._skipping = skipping
        self._watches = skipping.calls or skipping.answers
        self._form = OutputForm()
        self._like: Like | None = None  # of the predictions
        self._contexts = threading.local()

    @property
    def context(self) -> str | None:
        name: str | None = getattr(self._contexts, "name", None)
        return name

    def install(self) -> Iterator[Interception]:
        """Put the layers in place, one after the other."""
        module = self._denoiser.module
        yield Interception(module, CALL, self._layer)
        if hasattr(module, "cache_context"):
            yield Interception(module, "cache_context", self._context_layer)

    @contextmanager
    def _context_layer(self, inner: Any, name: str, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with inner(name, *args, **kwargs) as value:
            outer, self._contexts.name = self.context, name
            try:
                yield value
            finally:
                self._contexts.name = outer

    def _layer(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        self._tracker.check_thread()
        serving = self._denoiser.current_call
        if serving is not None and serving.step.run is self._tracker.run:
            return inner(*args, **kwargs)
        step = self._tracker.step_of(self._denoiser, args, kwargs)
        if step is None:
            return inner(*args, **kwargs)
        condition = kwargs.get(CONDITION)
        if condition is None and len(args) > 2:  # given by position
            condition = named(self._denoiser.module, args, kwargs).get(CONDITION)
        branch = step.branch_of(self.context, condition)
        call = step.open_call(self._denoiser, branch, joined(self._latents(args, kwargs)))
        respond = self._answer if self._skipping.answers else self._evaluate
        agreement = step.run.agreement
        if agreement is None:
            output = respond(call, inner, (args, kwargs))
        else:
            with measured_over(agreement, call):
                output = respond(call, inner, (args, kwargs))
        _log.debug("%r: %s", call, call.answered_by or call.reused_by or "computed")
        call.release()
        return output

    def _answer(self, call: Call, inner: Any, given: Arguments) -> Any:
        """The output for the loop: an accelerator's answer, or what `_evaluate` makes."""
        hooks, clock = call.step.run.hooks, call.step.run.clock
        started = clock.mark()
        call.evaluator = lambda role, changes: self._further(call, inner, given, role, changes)
        like = self._like or Like.of(call.model_input)
        answer = hooks.answer_call(call, like)
        call.evaluator = None
        if answer is None:
            return self._evaluate(call, inner, given)
        call.answered_by, prediction = answer
        for evaluation in call.evaluations:
            if evaluation.denoiser is call.denoiser:
                evaluation.chosen_by = call.chosen_by
            elif evaluation.denoiser.role != call.requested:
                evaluation.chosen_by = call.answered_by
        call.marks = (started, clock.mark())
        hooks.denoiser_called(call, prediction)
        return self._form.of(prediction, given[1].get("return_dict", True))

    def _further(
        self, call: Call, inner: Any, given: Arguments, role: str | None, changes: dict[str, Any]
    ) -> torch.Tensor:
        """An accelerator evaluates a denoiser in the course of answering a call."""
        denoisers = call.step.run.stack.denoisers
        denoiser = call.denoiser if role is None else denoiser_of(denoisers, role)
        if changes:
            given = (), {**named(self._denoiser.module, *given), **self._formed(changes, given)}
        noisy = joined(self._latents(*given))
        evaluation = call.step.open_evaluation(call, denoiser, noisy)
        return prediction_of(self._evaluate(evaluation, inner, given))

    def _formed(self, changes: dict[str, Any], given: Arguments) -> dict[str, Any]:
        """Changed arguments, the latents as the model takes them."""
        name = self._denoiser.adapter.latents
        if name not in changes:
            return changes
        return {**changes, name: parted(changes[name], self._latents(*given))}

    def _latents(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The noisy latents among the arguments, as the loop passed them."""
        return args[0] if args else kwargs[self._denoiser.adapter.latents]

    def _evaluate(self, call: Call, inner: Any, given: Arguments) -> Any:
        """The output of a denoiser, or what stands in for it."""
        run = call.step.run
        started = run.clock.mark()
        output = self._skipped(call, given) if self._skipping.calls else None
        if output is None:
            output = self._compute(call, inner, given)
            if self._watches:
                self._see(call, output)
        call.marks = (started, run.clock.mark())
        if run.hooks.anyone("denoiser_called"):
            run.hooks.denoiser_called(call, prediction_of(output))
        return output

    def _see(self, call: Call, output: Any) -> None:
        """What answers and predictions must be like; and what was computed, for the history."""
        self._form.see(output)
        prediction = prediction_of(output)
        self._like = Like.of(prediction)
        if self._skipping.calls:
            self._skipping.computed(call, "call", prediction)

    def _skipped(self, call: Call, given: Arguments) -> Any:
        """The output where the rule skips the call; else None."""
        prediction = self._skipping.stand_in(call, "call")
        if prediction is None:
            return None
        return self._form.of(prediction, given[1].get("return_dict", True))

    def _compute(self, call: Call, inner: Any, given: Arguments) -> Any:
        """The denoiser's own output, its blocks watched if anybody asks."""
        requested, denoiser = self._denoiser, call.denoiser
        blocks = self._block_seams.get(denoiser.role)
        if blocks is not None:
            blocks.begin(call)
        try:
            requested.calls.append(call)
            if denoiser is requested:
                output = inner(*given[0], **given[1])
            else:
                denoiser.calls.append(call)
                output = call_sibling(call, requested, *given)
        finally:
            requested.calls.clear()
            denoiser.calls.clear()
            if blocks is not None:
                blocks.end()
        if blocks is not None:
            blocks.check_reached()
        return output
