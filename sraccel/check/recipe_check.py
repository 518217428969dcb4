"""Checking a recipe without its model. Importing and running this imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sraccel.check.third_party import asked, made
from sraccel.errors import ConflictError, PluginError
from sraccel.loop.accelerator import AcceleratorOptions
from sraccel.loop.finding import Finding
from sraccel.recipe.reading.merged import Merged
from sraccel.recipe.recipe import Recipe
from sraccel.recipe.sampling import Sampling
from sraccel.study.plan.design import cells_of
from sraccel.study.plan.study import Study


def check_recipe(recipe: Recipe, merged: Merged) -> list[Finding]:
    """Contradictions between accelerators, and what will have no effect.

    Args:
        recipe: a valid one; loading others raises `RecipeError`.
        merged: what it was made of, for places.
    """
    if isinstance(recipe, Study):
        return placed([*_doubts_of_cells(recipe), *_doubts(recipe)], merged)
    return placed([*_conflicts(recipe), *_doubts(recipe)], merged)


def placed(findings: Iterable[Finding], merged: Merged) -> list[Finding]:
    """The findings, with places in the recipe's files for errors and warnings.

    A contradiction is placed at the last of those that contradict each other.
    """
    return [
        finding if finding.level == "note" else replace(finding, place=_place(finding, merged))
        for finding in findings
    ]


def _doubts_of_cells(study: Study) -> Iterator[Finding]:
    """Cells of a study that show nothing: those that will fail, and those no faster than bare."""
    steps, design = study.sampling.num_inference_steps, study.study.design
    if design in ("order", "pairs") and len(study.accelerators) == 1:
        yield Finding("warning", f"the design {design!r} of one accelerator is that one alone")
    for cell in cells_of(study):
        for finding in _conflicts(Recipe(accelerators=cell.accelerators)):
            message = f"the cell {cell.name!r} cannot run: {finding.message}"
            yield replace(finding, level="warning", message=message)
        if cell.kind == "plain_steps" and steps and cell.sampling["num_inference_steps"] >= steps:
            yield Finding("warning", f"{cell.name!r} are no fewer than the other runs' {steps}")


def _conflicts(recipe: Recipe) -> Iterator[Finding]:
    from sraccel.loop.claims import check_claims
    from sraccel.loop.hooks import LoopHooks

    try:
        accelerators = list(map(made, recipe.accelerators))
        hooks = LoopHooks(accelerators)
        for name, method in hooks.unmarked:
            message = f"its method {method} is not marked @hookimpl, so it is never called"
            yield Finding("warning", message, name)
        check_claims(accelerators, hooks)
    except ConflictError as error:
        yield Finding("error", str(error), between=error.accelerators)
    except PluginError as error:
        yield Finding("error", str(error), error.accelerator or "")


def _doubts(recipe: Recipe) -> Iterator[Finding]:
    if not recipe.accelerators:
        yield Finding("warning", "the recipe lists no accelerator: it does nothing")
    for item in recipe.accelerators:
        yield from _doubts_about(item, recipe.sampling)


def doubts_of(recipe: Recipe, sampling: Sampling) -> Iterator[Finding]:
    """What the accelerators doubt of a call with these arguments."""
    for item in recipe.accelerators:
        yield from _doubts_about(item, sampling)


def _doubts_about(item: AcceleratorOptions, sampling: Sampling) -> Iterator[Finding]:
    try:
        with asked(item.use, "doubts"):
            for doubt in item.doubts(sampling):
                yield Finding("warning", doubt, item.use)
    except PluginError as error:
        yield Finding("error", str(error), item.use)


def _place(finding: Finding, merged: Merged) -> str:
    indices = [merged.position(name) for name in (finding.about, *finding.between)]
    index = max((found for found in indices if found is not None), default=None)
    if index is None and finding.about:
        return finding.place
    file, mark = merged.place(() if index is None else ("accelerators", index))
    exact = index is not None and mark is not None
    return ":".join(map(str, (file, *mark))) if file and mark and exact else file or ""
