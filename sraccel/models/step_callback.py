"""diffusers' callback at the end of each step: sraccel's own beside the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sraccel.models.arguments import arguments_of

CALLBACK = "callback_on_step_end"
CALLBACK_INPUTS = "callback_on_step_end_tensor_inputs"

Progress = Callable[[str, int, int], object]
"""Called as `progress(description, steps_done, steps_in_all)` after each denoising step."""

WARMING_UP = "warming up"
"""Description of the steps before those that are timed."""

StepReport = Callable[[Any, int], object]
"""Called as `report(pipe, steps_done)` after each denoising step."""

StepChange = Callable[[Any, dict[str, Any]], Mapping[str, Any]]
"""Called as `change(pipe, tensors)` at the end of a step; what it returns goes on instead."""


def takes_callback(pipe: Any) -> bool:
    """Whether a pipeline calls back at the end of a step."""
    return CALLBACK in arguments_of(pipe)


def with_progress(pipe: Any, call: Mapping[str, Any], report: StepReport | None) -> dict[str, Any]:
    """The arguments of a call that reports each step, if the pipeline calls back at all."""
    reports = report is not None and takes_callback(pipe)
    return with_callback(call, report=report) if reports else dict(call)


def with_callback(
    call: Mapping[str, Any],
    *,
    report: StepReport | None = None,
    change: StepChange | None = None,
    needs: Sequence[str] = (),
) -> dict[str, Any]:
    """The arguments of a call, with sraccel's part in the callback beside the user's own, if any.

    Args:
        call: the arguments.
        report: comes before the user's callback.
        change: comes after it, and is passed the tensors as that leaves them.
        needs: names of the tensors that `change` is passed in any case.
    """
    users = call.get(CALLBACK)
    # diffusers' callback objects bring their own list, which a pipeline reads off them.
    wanted = getattr(users, "tensor_inputs", None) or call.get(CALLBACK_INPUTS) or []
    inputs = list(dict.fromkeys([*wanted, *needs]))

    def callback(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if report is not None:
            report(pipe, step + 1)
        changed = {} if users is None else users(pipe, step, timestep, tensors)
        return {**changed, **change(pipe, {**tensors, **changed})} if change else changed

    return {**call, CALLBACK: callback, **({CALLBACK_INPUTS: inputs} if inputs else {})}
