"""A package from the templates of its kind: written whole, or not at all."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal, get_args

from jinja2 import Environment, StrictUndefined

from sraccel.errors import OutputError
from sraccel.scaffold.names import Names

Kind = Literal["rule", "predictor", "kernel", "denoiser", "metric"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SUFFIX = ".jinja"
COMMON = "common"
"""Templates of every kind; those of a kind come over them."""


def write_package(names: Names, kind: Kind, folder: Path) -> list[Path]:
    """Make a package in a new folder.

    Args:
        names: what is called how.
        kind: what the accelerator does.
        folder: where to; it must not be there yet, unless it is empty.

    Returns:
        The files, relative to the folder.

    Raises:
        OutputError: there is something already, or it cannot be written.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise OutputError(f"{folder} is there already: choose another --out", path=folder)
    written = dict(rendered(names, kind))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as made:
            for path, text in written.items():
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_text(text, encoding="utf-8")
            shutil.copytree(made, folder, dirs_exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write {folder}: {reason}", path=folder, reason=reason) from error
    return sorted(written)


def rendered(names: Names, kind: Kind) -> Iterator[tuple[Path, str]]:
    """Path and text of every file of a package."""
    environment = Environment(
        undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, autoescape=False
    )
    facts = {"names": names, "kind": kind, "sraccel": _range()}
    for path, template in sorted(_templates(kind).items()):
        text = environment.from_string(template.read_text(encoding="utf-8")).render(facts)
        yield _path(path, names), text


def _templates(kind: Kind) -> dict[str, Traversable]:
    root = files("sraccel.scaffold") / "templates"
    return {path: file for part in (COMMON, kind) for path, file in _files(root / part)}


def _files(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for found in folder.iterdir():
        if found.is_dir():
            yield from _files(found, f"{prefix}{found.name}/")
        elif found.name.endswith(SUFFIX):
            yield prefix + found.name, found


def _path(template: str, names: Names) -> Path:
    """Where a template goes: `package` and `item` stand for names, `dot_` for a dot."""
    parts = [
        re.sub(r"\bitem\b|(?<=test_)item\b", names.module, part).replace("dot_", ".")
        for part in template.removesuffix(SUFFIX).split("/")
    ]
    return Path(*(names.package if part == "package" else part for part in parts))


def _range() -> str:
    """Versions of sraccel that have these hooks: before 1.0, a minor version may break them."""
    try:
        major, minor, *_ = version("sraccel").split(".")
    except PackageNotFoundError:
        return "sraccel"
    least, next_one = f"{major}.{minor}", f"{major}.{int(minor) + 1}"
    return f"sraccel>={least},<{next_one if major == '0' else int(major) + 1}"
