"""Every error that sraccel raises on purpose.

    SraccelError
    ├── RecipeError        a recipe cannot be read, or asks for something that does not exist
    ├── PluginError        a plugin cannot be imported, registers nonsense, or raised in a hook
    ├── ConflictError      a recipe's accelerators contradict each other or the target
    ├── ModelError         a model is missing, of an unknown family, or does not fit its partner
    ├── LoopError          the sampling loop was driven in a way that would give wrong results
    │   ├── NonFiniteError a denoiser predicted NaN or infinity
    │   └── RanksError     ranks that make one video are at different places, or one is missing
    ├── HandoverError      a run that was handed over cannot be gone on with, or not be handed over
    └── OutputError        a result cannot be written

Messages say what was wrong, where, and what to do about it. What a program would want of them is
in attributes, which are None (or empty) where an error has nothing to say of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path


class SraccelError(Exception):
    """Base class of everything that sraccel raises on purpose."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a recipe.

    Attributes:
        path: where, as in `accelerators[1].threshold`; empty for the recipe as a whole.
        message: what is wrong and what is allowed.
        given: `repr` of the offending value, or None if something is missing.
        file: the file (or the override, as in `--set teacache.threshold=x`), if it came from one.
        line: of the file, from 1; None: not known.
        column: of the line, in characters, from 1; None: not known.
        plugin: name and version of the package whose accelerator says so, or None.
        suggestion: what may have been meant, or None; `message` says it, too.
    """

    path: str
    message: str
    given: str | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None
    plugin: str | None = None
    suggestion: str | None = None

    @property
    def place(self) -> str:
        """`recipe.yaml:3:14`, or as much of that as is known."""
        parts = (self.file or "", self.line, self.column)
        return ":".join(str(part) for part in parts if part is not None) if self.file else ""

    def __str__(self) -> str:
        where = "".join(f"{part}: " for part in (self.place, self.path) if part)
        given = f" (given: {self.given})" if self.given is not None else ""
        return f"{where}{self.message}{given}"


class RecipeError(SraccelError):
    """A recipe cannot be read, or asks for something that does not exist.

    Attributes:
        problems: everything that is wrong, in the order of the recipe.
        source: the file the recipe came from, if any.
    """

    def __init__(self, problems: list[Problem] | str, source: str | None = None) -> None:
        given = [Problem("", problems)] if isinstance(problems, str) else problems
        self.problems = [
            replace(problem, file=source) if problem.file is None else problem for problem in given
        ]
        self.source = source
        super().__init__(str(self))

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        return f"{len(self.problems)} problems in the recipe:{lines}"


class PluginError(SraccelError):
    """A plugin cannot be imported, registers nonsense, or raised in a hook.

    What it raised itself is the `__cause__`.

    Attributes:
        accelerator: its name.
        plugin: name of the entry point, where importing that failed.
        hook: the hook that raised.
        step: index of the step in which it raised.
    """

    def __init__(
        self,
        message: str,
        *,
        accelerator: str | None = None,
        plugin: str | None = None,
        hook: str | None = None,
        step: int | None = None,
    ) -> None:
        self.accelerator = accelerator
        self.plugin = plugin
        self.hook = hook
        self.step = step
        super().__init__(message)


class ConflictError(SraccelError):
    """A recipe's accelerators contradict each other or the target.

    Attributes:
        accelerators: names of those that are in conflict.
    """

    def __init__(self, message: str, *, accelerators: Sequence[str] = ()) -> None:
        self.accelerators = tuple(accelerators)
        super().__init__(message)


class ModelError(SraccelError):
    """A model is missing, of an unknown family, or does not fit its partner.

    Attributes:
        model: the folder or name that cannot be used.
        differences: where two models do not fit: what differs, and the value of each.
    """

    def __init__(
        self,
        message: str,
        *,
        model: str | None = None,
        differences: Mapping[str, tuple[object, object]] | None = None,
    ) -> None:
        self.model = model
        self.differences = dict(differences or {})
        super().__init__(message)


class LoopError(SraccelError):
    """The sampling loop was driven in a way that would give wrong results."""


class NonFiniteError(LoopError):
    """A denoiser predicted NaN or infinity.

    Attributes:
        step: index of the step.
        role: which of the stack's denoisers it was.
        model: class of that denoiser.
    """

    def __init__(
        self,
        message: str,
        *,
        step: int | None = None,
        role: str | None = None,
        model: str | None = None,
    ) -> None:
        self.step = step
        self.role = role
        self.model = model
        super().__init__(message)


class RanksError(LoopError):
    """Ranks that make one video are at different places, or one is missing.

    Attributes:
        rank: of the process that raised it.
    """

    def __init__(self, message: str, *, rank: int | None = None) -> None:
        self.rank = rank
        super().__init__(message)


class HandoverError(SraccelError):
    """A run that was handed over cannot be gone on with here, or a run cannot be handed over.

    Attributes:
        differences: what does not fit: its value in the hand-over, and the one that is here.
    """

    def __init__(
        self,
        message: str,
        *,
        differences: Mapping[str, tuple[object, object]] | None = None,
    ) -> None:
        self.differences = dict(differences or {})
        super().__init__(message)


class OutputError(SraccelError):
    """A result cannot be written.

    Attributes:
        path: the file or folder.
        errno: the operating system's number of what went wrong.
        reason: the same in words.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | Path | None = None,
        errno: int | None = None,
        reason: str | None = None,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.errno = errno
        self.reason = reason
        super().__init__(message)
