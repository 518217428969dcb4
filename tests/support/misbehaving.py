"""Accelerators and callbacks that fail on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sraccel.plugin import Accelerator


def made(name: str, **methods: Any) -> Any:
    """An accelerator of these methods."""
    return type("Made", (Accelerator,), {"__doc__": "Made.", "name": name, **methods})


def presses_ctrl_c(after: int) -> Callable[..., dict[str, Any]]:
    """A callback that interrupts after so many steps of all runs together."""
    left = [after]

    def callback(pipe: Any, step: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return {}

    return callback
