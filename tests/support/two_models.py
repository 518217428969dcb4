"""What tests of two models that take turns have in common."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import torch
from hypothesis import HealthCheck, settings
from tiny import HALF, TinyFamily
from torch import nn

few_examples = settings(max_examples=3, suppress_health_check=list(HealthCheck))


def switching(render: Any, step: int = HALF) -> list[dict[str, Any]]:
    """A recipe that switches to the render model at a fixed step."""
    return [{"use": "srdiffusion", "render": render, "switch_step": step}]


def with_models_swapped(
    tiny: TinyFamily, render: nn.Module, switch_step: int, *, pipe: Any = None, **arguments: Any
) -> torch.Tensor:
    """A bare run in which the render model is put in the place of the pipeline's own models.

    After the step before, by the pipeline's callback; or by the scheduler's step where it has none.
    """
    pipe = pipe or tiny.pipeline().to(arguments.get("dtype", torch.float32))

    def swap_after(steps: int) -> None:
        if steps == switch_step:
            for attribute in tiny.attributes:
                setattr(pipe, attribute, render)

    def step_ended(pipe: Any, index: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        swap_after(index + 1)
        return {}

    swap_after(0)
    if "callback_on_step_end" in inspect.signature(pipe.__call__).parameters:
        return tiny.generate(pipe, callback_on_step_end=step_ended, **arguments)
    stepped, step = itertools.count(1), pipe.scheduler.step

    def counted_step(*args: Any, **kwargs: Any) -> Any:
        swap_after(next(stepped))
        return step(*args, **kwargs)

    pipe.scheduler.step = counted_step
    return tiny.generate(pipe, **arguments)


class Counted:
    """Keeps the named arguments of a model's calls."""

    def __init__(self, model: nn.Module) -> None:
        self.calls: list[dict[str, Any]] = []
        model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        self.calls.append(dict(kwargs))
