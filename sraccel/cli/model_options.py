"""Options of a command that are fields of a model: each is stated once, in the model."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

Command = Callable[..., None]


def model_options(
    model: type[BaseModel], into: str, *, without: Collection[str] = ()
) -> Callable[[Command], Command]:
    """Put an option for each field of a model in the place of a command's parameter.

    Args:
        model: whose fields give names, types, defaults to show, and help.
        into: name of the parameter, which receives what was given by field; None: it was not.
        without: names of fields that are no options.
    """
    options = [
        _option(name, field) for name, field in model.model_fields.items() if name not in without
    ]

    def with_options(command: Command) -> Command:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            chosen = {option.name: given.pop(option.name) for option in options}
            command(**given, **{into: chosen})

        signature = inspect.signature(command, eval_str=True)
        parameters = [
            each
            for parameter in signature.parameters.values()
            for each in (options if parameter.name == into else [parameter])
        ]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return run

    return with_options


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    """Numbers are read as such; the model reads everything else, from text."""
    kind: Any = field.annotation if field.annotation in (int, float) else str
    annotation = Annotated[kind | None, typer.Option(help=_help(field))]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _help(field: FieldInfo) -> str:
    """The description, and the default unless that is said there, or nothing."""
    text, default = field.description or "", field.get_default(call_default_factory=True)
    if default in (None, [], {}) or "Default:" in text:
        return text
    shown = ",".join(map(str, default)) if isinstance(default, list) else default
    return f"{text} Default: {shown}."
