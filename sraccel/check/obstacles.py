"""Whether what plugins bring can run on this machine; if not, why, and what would help."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sraccel.check.third_party import asked
from sraccel.errors import SraccelError
from sraccel.loop.accelerator import Accelerator
from sraccel.loop.edition import check_edition
from sraccel.loop.obstacle import Obstacle
from sraccel.recipe.discovery.plugin import Offer, Plugin
from sraccel.recipe.discovery.requirements import unmet
from sraccel.recipe.recipe import Recipe


def obstacles(offer: Offer, plugin: Plugin) -> list[Obstacle]:
    """Everything that keeps an offer of a plugin from running here; empty: it can run.

    Nothing is loaded and torch is not imported, so a run may still show more.
    """
    return [*_unmet(plugin.requires), *_own(offer)]


def _own(offer: Offer) -> Iterator[Obstacle]:
    if offer.kind == "recipe":
        yield from _of_recipe(offer.thing)
        return
    yield from unmet(getattr(offer.thing, "requires", ()))
    if offer.kind == "accelerator":
        yield from _of_accelerator(offer.thing)


def _of_accelerator(accelerator: type[Accelerator]) -> Iterator[Obstacle]:
    try:
        check_edition(accelerator)
        with asked(accelerator.name, "obstacles"):
            yield from accelerator.obstacles()
    except SraccelError as error:
        yield Obstacle(str(error))


def _of_recipe(path: Path) -> Iterator[Obstacle]:
    """That it is not valid here, or that one of its accelerators would be refused."""
    try:
        recipe: Any = Recipe.load(path)
    except SraccelError as error:
        yield Obstacle(" ".join(str(error).split()))
        return
    for item in recipe.accelerators:
        for lack in unmet(item.accelerator.requires):
            yield Obstacle(f"its {item.use}: {lack.reason}", lack.remedy)


@functools.cache
def _unmet(requires: tuple[str, ...]) -> tuple[Obstacle, ...]:
    """Of a distribution, which may have several plugins."""
    return tuple(unmet(requires))
