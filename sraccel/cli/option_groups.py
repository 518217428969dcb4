"""Options that several commands have together: each is stated once, and given as one value."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Annotated, Any, get_args

import typer
from annotated_types import Ge
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from sraccel.text import plain_complaint

Command = Callable[..., None]


def model_options(
    model: type[BaseModel],
    into: str,
    *,
    without: Collection[str] = (),
    names: Mapping[str, str] | None = None,
    check: bool = False,
) -> Callable[[Command], Command]:
    """Put an option for each field of a model in the place of a command's parameter.

    Args:
        model: whose fields give names, types, least values, defaults to show, and help.
        into: name of the parameter, which receives the options that are given, by field.
        without: names of fields that are no options.
        names: of options that are not called as their field, by field.
        check: whether what is given is checked by the model at once.
    """
    fields = {
        (names or {}).get(name, name): name for name in model.model_fields if name not in without
    }
    options = [_option(name, model.model_fields[field]) for name, field in fields.items()]

    def by_field(**given: Any) -> dict[str, Any]:
        return {fields[name]: value for name, value in given.items() if value is not None}

    def checked(**given: Any) -> dict[str, Any]:
        values = by_field(**given)
        if check:
            _check(model, values, {field: name for name, field in fields.items()})
        return values

    return _grouped(into, options, checked)


def _check(model: type[BaseModel], values: dict[str, Any], names: Mapping[str, str]) -> None:
    """Refuse what a model refuses, by the names of its options."""
    try:
        model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = names.get(str(first["loc"][0]), str(first["loc"][0])) if first["loc"] else ""
        raise typer.BadParameter(
            f"--{name.replace('_', '-')}: {plain_complaint(first['msg'])}"
        ) from None


def options_of(kind: Callable[..., Any], into: str) -> Callable[[Command], Command]:
    """Put the parameters of a class in the place of a command's one, which receives an object."""
    return _grouped(into, inspect.signature(kind, eval_str=True).parameters.values(), kind)


def _grouped(
    into: str, options: Iterable[inspect.Parameter], made: Callable[..., Any]
) -> Callable[[Command], Command]:
    own = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]

    def with_options(command: Command) -> Command:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            values = {option.name: given.pop(option.name) for option in own}
            command(**given, **{into: made(**values)})

        signature = inspect.signature(command, eval_str=True)
        parameters = [
            each
            for parameter in signature.parameters.values()
            for each in (own if parameter.name == into else [parameter])
        ]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return run

    return with_options


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    """Numbers are read as such; the model reads everything else, from text."""
    types = {field.annotation, *get_args(field.annotation)}
    kind: Any = next((number for number in (int, float) if number in types), str)
    least = next((rule.ge for rule in field.metadata if isinstance(rule, Ge)), None)
    annotation = Annotated[kind | None, typer.Option(help=_help(field), min=least)]
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
