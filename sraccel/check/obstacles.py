"""Whether what plugins bring can run on this machine; if not, why, and what would help."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sraccel.errors import SraccelError
from sraccel.loop.edition import check_edition
from sraccel.loop.hooks import FAILURES
from sraccel.loop.obstacle import Obstacle
from sraccel.recipe.discovery.plugin import Offer, Plugin
from sraccel.recipe.discovery.requirements import unmet
from sraccel.recipe.recipe import Recipe


def obstacles(offer: Offer, plugin: Plugin) -> list[Obstacle]:
    """Everything that keeps an offer of a plugin from running here; empty: it can run.

    Nothing is loaded and torch is not imported, so a run may still show more.
    """
    return list(dict.fromkeys([*_unmet(plugin.requires), *_own(offer)]))


def _own(offer: Offer) -> Iterator[Obstacle]:
    if offer.kind == "recipe":
        yield from _of_recipe(offer.thing)
        return
    yield from unmet(getattr(offer.thing, "requires", ()))
    if offer.kind in ("accelerator", "metric", "score"):
        yield from _said(offer)


def _said(offer: Offer) -> Iterator[Obstacle]:
    """What it says itself; a third party's code may raise, or answer anything."""
    try:
        if offer.kind == "accelerator":
            check_edition(offer.thing)
        for one in offer.thing.obstacles():
            if not isinstance(one, Obstacle):
                raise TypeError(f"it answers {one!r}, which is no Obstacle")
            yield one
    except SraccelError as error:
        yield Obstacle(str(error))
    except FAILURES as error:
        reason = " ".join(f"its obstacles() raised {type(error).__name__}: {error}".split())
        yield Obstacle(reason, "its author must correct it")


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
