"""Overrides from the shell: `teacache.threshold=0.15`, `sampling.num_inference_steps=30`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from sraccel.catalogue import installed
from sraccel.errors import Problem
from sraccel.near import did_you_mean, nearest
from sraccel.printable import printable
from sraccel.reading.complaints import position_of, reason_of
from sraccel.reading.document import Document, Location
from sraccel.reading.merged import Merged
from sraccel.reading.yaml_nodes import read_tree

SECTIONS = ("sampling",)
KEYS = ("model", "name", "description")
FORM = "give NAME.OPTION=VALUE, as in teacache.threshold=0.15 or sampling.num_inference_steps=30"


class _RefusedError(Exception):
    """Why an override makes no sense, and what may have been meant."""

    def __init__(self, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.suggestion = suggestion


def override(merged: Merged, given: Sequence[str]) -> None:
    """Put overrides into a recipe's content, in their order; the values are checked later.

    What makes no sense is added to `merged.problems`.
    """
    for text in given:
        document = Document(f"--set {text}", None)
        try:
            _apply(merged, text, document)
        except _RefusedError as refused:
            problem = Problem("", str(refused), file=document.file, suggestion=refused.suggestion)
            merged.problems.append(problem)


def _apply(merged: Merged, text: str, document: Document) -> None:
    path, equals, value = text.partition("=")
    first, *rest = (part.strip() for part in path.split("."))
    if not equals or not first or not all(rest) or not value.strip():
        raise _RefusedError(FORM)
    content = _value(value)
    if first in KEYS and not rest:
        merged.put((first,), content, document, ())
    elif first in KEYS:
        raise _RefusedError(f"{first} is one value, which has no {rest[0]!r}: give {first}=VALUE")
    elif first in SECTIONS:
        _in_section(first, rest)
        if not isinstance(merged.content.get(first), dict):
            merged.put((first,), {}, document, ())
        _put(merged, (first, *rest), content, document)
    else:
        index = _listed(merged, first)
        if index is None:
            return
        if not rest:
            raise _RefusedError(f"which option of {first!r}? {FORM}")
        if rest[0] == "use":
            raise _RefusedError("`use` says which accelerator it is: it cannot be overridden")
        if len(rest) == 1:
            merged.set_option(index, rest[0], content, document, ())
        else:
            _put(merged, ("accelerators", index, *rest), content, document)


def _in_section(name: str, rest: Sequence[str]) -> None:
    """Refuse a section as a whole, and parts of its values, which have none."""
    if not rest:
        raise _RefusedError(f"which part of {name!r}? {FORM}")
    if len(rest) > 1:
        raise _RefusedError(f"{name}.{rest[0]} is one value, which has no {rest[1]!r}")


def _value(text: str) -> Any:
    try:
        tree = read_tree(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        _, column = position_of(error, text)
        where = f" (character {column} of it)" if column is not None else ""
        raise _RefusedError(f"the value is not YAML: {reason_of(error)}{where}") from None
    if tree.problems:
        raise _RefusedError(tree.problems[0][0])
    return tree.content


def _listed(merged: Merged, name: str) -> int | None:
    """Where the accelerator stands; None: an include that may list it could not be read."""
    index = merged.position(name)
    if index is not None:
        return index
    if merged.incomplete and name in installed().accelerators:
        return None
    known = [*map(printable, merged.uses()), *SECTIONS, *KEYS]
    hint = did_you_mean(name, known)
    if not hint and name in installed().accelerators:
        hint = "; it is installed, but an override changes only what the recipe lists"
    raise _RefusedError(
        f"the recipe has no accelerator {name!r}{hint} (can be set: {', '.join(known)})",
        nearest(name, known),
    )


def _put(merged: Merged, location: Location, value: Any, document: Document) -> None:
    """Set what may lie deeper: mappings on the way are made where there are none."""
    target: Any = merged.content
    for depth, part in enumerate(location[:-1]):
        held = target.get(part) if isinstance(target, dict) else target[part]
        if held is None:
            merged.put(location[: depth + 1], {}, document, ())
        elif depth and not isinstance(held, (dict, list)):
            shown = ".".join(str(name) for name in location[2 : depth + 1])
            raise _RefusedError(f"{shown} is {held!r}, which has no {location[depth + 1]!r}")
        target = target[part]
    if not isinstance(target, dict):
        raise _RefusedError(f"a list has no {location[-1]!r}: give the whole list")
    merged.put(location, value, document, ())
