"""One accelerator on one target: how stacks of it are made, and how failures become faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from sraccel.composer import compose
from sraccel.errors import (
    ConflictError,
    LoopError,
    ModelError,
    NonFiniteError,
    PluginError,
    SraccelError,
)
from sraccel.loop.stack import Stack
from sraccel.testing.fault import Fault
from sraccel.testing.subject import Subject
from sraccel.testing.target import Target
from sraccel.testing.trace import composed
from sraccel.text import shortened

FAILURES = (Exception, SystemExit)
LONGEST = 300
"""Characters of an error that a fault quotes."""


@dataclass(frozen=True)
class Case:
    """What is tried, and with which allowances.

    Attributes:
        idle: options under which the accelerator does nothing, if there are such.
        leaves: attributes that other libraries leave on modules whose change they undo.
    """

    subject: Subject
    target: Target
    idle: Mapping[str, Any] | None = None
    leaves: frozenset[str] = field(default_factory=frozenset)

    def stack(self, pipe: Any, *beside: Any, first: bool = False, idle: bool = False) -> Stack:
        """The accelerator on a pipeline; what is beside it comes later, or first."""
        with torch.random.fork_rng(devices=[]):  # making a model draws random numbers
            own = self.subject.items(self.target, self.idle if idle else None)
        stack = compose(pipe, [*beside, *own] if first else [*own, *beside])
        stack.logs_warnings = False
        return stack

    def composed(self) -> Stack:
        """The accelerator on the target's pipeline, or on its denoiser where it has none."""
        if self.target.pipeline is not None:
            return self.stack(self.target.pipeline())
        assert self.target.denoiser is not None
        items = self.subject.items(self.target)
        return composed(self.target, self.target.denoiser(), items)


def quoted(error: BaseException) -> str:
    """An error in a line."""
    text = " ".join(str(error).split()) or "without a word"
    return shortened(f"{type(error).__name__}: {text}", LONGEST)


def fault_of(error: BaseException, when: str) -> Fault:
    """What an error says that was raised where there should have been none."""
    expected, seen = f"no error {when}", quoted(error)
    if isinstance(error, NonFiniteError):
        remedy = "look at what it predicts or changes: the model alone gives finite numbers"
        return Fault("hooks", expected, seen, remedy)
    if isinstance(error, (ConflictError, ModelError)) and "composing" not in when:
        remedy = "raise it in `check_stack`, which is asked when composing: the video is not begun"
        return Fault("refusal", "a refusal when composing, or none", seen, remedy)
    if isinstance(error, LoopError):
        remedy = "leave the loop, its threads and other stacks alone: hooks are asked by the core"
        return Fault("hooks", expected, seen, remedy)
    return Fault("hooks", expected, seen, _remedy(error))


def _remedy(error: BaseException) -> str:
    if isinstance(error, PluginError) and error.hook is not None:
        if "answered" in str(error):
            return f"answer `{error.hook}` with what its page in the reference says"
        if "SystemExit" in str(error):
            return f"let `{error.hook}` return or raise: a library does not end the program"
    if isinstance(error, SraccelError):
        return "do what the message says"
    return "find out what raised it: it came up through the pipeline's own call"


def guarded(found: Iterator[Fault], when: str) -> Iterator[Fault]:
    """The faults of an invariant; an error in between is one more."""
    try:
        yield from found
    except FAILURES as error:
        yield fault_of(error, when)
