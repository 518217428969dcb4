"""diffusers' callback at the end of each step: sraccel's own beside the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sraccel.models.arguments import arguments_of

CALLBACK = "callback_on_step_end"
CALLBACK_INPUTS = "callback_on_step_end_tensor_inputs"

Progress = Callable[[str, int, int], object]
"""Called as `progress(description, steps_done, steps_in_all)` after each denoising step."""

StepReport = Callable[[Any, int], object]
"""Called as `report(pipe, steps_done)` after each denoising step."""

StepEnded = Callable[[Any, int, dict[str, Any]], Mapping[str, Any]]
"""Called as `step_ended(pipe, step, tensors)`; what it returns goes on instead."""


def takes_callback(pipe: Any) -> bool:
    """Whether a pipeline calls back at the end of a step."""
    return CALLBACK in arguments_of(pipe)


def with_callback(
    call: Mapping[str, Any], step_ended: StepEnded, needs: Sequence[str] = ()
) -> dict[str, Any]:
    """The arguments of a call, with `step_ended` called after the user's own callback.

    Args:
        call: the arguments, maybe with a callback of the user's.
        step_ended: is passed the tensors as the user's callback leaves them.
        needs: names of the tensors that it is passed in any case.
    """
    users = call.get(CALLBACK)
    # diffusers' callback objects bring their own list, which a pipeline reads off them.
    wanted = getattr(users, "tensor_inputs", None) or call.get(CALLBACK_INPUTS) or []
    inputs = list(dict.fromkeys([*wanted, *needs]))

    def callback(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        changed = {} if users is None else users(pipe, step, timestep, tensors)
        return {**changed, **step_ended(pipe, step, {**tensors, **changed})}

    return {**call, CALLBACK: callback, **({CALLBACK_INPUTS: inputs} if inputs else {})}


def with_progress(pipe: Any, call: Mapping[str, Any], report: StepReport | None) -> dict[str, Any]:
    """The arguments of a call that reports each step, if the pipeline calls back at all."""
    if report is None or not takes_callback(pipe):
        return dict(call)

    def step_ended(pipe: Any, step: int, _: dict[str, Any]) -> dict[str, Any]:
        report(pipe, step + 1)
        return {}

    return with_callback(call, step_ended)
