"""Accelerators and callbacks that fail on purpose, and Ctrl-C wherever one likes."""

from __future__ import annotations

import sys
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


def stops(after: int) -> Callable[..., dict[str, Any]]:
    """A callback that has a pipeline leave its loop after so many steps, without an error."""

    def callback(pipe: Any, step: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        pipe._interrupt = step + 1 >= after
        return {}

    return callback


def interrupted(function: Callable[[], object], after_lines: int, *files: str) -> bool:
    """Call it with Ctrl-C after so many lines; False if it has fewer.

    Where files are named (a part of the path will do), only lines in them count.
    """
    left = after_lines

    def trace(frame: Any, event: str, arg: Any) -> Any:
        nonlocal left
        if files and not any(file in frame.f_code.co_filename for file in files):
            return None
        if event == "line":
            left -= 1
            if left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    previous = sys.gettrace()
    try:
        sys.settrace(trace)
        function()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(previous)
    return False
