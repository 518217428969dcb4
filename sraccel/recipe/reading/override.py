"""Overrides from the shell: `teacache.threshold=0.15`, `sampling.num_inference_steps=30`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from sraccel.errors import Problem
from sraccel.recipe.catalogue import installed
from sraccel.recipe.reading.complaints import position_of, reason_of
from sraccel.recipe.reading.document import Document
from sraccel.recipe.reading.merged import Merged
from sraccel.recipe.reading.place import Location
from sraccel.recipe.reading.yaml_nodes import read_tree
from sraccel.text import did_you_mean, nearest, printable

SECTIONS = ("sampling", "study")
KEYS = ("model", "name", "description")
DEEP = (("study", "sweep"),)
"""Parts of sections that are mappings themselves: `study.sweep.teacache.threshold`."""
FORM = "give NAME.OPTION=VALUE, as in teacache.threshold=0.15 or sampling.num_inference_steps=30"


class RefusedError(Exception):
    """Why an override is refused, and what may have been meant."""

    def __init__(self, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.suggestion = suggestion

    def problem(self, document: Document) -> Problem:
        """This as a problem of the document that gave the override."""
        return Problem("", str(self), file=document.file, suggestion=self.suggestion)


def override(merged: Merged, given: Sequence[str]) -> None:
    """Put overrides into a recipe's content, in their order; the values are checked later.

    Those that are refused are added to `merged.problems`.
    """
    for text in given:
        document = Document(f"--set {text}", None)
        try:
            path, value = _split(text)
            location = locate(merged, path)
            assign(merged, location, read_value(value), document)
        except RefusedError as refused:
            merged.problems.append(refused.problem(document))


def _split(text: str) -> tuple[str, str]:
    """Path and value of `teacache.threshold=0.15`, as text.

    Raises:
        RefusedError: one of them is missing.
    """
    path, equals, value = text.partition("=")
    if not equals or not value.strip():
        raise RefusedError(FORM)
    return path.strip(), value


def locate(merged: Merged, path: str) -> Location | None:
    """Where in a recipe's content `teacache.threshold` is.

    None: an include that may list the accelerator could not be read.

    Raises:
        RefusedError: the recipe has no such place, or none that can be set.
    """
    first, *rest = (part.strip() for part in path.split("."))
    if not first or not all(rest):
        raise RefusedError(FORM)
    if first in KEYS:
        if rest:
            message = f"{first} is one value, which has no {rest[0]!r}: give {first}=VALUE"
            raise RefusedError(message)
        return (first,)
    if first in SECTIONS:
        _in_section(first, rest)
        return (first, *rest)
    index = _listed(merged, first)
    if index is None:
        return None
    if not rest:
        raise RefusedError(f"which option of {first!r}? {FORM}")
    if rest[0] == "use":
        raise RefusedError("`use` says which accelerator it is: it cannot be overridden")
    return ("accelerators", index, *rest)


def assign(
    merged: Merged,
    location: Location | None,
    value: Any,
    document: Document,
    there: Location = (),
) -> None:
    """Set what `locate` found to a value that stands `there` in a document.

    Raises:
        RefusedError: what is there has no such part.
    """
    if location is None:
        return
    if location[0] == "accelerators":
        index, name, *deeper = location[1:]
        if not deeper:
            merged.set_option(int(index), str(name), value, document, there)
            return
        merged.open_options(int(index))
    elif len(location) > 1 and not isinstance(merged.content.get(str(location[0])), dict):
        merged.put(location[:1], {}, document, ())
    _put(merged, location, value, document, there)


def _in_section(name: str, rest: Sequence[str]) -> None:
    """Refuse a section as a whole, and parts of its values, which have none."""
    if not rest:
        raise RefusedError(f"which part of {name!r}? {FORM}")
    if len(rest) > 1 and (name, rest[0]) not in DEEP:
        raise RefusedError(f"{name}.{rest[0]} is one value, which has no {rest[1]!r}")


def read_value(text: str) -> Any:
    """A value as the shell gives it.

    Raises:
        RefusedError: it is not YAML.
    """
    try:
        tree = read_tree(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        _, column = position_of(error, text)
        where = f" (character {column} of it)" if column is not None else ""
        raise RefusedError(f"the value is not YAML: {reason_of(error)}{where}") from None
    if tree.problems:
        raise RefusedError(tree.problems[0][0])
    return tree.content


def _listed(merged: Merged, name: str) -> int | None:
    """Where the accelerator stands; None: an include that may list it could not be read."""
    index = merged.position(name)
    if index is not None:
        return index
    if merged.incomplete and name in installed().accelerators:
        return None
    sections = [section for section in SECTIONS if section != "study" or section in merged.content]
    known = [*map(printable, merged.uses()), *sections, *KEYS]
    hint = did_you_mean(name, known)
    if not hint and name in installed().accelerators:
        hint = "; it is installed, but an override changes only what the recipe lists"
    raise RefusedError(
        f"the recipe has no accelerator {name!r}{hint} (can be set: {', '.join(known)})",
        nearest(name, known),
    )


def _put(
    merged: Merged, location: Location, value: Any, document: Document, there: Location
) -> None:
    """Set what may lie deeper: mappings on the way are made where there are none."""
    target: Any = merged.content
    for depth, part in enumerate(location[:-1]):
        held = target.get(part) if isinstance(target, dict) else target[part]
        if held is None:
            merged.put(location[: depth + 1], {}, document, ())
        elif depth and not isinstance(held, (dict, list)):
            shown = ".".join(str(name) for name in location[2 : depth + 1])
            raise RefusedError(f"{shown} is {held!r}, which has no {location[depth + 1]!r}")
        target = target[part]
    if not isinstance(target, dict):
        raise RefusedError(f"a list has no {location[-1]!r}: give the whole list")
    merged.put(location, value, document, there)
