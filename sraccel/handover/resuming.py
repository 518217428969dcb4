"""The second half: a pipeline's call that begins where the first half stopped.

The pipeline's own loop runs from its first step, so that whatever it keeps for itself is there (two
experts, a guidance that changes, a solver's history in a local variable). But up to the switch no
model is called and the scheduler does not step: both calls return at once. Nor is the prompt
encoded: it comes as the first half encoded it. At the end of the last step before the switch,
scheduler and generator are set to what they were, and the scheduler returns what it returned then.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sraccel.errors import HandoverError
from sraccel.handover.arguments import generators_of
from sraccel.handover.checks import check_handover, check_timesteps
from sraccel.handover.encoded_prompt import METHOD, RecalledPrompt
from sraccel.handover.handover import GENERATOR, OUTPUT
from sraccel.handover.scheduler_state import restore
from sraccel.handover.whole_report import whole_report
from sraccel.loop.intercept import CALL, Interception
from sraccel.models.arguments import check_arguments

if TYPE_CHECKING:
    from sraccel.handover.handover import Handover
    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.stack import Stack
    from sraccel.report.model import Report


@dataclass(frozen=True)
class Resumed:
    """What a run that was handed over came to.

    Attributes:
        output: what the pipeline returned.
        report: of both halves, as one run.
    """

    output: Any
    report: Report


def resume(stack: Stack, handover: Handover, call: Mapping[str, Any]) -> Resumed:
    """Go on with a run that was handed over; the same, bit for bit, as if it had not been.

    The pipeline's own models are not called, and may be without weights, unless the recipe switches
    back to them; its text encoders may be missing (`half_stack.load_render_pipeline`).

    Args:
        stack: of the same recipe, models and scheduler; attached for the call if it is not.
        call: the pipeline's arguments, as in the first half; the generator's state does not count.

    Raises:
        HandoverError: something is not what it was, with both values; otherwise as the pipeline.
    """
    check_arguments(stack.pipeline, call)
    check_handover(handover, stack, call)
    before = len(stack.reports)
    with ExitStack() as undo:
        if not stack.attached:
            undo.enter_context(stack)
        forward = undo.enter_context(_FastForward(stack, handover, call))
        try:
            output = stack.pipeline(**call)
        finally:
            stack.tracker.continuation = None
    forward.check_reached()
    return Resumed(output, whole_report(handover.content.report, stack.reports[before]))


class _FastForward:
    """Layers that let the loop pass over the steps that were taken already."""

    def __init__(self, stack: Stack, handover: Handover, call: Mapping[str, Any]) -> None:
        self._stack = stack
        self._handover = handover
        self._generators = generators_of(call)
        self._left = handover.content.next_step
        self._layers: list[Interception] = []

    def __enter__(self) -> _FastForward:
        self._stack.tracker.continuation = self._handover.continuation
        pipe = self._stack.pipeline
        self._layers = [Interception(pipe.scheduler, "step", self._step)]
        if hasattr(pipe, METHOD):
            content, tensors = self._handover.content, self._handover.tensors
            recalled = RecalledPrompt(content.encoded, tensors, self._stack.device)
            self._layers.append(Interception(pipe, METHOD, recalled))
        for denoiser in self._stack.requested:
            layer = _StandIn(self, denoiser)
            self._layers.append(Interception(denoiser.module, CALL, layer))
        return self

    def __exit__(self, *error: object) -> None:
        for layer in reversed(self._layers):
            layer.undo()

    @property
    def over(self) -> bool:
        """Whether the steps of the first half have been passed over."""
        return self._left == 0

    def check_reached(self) -> None:
        """Raise HandoverError if the loop ended before the switch."""
        if not self.over:
            raise HandoverError(
                f"{type(self._stack.pipeline).__name__} stopped before step "
                f"{self._handover.content.next_step}, where the run was handed over"
            )

    def _step(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        if self.over:
            return inner(*args, **kwargs)
        self._left -= 1
        outputs = self._outputs() if self.over else self._unchanged(args, kwargs)
        if kwargs.get("return_dict", True):
            return _scheduler_output(outputs)
        return tuple(outputs)

    def _unchanged(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """What a step of the first half returns here: its latents, of which nothing is made."""
        signature = inspect.signature(type(self._stack.pipeline.scheduler).step)
        sample = signature.bind_partial(None, *args, **kwargs).arguments["sample"]
        return [sample] * self._handover.content.outputs

    def _outputs(self) -> list[Any]:
        """What the last step of the first half returned, with everything set as it left it."""
        pipeline, tensors = self._stack.pipeline, self._handover.tensors
        check_timesteps(self._handover, pipeline.scheduler)
        device = self._stack.device
        restore(pipeline.scheduler, self._handover.content.state, tensors, device)
        for index, generator in enumerate(self._generators):
            generator.set_state(tensors[f"{GENERATOR}.{index}"])
        count = self._handover.content.outputs
        return [tensors[f"{OUTPUT}.{index}"].to(device) for index in range(count)]


class _StandIn:
    """A layer around a model of the loop, whose calls return their latents until the switch."""

    def __init__(self, forward: _FastForward, denoiser: Denoiser) -> None:
        self._forward = forward
        self._latents = denoiser.adapter.latents

    def __call__(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        if self._forward.over:
            return inner(*args, **kwargs)
        latents = args[0] if args else kwargs[self._latents]
        if kwargs.get("return_dict", True):
            from diffusers.models.modeling_outputs import Transformer2DModelOutput

            return Transformer2DModelOutput(sample=latents)
        return (latents,)


def _scheduler_output(outputs: list[Any]) -> Any:
    from diffusers.schedulers.scheduling_utils import SchedulerOutput

    return SchedulerOutput(prev_sample=outputs[0])
