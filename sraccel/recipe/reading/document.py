"""A file that was read: its content, and the line and column of everything in it.

Of TOML no lines are known (`tomllib` gives none): what is wrong in one is named by its key's path.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from sraccel.errors import Problem, RecipeError
from sraccel.files import read_text
from sraccel.recipe.reading.complaints import position_of, reason_of
from sraccel.recipe.reading.extent import check_dots, check_extent
from sraccel.recipe.reading.place import Location, Mark
from sraccel.recipe.reading.yaml_nodes import YamlTree, read_tree

SUFFIXES = (".yaml", ".yml", ".toml", ".json")
LARGEST = 2**18
"""Bytes of a recipe's file: what there is to say of one fits into far less."""
MOST_FILES = 500
"""How many files of a folder are looked at for a name that may have been meant."""


@dataclass
class Document:
    """What was read, and where each thing is.

    Attributes:
        file: its name, for messages.
        content: plain data.
        folder: what the paths in it are relative to.
        keys: places of the keys, by location.
        values: places of the values.
        problems: what the format allows and a recipe does not (a key given twice, say).
    """

    file: str
    content: Any
    folder: Path = Path()
    keys: Mapping[Location, Mark] = field(default_factory=dict)
    values: Mapping[Location, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def mark(self, location: Location, *, key: bool = False) -> Mark | None:
        """The place of a value or of its key; of what holds it, where it is not known."""
        if key and location in self.keys:
            return self.keys[location]
        for length in range(len(location), -1, -1):
            if location[:length] in self.values:
                return self.values[location[:length]]
        return None


def is_file(path: Path) -> bool:
    """Whether there is such a file; False for what cannot be a file's name."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or with a null character
        return False


def not_a_file(path: Path) -> str | None:
    """What there is instead of a file; None: nothing."""
    try:
        if path.is_dir():
            return "a folder"
        return "not a regular file" if path.exists() else None
    except (OSError, ValueError):
        return None


def looks_like_a_recipe(path: Path) -> bool:
    """Whether it is a file whose lines may be shown: by its own suffix, not by that of a link."""
    try:
        return path.resolve().suffix.lower() in SUFFIXES
    except (OSError, ValueError, RuntimeError):
        return False


def files_beside(path: Path) -> list[str]:
    """Recipe-like files of the folder in which a file was sought, as the path would name them."""
    try:
        found = islice(path.parent.iterdir(), MOST_FILES)
        return sorted(one.name for one in found if one.suffix.lower() in SUFFIXES)
    except (OSError, ValueError):
        return []


def read_document(path: Path) -> Document:
    """Read a YAML, TOML or JSON file, by its suffix (YAML for any other); executes nothing.

    Raises:
        RecipeError: it cannot be opened, or is malformed; with line and column.
    """
    readers = {".toml": _toml, ".json": _json}
    text = ""
    try:
        text = read_text(path, LARGEST)
        document = readers.get(path.suffix.lower(), _yaml)(text, path)
        check_extent(document.content)
        return document
    except OSError as error:
        raise RecipeError(f"cannot be opened: {error.strerror}", str(path)) from error
    except RecursionError:
        raise RecipeError("cannot be read as a recipe: nested too deeply", str(path)) from None
    except (ValueError, yaml.YAMLError) as error:
        raise RecipeError([_malformed(error, path, text)], str(path)) from error


def _yaml(text: str, path: Path) -> Document:
    return _with_marks(read_tree(text), path)


def _json(text: str, path: Path) -> Document:
    content = json.loads(text)
    check_extent(content)
    try:
        # JSON is YAML but for tabs, which stand only between its tokens.
        document = _with_marks(read_tree(text.replace("\t", " ")), path)
    except yaml.YAMLError:
        return Document(str(path), content, path.parent)
    document.content = content
    return document


def _toml(text: str, path: Path) -> Document:
    check_dots(text)
    return Document(str(path), tomllib.loads(text), path.parent)


def _with_marks(tree: YamlTree, path: Path) -> Document:
    problems = [
        Problem("", message, file=str(path), line=mark.line, column=mark.column)
        for message, mark in tree.problems
    ]
    return Document(str(path), tree.content, path.parent, tree.keys, tree.values, problems)


def _malformed(error: Exception, path: Path, text: str) -> Problem:
    line, column = position_of(error, text)
    message = f"cannot be read as a recipe: {reason_of(error)}"
    return Problem("", message, file=str(path), line=line, column=column)
