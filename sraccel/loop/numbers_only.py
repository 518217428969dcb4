"""Numbers are not yes or no: a base of models whose number fields refuse booleans."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationInfo, field_validator

NUMBERS = {int, float}
ANYTHING = {bool, Any, object}
UNIONS = {Union, UnionType}


class NoBooleans(BaseModel):
    """`threshold: yes` is no number, although Python (and so pydantic) takes it for 1."""

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_boolean(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and info.field_name in cls.model_fields:
            kinds = set(_kinds(cls.model_fields[info.field_name].annotation))
            if kinds & NUMBERS and not kinds & ANYTHING:
                raise ValueError(f"{str(value).lower()} is not a number")
        return value


def _kinds(annotation: Any) -> Iterator[Any]:
    """What a value may be: the branches of a union, and the types of a literal's values."""
    origin = get_origin(annotation)
    if origin is None:
        yield annotation
    elif origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin is Literal:
        yield from (type(value) for value in get_args(annotation))
    elif origin in UNIONS:
        for part in get_args(annotation):
            yield from _kinds(part)
    else:
        yield origin
