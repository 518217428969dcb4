"""The subsets of a recipe's accelerators, predicted on one set of measurements."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.comparison.prediction import kinds_needed
from sraccel.errors import ConflictError, ModelError
from sraccel.models.step_callback import Progress
from sraccel.prediction.bench_result import Bench, Row
from sraccel.prediction.decisions import Decisions, Given, decisions_of
from sraccel.prediction.measurements_file import MeasurementsFile
from sraccel.prediction.measuring import Built, Measurement, builds_of, measure
from sraccel.prediction.predict import ROUNDS, SAMPLES, holds, prediction_of
from sraccel.prediction.replay import replayed
from sraccel.prediction.target import described
from sraccel.prediction.workbench import Workbench, workbench
from sraccel.recipe.recipe import Recipe
from sraccel.report.build import environment, versions

if TYPE_CHECKING:
    from sraccel.comparison.costs import Kind
    from sraccel.loop.stack import Stack
    from sraccel.models.loading import Device, DType
    from sraccel.prediction.prediction import Prediction
    from sraccel.report.model import Report

MOST_SUBSETS_OF = 5
"""Accelerators of which all subsets are shown; of more: each alone, pairs, and all."""


def bench(
    recipe: Any,
    model: str,
    *,
    folder: Path | None = None,
    given: Given | None = None,
    few_blocks: bool | None = None,
    rounds: int = ROUNDS,
    samples: int = SAMPLES,
    dtype: DType = "auto",
    device: Device = "auto",
    progress: Progress | None = None,
    **call: Any,
) -> Bench:
    """What each subset of a recipe's accelerators is worth on this machine.

    Arguments and errors as `sraccel.prediction.predict.predict`, and:

    Args:
        folder: where measurements are written as they come; what is there is not measured again.

    Raises:
        OutputError: the folder holds measurements of something else, or cannot be written.
    """
    checked = Recipe.load(recipe)
    with workbench(checked, model, call, dtype=dtype, device=device, progress=progress) as place:
        run = _Run(place, checked, given or Given(), few_blocks)
        store = None
        if folder is not None:
            store = MeasurementsFile(folder, {**run.conditions(), "samples": samples})
        measured = measure(
            run.build,
            run.whole,
            run.kinds(),
            run.builds,
            rounds=rounds,
            samples=samples,
            done=[] if store is None else [one for one in store.done if one.round < rounds],
            store=(lambda one: None) if store is None else store.add,
        )
        return run.result(measured, rounds)


class _Run:
    """The subsets of one recipe, composed; and the first pipeline, which the dry run took."""

    def __init__(
        self, place: Workbench, recipe: Recipe, given: Given, few_blocks: bool | None
    ) -> None:
        self._place = place
        self._recipe = recipe
        self._given = given
        self.whole = place.stack()
        few = few_blocks if few_blocks is not None else not holds(place, self.whole)
        self.builds = builds_of(self.whole, few)
        self._first: Built | None = place.build(self.whole, next(iter(self.builds.values())))
        self._arguments = self._first.call.arguments
        self._refused: dict[tuple[str, ...], str] = {}
        self._subsets = dict(self._composed())

    def _composed(self) -> Iterator[tuple[tuple[str, ...], tuple[Stack, Report, Decisions]]]:
        assert self._first is not None
        names = [item.use for item in self._place.items]
        for subset in subsets(names):
            try:
                stack = self._place.stack(subset)
                asked = self._place.asked_calls(stack, self._first)
                steps = len(asked.steps)
                decided = decisions_of(stack, self._place.model, steps, self._given)
            except (ConflictError, ModelError) as error:
                if subset == tuple(names):
                    raise
                self._refused[subset] = str(error)
                continue
            yield subset, (stack, asked, decided)

    def conditions(self) -> dict[str, Any]:
        """All that decides what is measured."""
        return {
            "recipe": self._recipe.model_dump(mode="json", fallback=str),
            "model": self._place.model,
            "call": described(self._arguments),
            "dtype": str(self._place.dtype),
            "builds": list(self.builds),
            "versions": dict(versions()),
            "environment": environment(self._place.device),
        }

    def build(self, blocks: Any) -> Built:
        """A pipeline; the first one may be there already."""
        first, self._first = self._first, None
        if first is not None and blocks is next(iter(self.builds.values())):
            return first
        return self._place.build(self.whole, blocks)

    def kinds(self) -> set[Kind]:
        """All kinds of call that any subset makes."""
        found: set[Kind] = set()
        for stack, asked, decided in self._subsets.values():
            found |= kinds_needed(replayed(asked, stack, decided))
        return found

    def result(self, measured: Sequence[Measurement], rounds: int) -> Bench:
        """The table."""
        predictions = {
            subset: prediction_of(
                self._recipe, self._place, stack, decided, asked, measured, self._arguments
            )
            for subset, (stack, asked, decided) in self._subsets.items()
        }
        whole = predictions[tuple(item.use for item in self._place.items)]
        rows = sorted((_row(one) for subset, one in predictions.items() if subset), key=_slowness)
        refused = [
            Row(accelerators=list(subset), refusal=why) for subset, why in self._refused.items()
        ]
        return Bench(
            recipe=whole.recipe,
            model=whole.model,
            sources=whole.sources,
            call=whole.call,
            dtype=whole.dtype,
            rows=[_row(predictions[()]), *rows, *refused],
            memory=whole.memory,
            blocks=whole.blocks,
            rounds=rounds,
            measured=whole.measured,
            assumed=_once(one for each in predictions.values() for one in each.assumed),
            left_out=_once(one for each in predictions.values() for one in each.left_out),
            warnings=whole.warnings,
            versions=whole.versions,
            environment=whole.environment,
        )


def subsets(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Nothing, each alone, pairs, ... all, in the recipe's order; of many, not all between."""
    lengths = range(len(names) + 1)
    if len(names) > MOST_SUBSETS_OF:
        lengths = range(3)
    for length in lengths:
        yield from itertools.combinations(names, length)
    if len(names) > MOST_SUBSETS_OF:
        yield tuple(names)


def _row(prediction: Prediction) -> Row:
    return Row(
        accelerators=prediction.accelerators,
        seconds=prediction.accelerated,
        speedup=prediction.speedup,
        switch_step=prediction.switch_step,
        skipped=prediction.skipped,
        memory=prediction.memory,
        assumed=prediction.assumed,
        left_out=prediction.left_out,
    )


def _slowness(row: Row) -> float:
    return row.seconds.value if row.seconds is not None else float("inf")


def _once(lines: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(lines))
