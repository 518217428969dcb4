"""What the call of a diffusers pipeline takes, and refusing a call that it would not take."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from typing import Any

from sraccel.errors import ModelError
from sraccel.text import did_you_mean


def arguments_of(pipe: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a pipeline's call, by name."""
    _, *parameters = inspect.signature(type(pipe).__call__).parameters.values()
    return {parameter.name: parameter for parameter in parameters}


def defaults_of(pipe: Any) -> dict[str, Any]:
    """What the arguments of a pipeline's call default to; without those that must be given."""
    return {
        name: parameter.default
        for name, parameter in arguments_of(pipe).items()
        if parameter.default is not parameter.empty
    }


def check_arguments(
    pipe: Any,
    given: Collection[str],
    *,
    unknown: str = "leave it out",
    missing: str = "give it",
    option_of: Callable[[str], str] | None = None,
) -> None:
    """Refuse a call before it is made.

    Args:
        pipe: the pipeline that is to be called.
        given: names of the arguments.
        unknown: what to do about an argument that the pipeline does not know.
        missing: what to do about one that it needs.
        option_of: how the user spelled an argument; None: by its name, maybe mistyped.

    Raises:
        ModelError: naming what the pipeline does not know, or what it needs.
    """
    known = arguments_of(pipe)
    kinds = {parameter.kind for parameter in known.values()}
    others = sorted(set(given) - known.keys())
    if others and inspect.Parameter.VAR_KEYWORD not in kinds:
        named = map(option_of, others) if option_of else _with_hints(others, known)
        raise ModelError(f"{type(pipe).__name__} does not know {', '.join(named)}: {unknown}")
    if lacking := [name for name in _required(known) if name not in given]:
        raise ModelError(f"{type(pipe).__name__} needs {', '.join(lacking)}: {missing}")


def _with_hints(names: Collection[str], known: Collection[str]) -> Iterator[str]:
    for name in names:
        hint = did_you_mean(name, known).removeprefix("; ")
        yield f"{name} ({hint})" if hint else name


def _required(known: dict[str, inspect.Parameter]) -> Iterator[str]:
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for name, parameter in known.items():
        if parameter.default is parameter.empty and parameter.kind not in several:
            yield name
