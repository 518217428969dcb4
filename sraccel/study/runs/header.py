"""What must stay the same for runs to belong to one study."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sraccel.loop.hookspecs import PROJECT
from sraccel.recipe.catalogue import installed
from sraccel.recipe.recipe import Recipe
from sraccel.report.build import environment, versions
from sraccel.report.origin import Source, sources_of
from sraccel.study.runs.parts import describe_part
from sraccel.study.runs.values import plain

if TYPE_CHECKING:
    from sraccel.loop.stack import Stack
    from sraccel.study.cell import Cell

SHOWN = 70
"""Characters of a value in an error."""
ARITHMETIC = ("numpy", "scipy", "torchmetrics")
"""Packages that compute what is judged, besides those that a report names."""


class Header(BaseModel):
    """What all runs of a study share. Prompts, seeds, repeats and the budget may change."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    pipeline: str
    models: dict[str, dict[str, str | None]] = Field(
        description="Class, dtype and a checksum of each part, the denoisers that accelerators "
        "bring included; how it computes, where that can be set."
    )
    scheduler: dict[str, Any]
    sources: list[Source] = Field(
        description="Models and files that the recipe and the cells name."
    )
    call: dict[str, Any] = Field(
        description="Arguments that all runs share; of what JSON cannot hold, a checksum."
    )
    cells: dict[str, dict[str, Any]]
    versions: dict[str, str]
    environment: dict[str, str]

    def differences(self, other: Header) -> Iterator[tuple[str, object, object]]:
        """(path, value here, value there) of whatever differs; of a cell too many, one line."""
        for name in dict.fromkeys([*other.cells, *self.cells]):
            if (name in self.cells) != (name in other.cells):
                now, then = ("a cell" if name in item.cells else None for item in (self, other))
                yield f"cells.{name}", now, then
        both = self.cells.keys() & other.cells.keys()
        ours, theirs = (dict(_flat("", item._content(both))) for item in (self, other))
        for path in {**theirs, **ours}:
            if ours.get(path) != theirs.get(path):
                yield path, ours.get(path), theirs.get(path)

    def _content(self, cells: Collection[str]) -> dict[str, Any]:
        """As JSON, with these cells alone."""
        content = self.model_dump(mode="json")
        kept = {name: cell for name, cell in content["cells"].items() if name in cells}
        return {**content, "cells": kept}

    def difference_lines(self, other: Header) -> list[str]:
        """The same, to be read: `other` is what there was."""
        return [
            f"{path}: {_short(then)} there, {_short(now)} now"
            for path, now, then in self.differences(other)
        ]


def header_of(
    pipe: Any,
    cells: Sequence[Cell],
    stacks: Mapping[str, Stack],
    sources: Sequence[Source],
    call: Mapping[str, Any],
) -> Header:
    """The header of a study on a pipeline.

    Args:
        pipe: a diffusers pipeline.
        cells: all, those that cannot be composed included.
        stacks: of the cells that can be, by name; the bare one is among them.
        sources: what the recipe names, with fingerprints.
        call: arguments that all runs share.
    """
    some = next(iter(stacks.values()))
    scheduler = pipe.scheduler
    return Header(
        pipeline=type(pipe).__name__,
        models=dict(_models(pipe, stacks)),
        scheduler={"class": type(scheduler).__name__, **plain(dict(scheduler.config))},
        sources=list(_sources(sources, cells)),
        call=plain(dict(call)),
        cells={cell.name: _cell(cell) for cell in cells},
        versions=_versions(cells),
        environment=environment(some.device),
    )


def _models(pipe: Any, stacks: Mapping[str, Stack]) -> Iterator[tuple[str, dict[str, str | None]]]:
    """The pipeline's parts by name, then what accelerators bring, by role and checksum."""
    from torch import nn

    for name, part in pipe.components.items():
        if isinstance(part, nn.Module):
            yield name, describe_part(part)
    for stack in stacks.values():
        for role in stack.contributions:
            described = describe_part(stack.denoisers[role].module)
            yield f"{role} {described['weights']}", described


def _cell(cell: Cell) -> dict[str, Any]:
    return {**cell.describe(), "sampling": plain(cell.sampling)}


def _sources(given: Iterable[Source], cells: Iterable[Cell]) -> Iterable[Source]:
    """What was given, then what only options of cells name: those that are swept."""
    found = {source.name: source for source in given}
    for accelerator in _accelerators(cells):
        with suppress(Exception):  # its cells will say why they cannot run
            for source in sources_of([], Recipe(accelerators=[accelerator])):
                found.setdefault(source.name, source)
    return found.values()


def _accelerators(cells: Iterable[Cell]) -> Iterable[Any]:
    """Options of accelerators, equal ones once: most cells share them."""
    found: dict[str, Any] = {}
    for cell in cells:
        for options, described in zip(
            cell.accelerators, cell.describe()["accelerators"], strict=True
        ):
            found.setdefault(json.dumps(described, sort_keys=True), options)
    return found.values()


def _versions(cells: Iterable[Cell]) -> dict[str, str]:
    found = dict(versions())
    for package in ARITHMETIC:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    for distribution in sorted({*_bringing(cells), *_judging()}):
        name, _, number = distribution.rpartition(" ")
        found[name] = number
    return found


def _bringing(cells: Iterable[Cell]) -> Iterator[str]:
    """Distributions (`sraccel 0.1.0`) of the cells' accelerators."""
    catalogue = installed()
    for name in {name for cell in cells for name in cell.uses}:
        if name in catalogue.accelerators:  # else it is the caller's own
            yield catalogue.origin(name)


def _judging() -> Iterator[str]:
    """Distributions of metrics and scores, all that are installed: they judge every run."""
    for entry_point in entry_points(group=PROJECT):
        with suppress(Exception):  # a broken plugin judges nothing
            if entry_point.dist and hasattr(entry_point.load(), "sraccel_metrics"):
                yield f"{entry_point.dist.name} {entry_point.dist.version}"


def _flat(path: str, value: Any) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(f"{path}.{key}" if path else key, item)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _flat(f"{path}[{index}]", item)
    else:
        yield path, value


def _short(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
