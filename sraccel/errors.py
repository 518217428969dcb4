"""Every error that sraccel raises on purpose.

    SraccelError
    ├── RecipeError        a recipe cannot be read, or asks for something that does not exist
    ├── PluginError        a plugin cannot be imported, registers nonsense, or raised in a hook
    ├── ConflictError      a recipe's accelerators contradict each other or the target
    ├── ModelError         a model is missing, of an unknown family, or does not fit its partner
    ├── LoopError          the sampling loop was driven in a way that would give wrong results
    │   └── NonFiniteError a denoiser predicted NaN or infinity
    └── OutputError        a result cannot be written

Messages say what was wrong, where, and what to do about it.
"""

from __future__ import annotations

from dataclasses import dataclass


class SraccelError(Exception):
    """Base class of everything that sraccel raises on purpose."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a recipe.

    Attributes:
        path: where, as in `accelerators[1].threshold`; empty for the recipe as a whole.
        message: what is wrong and what is allowed.
        given: `repr` of the offending value, or None if something is missing.
    """

    path: str
    message: str
    given: str | None = None

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        given = f" (given: {self.given})" if self.given is not None else ""
        return f"{where}{self.message}{given}"


class RecipeError(SraccelError):
    """A recipe cannot be read, or asks for something that does not exist.

    Attributes:
        problems: everything that is wrong, in the order of the recipe.
        source: the file the recipe came from, if any.
    """

    def __init__(self, problems: list[Problem] | str, source: str | None = None) -> None:
        self.problems = [Problem("", problems)] if isinstance(problems, str) else problems
        self.source = source
        super().__init__(str(self))

    def __str__(self) -> str:
        heading = f"{self.source}: " if self.source else ""
        if len(self.problems) == 1:
            return heading + str(self.problems[0])
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        return f"{heading}{len(self.problems)} problems in the recipe:{lines}"


class PluginError(SraccelError):
    """A plugin cannot be imported, registers nonsense, or raised in a hook."""


class ConflictError(SraccelError):
    """A recipe's accelerators contradict each other or the target."""


class ModelError(SraccelError):
    """A model is missing, of an unknown family, or does not fit its partner."""


class LoopError(SraccelError):
    """The sampling loop was driven in a way that would give wrong results."""


class NonFiniteError(LoopError):
    """A denoiser predicted NaN or infinity."""


class OutputError(SraccelError):
    """A result cannot be written."""
