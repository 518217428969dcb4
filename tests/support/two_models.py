"""What tests of two models that take turns have in common."""

from __future__ import annotations

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
    """A bare run in which a callback puts the render model in the pipeline's own models' place."""
    pipe = pipe or tiny.pipeline().to(arguments.get("dtype", torch.float32))

    def swap_after(pipe: Any, index: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        if index + 1 == switch_step:
            for attribute in tiny.attributes:
                setattr(pipe, attribute, render)
        return {}

    swap_after(pipe, -1, None, None)
    return tiny.generate(pipe, callback_on_step_end=swap_after, **arguments)


class Counted:
    """Keeps the named arguments of a model's calls."""

    def __init__(self, model: nn.Module) -> None:
        self.calls: list[dict[str, Any]] = []
        model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        self.calls.append(dict(kwargs))
