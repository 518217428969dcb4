"""What is known of a tuning once its pipeline is loaded, before anything is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sraccel.composer import compose
from sraccel.errors import ModelError
from sraccel.models.arguments import defaults_of
from sraccel.recipe.recipe import Recipe
from sraccel.report.origin import Source, sources_of
from sraccel.study.cell import BARE, Cell
from sraccel.study.runs.cell_runner import check_call
from sraccel.study.runs.header import header_of
from sraccel.tuning.candidate import shipped
from sraccel.tuning.space import Space
from sraccel.tuning.store import TuningHeader
from sraccel.tuning.survey import Survey
from sraccel.tuning.wanted import Wanted


@dataclass(frozen=True)
class Prepared:
    """What must not change from call to call, and what is searched; plain data."""

    header: TuningHeader
    space: Space


def call_of(pipe: Any, recipe: Recipe, call: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that all runs share.

    Raises:
        ModelError: the call is not possible.
    """
    given = {**recipe.sampling.arguments(), **call}
    arguments = {name: value for name, value in given.items() if value is not None}
    check_call(pipe, arguments)
    return {"num_inference_steps": defaults_of(pipe)["num_inference_steps"], **arguments}


def prepare(
    pipe: Any,
    recipe: Recipe,
    wanted: Wanted,
    call: dict[str, Any],
    sources: Sequence[Source] | None,
) -> Prepared:
    """Compose all that may be tried; nothing is written, and nothing stays on the pipeline.

    Raises:
        RecipeError: the recipe holds what no file can hold, or nothing of it can be tuned.
        ModelError: `memory` is given without a CUDA device.
    """
    first = shipped(recipe)
    cells = [
        Cell(name=BARE, kind="bare"),
        Cell(name="shipped", kind="stack", accelerators=first.accelerators),
    ]
    stacks = {cell.name: compose(pipe, cell.accelerators) for cell in cells}
    for stack in stacks.values():
        stack.logs_warnings = False
    if wanted.memory is not None and stacks[BARE].device.type != "cuda":
        raise ModelError(
            "a limit of memory takes a CUDA device: elsewhere the peak of one run is not known"
        )
    given = list(sources_of([], recipe) if sources is None else sources)
    steps = int(call["num_inference_steps"])
    space = Survey(pipe, first, steps, wanted.memory is not None).space()
    header = TuningHeader(
        study=header_of(pipe, cells, stacks, given, call),
        goal=str(wanted.goal),
        memory=wanted.memory,
        tuning=list(wanted.tuning),
        held_out=list(wanted.held_out),
        seed=wanted.seed,
        searched=space.tuned,
    )
    return Prepared(header, space)
