"""The cells of a study: which ways of running the pipeline are compared."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sraccel.loop.accelerator import AcceleratorOptions
from sraccel.recipe.recipe import Recipe, gather
from sraccel.study.cell import BARE, Cell
from sraccel.study.plan.sweep import combinations, named, with_settings

if TYPE_CHECKING:
    from sraccel.study.plan.study import Study

MOST_SHOWN = 8
MOST_ALIKE_SHOWN = 6
"""Of cells with the same accelerators, beside the bare one."""
CALL = "sampling."


def cells_of(study: Study) -> list[Cell]:
    """All cells: the bare one, those of the design, and last those with fewer steps alone."""
    cells = [Cell(name=BARE, kind="bare"), *DESIGNS[study.study.design](study)]
    return [*_each_once(cells), *_plain(study.study.plain_steps)]


def full_stack(cells: Sequence[Cell]) -> Cell | None:
    """The cell with all accelerators, in the recipe's order; None in a sweep, where many have."""
    stacks = [cell for cell in cells if cell.kind == "stack" and not cell.settings]
    return max(stacks, key=lambda cell: len(cell.accelerators), default=None)


def singles(cells: Iterable[Cell]) -> list[Cell]:
    """The cells with one accelerator."""
    return [
        cell
        for cell in cells
        if cell.kind == "stack" and len(cell.accelerators) == 1 and not cell.settings
    ]


def showcase_cells(cells: Sequence[Cell]) -> list[str]:
    """Names of the cells whose videos are worth showing side by side.

    They are the bare one, the full stack and each accelerator alone; of a sweep or of orders, a
    few from end to end. Those with fewer steps are shown where there is room.
    """
    stacks = [cell for cell in cells if cell.kind == "stack"]
    if len({frozenset(cell.uses) for cell in stacks}) < len(stacks):
        shown = _spread(stacks, MOST_ALIKE_SHOWN)
    else:
        full = full_stack(cells)
        shown = [*([full] if full else []), *singles(cells)]
    bare = [cell for cell in cells if cell.kind == "bare"]
    plain = [cell for cell in cells if cell.kind == "plain_steps"]
    names = list(dict.fromkeys(cell.name for cell in [*bare, *shown]))
    room = len(names) + len(plain) <= MOST_SHOWN
    return [*names, *(cell.name for cell in plain)] if room else names


def _full(study: Study) -> Iterator[Cell]:
    for count in range(1, len(study.accelerators) + 1):
        yield from _subsets(study, count)


def _one_at_a_time(study: Study) -> Iterator[Cell]:
    yield from _subsets(study, 1)
    yield from _whole(study)


def _pairs(study: Study) -> Iterator[Cell]:
    yield from _subsets(study, 1)
    yield from _subsets(study, 2)
    yield from _whole(study)


def _order(study: Study) -> Iterator[Cell]:
    for items in itertools.permutations(study.accelerators):
        if items:
            yield _stack(items, " then ")


def _sweep(study: Study) -> Iterator[Cell]:
    content = {
        "accelerators": [item.model_dump(exclude_unset=True) for item in study.accelerators],
        "sampling": study.sampling.arguments(),
    }
    base = gather(content)
    for settings in combinations(study.study.sweep):
        recipe = Recipe.of(with_settings(base, settings))
        swept = [path.removeprefix(CALL) for path in settings if path.startswith(CALL)]
        call = recipe.sampling.arguments()
        yield Cell(
            name=named(settings),
            kind="stack",
            accelerators=recipe.accelerators,
            sampling={name: call[name] for name in swept},
            settings=settings,
        )


DESIGNS: dict[str, Callable[[Study], Iterator[Cell]]] = {
    "full": _full,
    "one-at-a-time": _one_at_a_time,
    "pairs": _pairs,
    "order": _order,
    "sweep": _sweep,
}


def _subsets(study: Study, count: int) -> Iterator[Cell]:
    yield from map(_stack, itertools.combinations(study.accelerators, count))


def _whole(study: Study) -> Iterator[Cell]:
    if study.accelerators:
        yield _stack(study.accelerators)


def _stack(items: Sequence[AcceleratorOptions], between: str = " + ") -> Cell:
    name = between.join(item.use for item in items)
    return Cell(name=name, kind="stack", accelerators=list(items))


def _plain(steps: Iterable[int]) -> Iterator[Cell]:
    for count in sorted(steps, reverse=True):
        call: dict[str, Any] = {"num_inference_steps": count}
        name = f"{count} plain step{'s' * (count > 1)}"
        yield Cell(name=name, kind="plain_steps", sampling=call)


def _each_once(cells: Iterable[Cell]) -> list[Cell]:
    """Without cells that compute what an earlier one does: they would be measured twice."""
    found: list[Cell] = []
    for cell in cells:
        if not any(_same(cell, other) for other in found):
            found.append(cell)
    return found


def _same(one: Cell, other: Cell) -> bool:
    return one.name == other.name or (one.accelerators, one.sampling, one.kind) == (
        other.accelerators,
        other.sampling,
        other.kind,
    )


def _spread(cells: Sequence[Cell], count: int) -> list[Cell]:
    """As many, evenly from the first to the last."""
    if len(cells) <= count:
        return list(cells)
    return [cells[round(index * (len(cells) - 1) / (count - 1))] for index in range(count)]
