"""The first half: a pipeline's call that ends where another model would take over."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sraccel.errors import HandoverError, SraccelError
from sraccel.handover.arguments import effective, generators_of, references_of
from sraccel.handover.encoded_prompt import METHOD, EncodedPrompt
from sraccel.handover.handover import (
    GENERATOR,
    OUTPUT,
    Content,
    Decision,
    Handover,
    ModelFacts,
)
from sraccel.handover.scheduler_state import captured, configuration
from sraccel.loop.intercept import CALL, Interception
from sraccel.models.arguments import check_arguments
from sraccel.models.checksum import weights_checksum

if TYPE_CHECKING:
    import torch

    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.run import Run
    from sraccel.loop.stack import Stack
    from sraccel.report.model import Report


@dataclass(frozen=True)
class Sketched:
    """What became of a call that was to be handed over.

    Attributes:
        handover: the run at its switch; None: no switch came.
        output: what the pipeline returned, if no switch came.
        report: of the steps taken.
    """

    handover: Handover | None
    output: Any
    report: Report


class _SwitchReachedError(SraccelError):
    """Another model is called for the first time: leaves the pipeline's loop."""


def until_switch(stack: Stack, call: Mapping[str, Any]) -> Sketched:
    """Call a stack's pipeline until an accelerator would switch to a model that it brought.

    That model is not called, and may be without weights (`half_stack.sketch_stack`).

    Args:
        stack: of a pipeline; attached for the call if it is not.
        call: the pipeline's arguments, with a `generator`.

    Raises:
        HandoverError: the run cannot be handed over (the scheduler, or two of them, no generator, a
            switch before the first step, a prompt encoded as an object); otherwise as the pipeline.
    """
    if not stack.own.adapter.one_scheduler:
        raise HandoverError(
            f"{type(stack.pipeline).__name__} takes its steps by two schedulers, of which one is "
            f"known, so its run cannot be handed over"
        )
    check_arguments(stack.pipeline, call)
    generators_of(call)
    before = len(stack.reports)
    with ExitStack() as undo:
        if not stack.attached:
            undo.enter_context(stack)
        watch = undo.enter_context(_Watch(stack, call))
        try:
            output = stack.pipeline(**call)
        except _SwitchReachedError:
            output = None
            if hasattr(stack.pipeline, "maybe_free_model_hooks"):
                stack.pipeline.maybe_free_model_hooks()
    if watch.content is None:
        return Sketched(None, output, stack.report)
    report = stack.reports[before]
    content = Content(**watch.content, report=report)
    return Sketched(Handover(content, watch.tensors), None, report)


class _Watch:
    """Keeps what the scheduler returned last, and stops the run at the switch.

    Attributes:
        content, tensors: of the hand-over, but for the report; None and empty before the switch.
    """

    def __init__(self, stack: Stack, call: Mapping[str, Any]) -> None:
        self._stack = stack
        self._call = call
        self._output: list[torch.Tensor] = []
        self._steps = 0
        self._encoded = EncodedPrompt()
        self._layers: list[Interception] = []
        self.content: dict[str, Any] | None = None
        self.tensors: dict[str, torch.Tensor] = {}

    def __enter__(self) -> _Watch:
        pipe = self._stack.pipeline
        self._layers = [Interception(pipe.scheduler, "step", self._step)]
        if hasattr(pipe, METHOD):
            self._layers.append(Interception(pipe, METHOD, self._encoded))
        for role, brought in self._stack.contributions.items():
            layer = _Switch(self, self._stack.denoisers[role])
            self._layers.append(Interception(brought.module, CALL, layer))
        return self

    def __exit__(self, *error: object) -> None:
        for layer in reversed(self._layers):
            layer.undo()

    def _step(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        result = inner(*args, **kwargs)
        self._output = list(result if isinstance(result, tuple) else result.to_tuple())
        self._steps += 1
        return result

    def hand_over(self, run: Run, after: Denoiser) -> None:
        """Take down all that the rest of the run depends on, and end it here.

        Raises:
            HandoverError: it cannot be taken down.
        """
        step = run.current_step
        assert step is not None
        self._check(step.index)
        tensors = {f"{OUTPUT}.{index}": value for index, value in enumerate(self._output)}
        generators = generators_of(self._call)
        tensors |= {f"{GENERATOR}.{i}": one.get_state() for i, one in enumerate(generators)}
        content = self._content(run, after, tensors)
        self.content, self.tensors = content, _kept(tensors) | self._encoded.tensors
        run.hand_over()

    def _check(self, next_step: int) -> None:
        scheduler = type(self._stack.pipeline.scheduler).__name__
        if next_step == 0:
            raise HandoverError(
                "the switch comes before the first step, so there is nothing to hand over: run the "
                "render model alone, or switch later"
            )
        if self._steps != next_step or not all(hasattr(item, "shape") for item in self._output):
            raise HandoverError(
                f"{type(self._stack.pipeline).__name__} calls {scheduler}.step otherwise than once "
                f"a step with latents in return, so its run cannot be handed over"
            )

    def _content(
        self, run: Run, after: Denoiser, tensors: dict[str, torch.Tensor]
    ) -> dict[str, Any]:
        stack, scheduler = self._stack, self._stack.pipeline.scheduler
        step, previous = run.current_step, run.previous_step
        assert step is not None
        assert previous is not None
        schedule = stack.tracker.schedule
        return {
            "next_step": step.index,
            "begin": 0 if schedule is None else schedule.begin,
            "num_inference_steps": run.num_inference_steps,
            "scheduler": configuration(scheduler),
            "state": captured(scheduler, tensors),
            "generators": [one.device.type for one in generators_of(self._call)],
            "one_generator": not isinstance(self._call["generator"], list),
            "outputs": len(self._output),
            "call": effective(stack.pipeline, self._call),
            "given": sorted(self._call),
            "references": references_of(self._call),
            "encoded": self._encoded.answers,
            "decision": Decision(
                by=step.chosen_by,
                before=previous.denoiser or "none",
                after=after.role,
                decided={
                    item.name: dict(found)
                    for item in stack.accelerators
                    if (found := item.decided())
                },
            ),
            "models": model_facts(stack),
            "recipe": recipe_content(stack),
        }


class _Switch:
    """A layer around a model that an accelerator brought: its first call is the switch."""

    def __init__(self, watch: _Watch, denoiser: Denoiser) -> None:
        self._watch = watch
        self._denoiser = denoiser

    def __call__(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        run = self._watch._stack.current_run
        if run is None or run.current_step is None:
            return inner(*args, **kwargs)
        self._watch.hand_over(run, self._denoiser)
        raise _SwitchReachedError


def _kept(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies in main memory, which nothing changes later."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}


def model_facts(stack: Stack) -> dict[str, ModelFacts]:
    """The models of a stack, by role."""
    return {
        role: ModelFacts(
            kind=type(denoiser.module).__name__, checksum=weights_checksum(denoiser.module)
        )
        for role, denoiser in stack.denoisers.items()
    }


def recipe_content(stack: Stack) -> dict[str, Any]:
    """The recipe as JSON; a model given in Python stands in it by its class."""
    content: dict[str, Any] = stack.recipe.model_dump(
        mode="json", fallback=lambda value: f"<{type(value).__name__}>"
    )
    return content
