"""Pydantic's errors as problems of a recipe: where, what was given, what is allowed, by whom.

Pydantic puts the branches of a union into an error's location (`coefficients.list[float].2`), and
gives one error for each branch. What is not a part of the recipe is dropped, and of the branches
those are kept that came furthest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from sraccel.errors import PluginError, Problem
from sraccel.recipe.catalogue import installed
from sraccel.recipe.reading.merged import INCLUDE, Merged
from sraccel.recipe.reading.place import Location
from sraccel.text import did_you_mean, nearest, plain_complaint, printable, shortened

MISSING = object()
STUDY = ("study",)
"""The section that makes a study file of a recipe."""
SHORT = 80


@dataclass(frozen=True)
class _Found:
    """One of pydantic's errors, put in the recipe's terms.

    Attributes:
        location: in the recipe.
        union: where the union begins of which this is one branch; None: not in a union.
        item: as pydantic gives it.
    """

    location: Location
    union: Location | None
    item: Any


def problems_of(error: ValidationError, recipe: type[BaseModel], merged: Merged) -> list[Problem]:
    """Everything that is wrong, in the order of the recipe."""
    found = [_located(item, recipe, merged.content) for item in error.errors()]
    if merged.incomplete:  # what is not there may be in the include that could not be read
        found = [one for one in found if _at(merged.content, one.location) is not MISSING]
    return [_problem(group, recipe, merged) for group in _grouped(found)]


def broken_plugin(error: ValidationError) -> PluginError | None:
    """The plugin that could not be imported, if that is all that is wrong."""
    causes = [item.get("ctx", {}).get("error") for item in error.errors()]
    cause = getattr(causes[0], "__cause__", None) if len(causes) == 1 else None
    return cause if isinstance(cause, PluginError) else None


def _located(item: Any, recipe: type[BaseModel], content: Any) -> _Found:
    """Walk along the content, past the names of a union's branches."""
    here, union = content, None
    where: Location = ()
    for part in item["loc"]:
        inner = _inside(here, part)
        if inner is MISSING and part not in _keys_allowed(recipe, content, where):
            union = where if union is None else union
        else:
            here, where = inner, (*where, part)
    if item["type"] == "unknown_accelerator":
        where = (*where, "use")
    return _Found(where, union, item)


def _inside(content: Any, part: int | str) -> Any:
    """A part of a mapping or a list."""
    if isinstance(content, dict):
        return content.get(part, MISSING)
    if isinstance(content, BaseModel):  # options that were made in Python
        return getattr(content, str(part)) if part in content.model_fields_set else MISSING
    if isinstance(part, int) and isinstance(content, (list, tuple)) and part < len(content):
        return content[part]
    return MISSING


def _keys_allowed(recipe: type[BaseModel], content: Any, location: Location) -> list[str]:
    """The keys that a mapping at this place may have; none: any, or it is no mapping."""
    kinds: list[Any] = [recipe]
    for depth, part in enumerate(location):
        if location[:depth] == ("accelerators",):
            kinds = _options(content["accelerators"], part)
        else:
            fields = [kind.model_fields.get(str(part)) for kind in _models(kinds)]
            inner = [field.annotation for field in fields if field is not None]
            kinds = inner or (kinds if isinstance(part, int) else [])
    keys = [name for kind in _models(kinds) for name in kind.model_fields]
    return [*keys, INCLUDE] if not location else keys


def _options(items: Any, index: Any) -> list[Any]:
    item = _inside(items, index)
    name = str(item.get("use")) if isinstance(item, dict) else ""
    known = installed().accelerators.get(name)
    return [known.Options] if known is not None else []


def _models(kinds: Any) -> Iterator[type[BaseModel]]:
    """The models among annotations and what these are made of."""
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield kind
        else:
            yield from _models(get_args(kind))


def _grouped(found: Sequence[_Found]) -> Iterator[list[_Found]]:
    """Errors of one union together; of them only those that came furthest into it."""
    groups: dict[Any, list[_Found]] = {}
    for index, one in enumerate(found):
        groups.setdefault(index if one.union is None else one.union, []).append(one)
    for group in groups.values():
        furthest = max(group, key=lambda one: len(one.location)).location
        yield [one for one in group if one.location == furthest]


def _problem(group: list[_Found], recipe: type[BaseModel], merged: Merged) -> Problem:
    location, item = group[0].location, group[0].item
    message, suggestion = _message(group, recipe, merged.content)
    value = _at(merged.content, location)
    unknown = item["type"] == "extra_forbidden"
    foreign = unknown and location == STUDY
    file, mark = merged.place(location, key=unknown)
    return Problem(
        path_of(location),
        message,
        None if value is MISSING or foreign else short(value),
        file,
        mark.line if mark else None,
        mark.column if mark else None,
        _origin(merged.content, location),
        suggestion,
    )


def _message(group: list[_Found], recipe: type[BaseModel], content: Any) -> tuple[str, str | None]:
    """What is wrong and what is allowed; and what may have been meant."""
    location, item = group[0].location, group[0].item
    context = item.get("ctx", {})
    if item["type"] == "extra_forbidden":
        return _no_such_key(location, recipe, content)
    if item["type"] == "unknown_accelerator":
        return item["msg"], nearest(context["name"], context["known"])
    messages = [plain_complaint(one.item["msg"]) for one in group]
    message = " or ".join(dict.fromkeys(_shortened(messages)))
    if item["type"] != "literal_error":
        return message, None
    values = re.findall(r"'([^']*)'", context["expected"])
    return message + did_you_mean(item["input"], values), nearest(item["input"], values)


def unknown_key(
    location: Location, recipe: type[BaseModel], content: Any
) -> tuple[str, str | None] | None:
    """What is wrong with a key, and what may have been meant; None: nothing."""
    known = _keys_allowed(recipe, content, location[:-1])
    if not known or location[-1] in known:
        return None
    return _no_such_key(location, recipe, content)


def _no_such_key(
    location: Location, recipe: type[BaseModel], content: Any
) -> tuple[str, str | None]:
    """That there is no such key, and what there is; and what may have been meant."""
    if location == STUDY:
        return "this is a study file, not a recipe: run it with `sraccel study`", None
    known = [key for key in _keys_allowed(recipe, content, location[:-1]) if key != "use"]
    owner = _owner(content, location[:-1])
    hint = did_you_mean(location[-1], known)
    listed = f"{owner} has no {location[-1]!r}{hint} (it has: {', '.join(known) or 'none'})"
    return listed, nearest(location[-1], known)


def _shortened(messages: list[str]) -> Iterator[str]:
    """What several messages begin with is said once."""
    start = "must be "
    for index, message in enumerate(messages):
        yield message.removeprefix(start) if index else message


def _owner(content: Any, location: Location) -> str:
    """Whose keys these are, as a message names it."""
    if not location:
        return "a recipe"
    if location[0] == "accelerators" and len(location) == 2:
        return printable(str(content["accelerators"][location[1]]["use"]))
    return printable(str(location[-1]))


def _at(content: Any, location: Location) -> Any:
    for part in location:
        content = _inside(content, part)
    return content


def _origin(content: Any, location: Location) -> str | None:
    """The package whose accelerator checks this part."""
    if location[:1] != ("accelerators",) or len(location) < 2 or location[2:] == ("use",):
        return None
    item = _inside(content["accelerators"], location[1])
    use = item.get("use") if isinstance(item, dict) else None
    known = isinstance(use, str) and use in installed().accelerators
    return installed().origin(str(use)) if known else None


def path_of(location: Location) -> str:
    """`accelerators[1].threshold`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return printable("".join(parts).removeprefix("."), kept="")


def short(value: object) -> str:
    """A value as a message shows it."""
    return shortened(printable(repr(value), kept=""), SHORT)
