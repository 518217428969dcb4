"""A recipe: which accelerators, with which options, in which order."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    field_validator,
)

from sraccel.accelerator import AcceleratorOptions
from sraccel.catalogue import installed, resolve_options
from sraccel.errors import Problem, RecipeError


class Recipe(BaseModel):
    """An ordered list of accelerators. The order is the order in which hooks are asked.

    Raises:
        RecipeError: on construction, with everything that is wrong at once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("", description="A short name, shown in reports.")
    description: str = Field("", description="What the recipe is for.")
    accelerators: list[
        Annotated[SerializeAsAny[AcceleratorOptions], BeforeValidator(resolve_options)]
    ] = Field(default_factory=list, description="The accelerators, in order.")

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise RecipeError(_problems(error)) from None

    @field_validator("accelerators")
    @classmethod
    def _names_are_unique(cls, items: list[AcceleratorOptions]) -> list[AcceleratorOptions]:
        names = [item.use for item in items]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name!r} is listed {names.count(name)} times; once is possible")
        return items

    @classmethod
    def load(cls, source: Any) -> Self:
        """Make a recipe of a recipe, a mapping, a list of accelerators, a file or a shipped name.

        Files are YAML, TOML or JSON by their suffix. YAML is read safely: it executes nothing.

        Raises:
            RecipeError: the file is missing or malformed, or the recipe is not valid.
        """
        if isinstance(source, cls):
            return source
        if isinstance(source, Mapping):
            return cls(**source)
        if isinstance(source, (str, Path)):
            return cls._from_file(_locate(source))
        return cls(accelerators=source)

    @classmethod
    def _from_file(cls, path: Path) -> Self:
        content = _parse(path)
        if not isinstance(content, dict):
            raise RecipeError("a recipe is a mapping with a key 'accelerators'", str(path))
        try:
            return cls(**content)
        except RecipeError as error:
            raise RecipeError(error.problems, str(path)) from None

    def __repr__(self) -> str:
        chain = " + ".join(item.use for item in self.accelerators) or "empty"
        return f"Recipe({self.name + ': ' if self.name else ''}{chain})"

    __str__ = __repr__


def _locate(source: str | Path) -> Path:
    """The file that a path or the name of a shipped recipe stands for."""
    path = Path(source)
    if path.is_file():
        return path
    recipes = installed().recipes
    if str(source) in recipes:
        return recipes[str(source)]
    raise RecipeError(
        f"no file {str(source)!r}, and no shipped recipe of that name "
        f"(shipped: {', '.join(sorted(recipes)) or 'none'})"
    )


def _parse(path: Path) -> Any:
    readers = {".toml": tomllib.loads, ".json": json.loads}
    read = readers.get(path.suffix, yaml.safe_load)
    try:
        return read(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        raise RecipeError(f"cannot be read as a recipe: {error}", str(path)) from error
    except OSError as error:
        raise RecipeError(f"cannot be opened: {error.strerror}", str(path)) from error


def _problems(error: ValidationError) -> list[Problem]:
    return [
        Problem(
            _path(item["loc"]),
            item["msg"].removeprefix("Value error, "),
            None if item["type"] == "missing" else _short(item["input"]),
        )
        for item in error.errors()
    ]


def _path(location: tuple[int | str, ...]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
