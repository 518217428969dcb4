"""Loaded models that several stacks take from one place, for as long as a block lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import nn

Loaded: TypeAlias = "list[tuple[object, nn.Module]]"
"""What was loaded: a description that can be compared, and the module. They are few."""

_loaded: ContextVar[Loaded | None] = ContextVar("sraccel_loaded", default=None)


@contextmanager
def shared_loading() -> Iterator[None]:
    """Inside the block, equal model sources of equal precision load once: one module for all.

    For composing many stacks on one pipeline, of which one at a time is attached. What is loaded
    stays in main memory until the block ends and the last stack that has it is gone. A block
    inside another one shares with it. Other threads load for themselves.
    """
    if _loaded.get() is not None:
        yield
        return
    token = _loaded.set([])
    try:
        yield
    finally:
        _loaded.reset(token)


def shared_module(description: object) -> nn.Module | None:
    """What was loaded by this description in the present block; None: nothing, or no block."""
    return next((module for key, module in _loaded.get() or () if key == description), None)


def share(description: object, module: nn.Module) -> None:
    """Let others in the present block have this module; nothing where there is no block."""
    loaded = _loaded.get()
    if loaded is not None:
        loaded.append((description, module))
