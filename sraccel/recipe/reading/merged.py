"""A recipe's content, put together from a file and what it includes, and where each part is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from sraccel.errors import PluginError, Problem, RecipeError
from sraccel.loop.accelerator import AcceleratorOptions
from sraccel.recipe.catalogue import installed
from sraccel.recipe.reading.document import Document, files_beside, is_file, read_document
from sraccel.recipe.reading.place import Location, Mark
from sraccel.text import did_you_mean, nearest

INCLUDE = "include"
SCHEMA = "$schema"
"""Where an editor finds the schema, as JSON files say it."""
ALLOWED = "SRACCEL_INCLUDE_PATH"
"""Variable of the environment: folders beside the recipe's own whose files may be included."""
OUTSIDE = (
    "{name!r} lies outside of {folder}, the recipe's folder: a recipe from elsewhere could read "
    "any file by it. Copy it there, or name its folder in {variable}"
)
MERGED_KEYS = ("sampling", "study")
"""Mappings of which an including recipe may give a part."""


@dataclass
class Merged:
    """Content to be checked, and what its parts come from.

    Attributes:
        origins: the document and the location in it, by location in `content`; a part that is not
            listed comes from the same document as what holds it.
        problems: what was wrong with the files, before any value is checked.
        incomplete: an include could not be read, so that what seems to be missing may be there.
    """

    content: dict[str, Any] = field(default_factory=dict)
    origins: dict[Location, tuple[Document, Location]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    incomplete: bool = False
    _above: set[Location] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        for location in self.origins:
            self._note_above(location)

    def _note_above(self, location: Location) -> None:
        """Note what holds a part that has an origin of its own."""
        self._above.update(location[:length] for length in range(len(location)))

    def place(self, location: Location, *, key: bool = False) -> tuple[str | None, Mark | None]:
        """The file that a part comes from, and where it is in there."""
        document, there = self.origin(location)
        return document.file or None, document.mark(there, key=key)

    def origin(self, location: Location) -> tuple[Document, Location]:
        """The document that a part comes from, and its location there."""
        for length in range(len(location), -1, -1):
            if location[:length] in self.origins:
                document, there = self.origins[location[:length]]
                return document, (*there, *location[length:])
        return Document("", None), ()

    def copy(self) -> Merged:
        """A copy that may be changed; models and the like are shared."""
        return Merged(_copy(self.content), self.origins, list(self.problems), self.incomplete)

    def put(self, location: Location, value: Any, document: Document, there: Location) -> None:
        """Set a part, whatever it was before; what holds it must be there."""
        target: Any = self.content
        for part in location[:-1]:
            target = target[part]
        target[location[-1]] = value
        if location in self._above:
            self.origins = {
                known: origin
                for known, origin in self.origins.items()
                if known[: len(location)] != location
            }
        self.set_origin(location, document, there)

    def set_origin(self, location: Location, document: Document, there: Location) -> None:
        """Say where a part comes from."""
        self.origins[location] = (document, there)
        self._note_above(location)

    def position(self, use: str) -> int | None:
        """Where in the list an accelerator stands; None: it is not there."""
        names = [_use(item) for item in self._items()]
        return names.index(use) if use in names else None

    def uses(self) -> list[str]:
        """Names of the accelerators that are listed, right or wrong."""
        return [name for name in map(_use, self._items()) if name is not None]

    def _items(self) -> list[Any]:
        items = self.content.get("accelerators")
        return items if isinstance(items, list) else []

    def open_options(self, index: int) -> dict[str, Any]:
        """An accelerator's options as a mapping that may be changed, whatever they were."""
        items = self.content["accelerators"]
        item = items[index] = _as_mapping(items[index])
        return item

    def set_option(
        self, index: int, name: str, value: Any, document: Document, there: Location
    ) -> None:
        """Override an option of an accelerator; None takes it back to its default."""
        item = self.open_options(index)
        if value is None and _means_default(item["use"], name):
            item.pop(name, None)
        else:
            self.put(("accelerators", index, name), value, document, there)


def read_recipe(path: Path, chain: tuple[Path, ...] = ()) -> Merged:
    """Read a file and all that it includes.

    Args:
        path: the file.
        chain: the files that include it, outermost first.

    Raises:
        RecipeError: it cannot be read, or is no mapping. What is wrong with an include is listed
            in `problems`.
    """
    document = read_document(path)
    if not isinstance(document.content, dict):
        line, column = document.mark(()) or (None, None)
        message = "a recipe is a mapping with a key 'accelerators'"
        raise RecipeError([Problem("", message, None, str(path), line, column)], str(path))
    return merge(document, (*chain, path.resolve()))


def merge(document: Document, chain: tuple[Path, ...] = ()) -> Merged:
    """A document's content over that of the recipe that it includes."""
    own = dict(document.content)
    own.pop(SCHEMA, None)
    if isinstance(own.get("accelerators"), tuple):
        own["accelerators"] = list(own["accelerators"])
    merged = _included(own.pop(INCLUDE, None), document, chain)
    merged.problems.extend(document.problems)
    merged.set_origin((), document, ())
    for key, value in own.items():
        base = merged.content.get(key)
        if key == "accelerators" and isinstance(base, list) and isinstance(value, list):
            _merge_accelerators(merged, value, document)
        elif key in MERGED_KEYS and isinstance(base, dict) and isinstance(value, dict):
            for name, part in value.items():
                merged.put((key, name), _copy(part), document, (key, name))
        else:
            merged.put((key,), _copy(value), document, (key,))
    return merged


def _merge_accelerators(merged: Merged, items: list[Any], document: Document) -> None:
    """Options go over those of the accelerator of the same name; others come at the end."""
    overridden: set[int] = set()
    for own_index, item in enumerate(items):
        index = merged.position(use) if (use := _use(item)) is not None else None
        here: Location = ("accelerators", own_index)
        if index is None or index in overridden:  # a name listed twice is refused later
            merged.content["accelerators"].append(_copy(item))
            end = len(merged.content["accelerators"]) - 1
            merged.set_origin(("accelerators", end), document, here)
            overridden.add(end)
            continue
        overridden.add(index)
        for name, value in _as_mapping(item).items():
            if name != "use":
                merged.set_option(index, name, _copy(value), document, (*here, name))


def _included(name: Any, document: Document, chain: tuple[Path, ...]) -> Merged:
    if name is None:
        return Merged()
    target = _target(name, document.folder, chain)
    if isinstance(target, Path):
        try:
            return _without_names(read_recipe(target, chain))
        except RecipeError as error:
            return Merged(problems=list(error.problems), incomplete=True)
    line, column = document.mark((INCLUDE,)) or (None, None)
    given = None if isinstance(name, (dict, list)) else repr(name)
    file = document.file or None
    found = replace(target, file=file, line=line, column=column, given=given)
    return Merged(problems=[found], incomplete=True)


def _without_names(merged: Merged) -> Merged:
    """Name and description are of one recipe: they are not inherited."""
    for key in ("name", "description"):
        merged.content.pop(key, None)
    return merged


def _target(name: Any, folder: Path, chain: tuple[Path, ...]) -> Path | Problem:
    """The file that `include` stands for, or what is wrong with it."""
    if not isinstance(name, str):
        return Problem(INCLUDE, "one recipe: a file (relative to this one) or a shipped name")
    shipped = installed().recipes
    path = folder / name if is_file(folder / name) else shipped.get(name)
    if path is not None and path != shipped.get(name) and not may_include(path, chain):
        return Problem(INCLUDE, OUTSIDE.format(name=name, folder=chain[0].parent, variable=ALLOWED))
    if path is None:
        message = f"no file {name!r} beside this one, and no shipped recipe of that name"
        hint, near = near_recipe(name, folder / name, shipped)
        message += f"{hint} (shipped: {', '.join(sorted(shipped)) or 'none'})"
        return Problem(INCLUDE, message, suggestion=near)
    if path.resolve() in chain:
        names = [known.name for known in chain[chain.index(path.resolve()) :]]
        circle = " -> ".join([*names, path.name])
        return Problem(INCLUDE, f"the includes go in a circle: {circle}")
    return path


def may_include(path: Path, chain: tuple[Path, ...]) -> bool:
    """Whether a file lies in the folder of the outermost recipe, or where the user allows it.

    Links are followed first. A recipe that was given in Python may include any.
    """
    if not chain:
        return True
    allowed = [folder for folder in os.environ.get(ALLOWED, "").split(os.pathsep) if folder]
    folders = [chain[0].parent, *(Path(folder).expanduser().resolve() for folder in allowed)]
    return any(path.resolve().is_relative_to(folder) for folder in folders)


def near_recipe(name: str, path: Path, shipped: Iterable[str]) -> tuple[str, str | None]:
    """A file of the same folder, or a shipped recipe, that may have been meant: a hint, and it."""
    beside = {name.removesuffix(path.name) + one: None for one in files_beside(path)}
    known = [*beside, *shipped]
    if (near := nearest(name, known)) is None:
        return "", None
    stem, other = Path(name).stem, Path(near).stem  # that both end in .yaml says nothing
    if stem != other and nearest(stem, [other]) is None:
        return "", None
    return did_you_mean(name, known), near


def _means_default(use: str, option: str) -> bool:
    """Whether null as an override of this option means its default.

    Not where null is a value of its own; and what does not exist is left for the check to refuse.
    """
    try:
        known = installed().accelerator(use).Options.model_fields.get(option)
    except (KeyError, PluginError):
        return False
    if known is None:
        return False
    return known.default is None or NoneType not in get_args(known.annotation)


def _as_mapping(item: Any) -> dict[str, Any]:
    """What an item of the list gives; of options that were made in Python, what was given."""
    if isinstance(item, AcceleratorOptions):
        return {**{name: getattr(item, name) for name in item.model_fields_set}, "use": item.use}
    return dict(item)


def _use(item: Any) -> str | None:
    if isinstance(item, AcceleratorOptions):
        return item.use
    name = item.get("use") if isinstance(item, Mapping) else None
    return name if isinstance(name, str) else None


def _copy(value: Any) -> Any:
    """A copy of mappings and lists, since overrides change them; models and the like stay."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
