"""What can be said of a recipe alone. Importing and running this imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sraccel.check.finding import Finding
from sraccel.errors import ConflictError
from sraccel.reading.merged import Merged
from sraccel.recipe import Recipe


def check_recipe(recipe: Recipe, merged: Merged) -> list[Finding]:
    """Contradictions between accelerators, and what will have no effect.

    Args:
        recipe: a valid one; what is wrong with others, `RecipeError` says.
        merged: what it was made of, for places.
    """
    found = [*_conflicts(recipe), *_doubts(recipe)]
    return [replace(finding, place=_place(finding, merged)) for finding in found]


def _conflicts(recipe: Recipe) -> Iterator[Finding]:
    from sraccel.composer import check_claims
    from sraccel.hooks import LoopHooks

    accelerators = [item.accelerator(item) for item in recipe.accelerators]
    try:
        check_claims(accelerators, LoopHooks(accelerators))
    except ConflictError as error:
        yield Finding("error", str(error))


def _doubts(recipe: Recipe) -> Iterator[Finding]:
    if not recipe.accelerators:
        yield Finding("warning", "the recipe lists no accelerator: it does nothing")
    for item in recipe.accelerators:
        for doubt in item.doubts(recipe.sampling):
            yield Finding("warning", doubt, item.use)


def _place(finding: Finding, merged: Merged) -> str:
    index = merged.position(finding.about)
    file, mark = merged.place(() if index is None else ("accelerators", index))
    exact = index is not None and mark is not None
    return ":".join(map(str, (file, *mark))) if file and mark and exact else file or ""
