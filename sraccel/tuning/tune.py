"""A tuning from its recipe to its front."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median
from typing import Any

from sraccel.composer import compose
from sraccel.errors import ModelError, RecipeError
from sraccel.files import output_folder
from sraccel.models.arguments import defaults_of
from sraccel.models.shared import shared_loading
from sraccel.recipe.recipe import Recipe
from sraccel.report.origin import Source, sources_of
from sraccel.study.cell import BARE, Cell
from sraccel.study.runs.cell_runner import check_call
from sraccel.study.runs.header import header_of
from sraccel.study.runs.judging import KeptFrames
from sraccel.tuning.bench import Bench, blocks_of
from sraccel.tuning.candidate import Candidate, shipped
from sraccel.tuning.cliffs import Cliffs
from sraccel.tuning.confirming import LEAST_PROMPTS, Confirming
from sraccel.tuning.front import Point
from sraccel.tuning.goal import Goal
from sraccel.tuning.outcome import Measured, Outcome, TriedPoint
from sraccel.tuning.search import FEW, Search, optuna
from sraccel.tuning.space import Space
from sraccel.tuning.store import TuningHeader, TuningStore
from sraccel.tuning.survey import Survey
from sraccel.tuning.verdict import verdict_of
from sraccel.tuning.watcher import Watcher
from sraccel.tuning.writing import write

SEARCH_SHARE, CONFIRM_SHARE = 0.55, 0.9
"""Of the budget, until when there are new trials, and new held-out prompts."""
MOST_POINTS = 5


@dataclass(frozen=True)
class Wanted:
    """What a tuning is to find, and on what.

    Attributes:
        goal: the quality that is asked for.
        tuning, held_out: prompts that choose, and others that confirm.
        budget: seconds of all runs.
        memory: limit in bytes, of a run's peak; None: no limit.
        seed: of the first prompt's noise.
        trials: most of them; None: as many as the budget allows.
        points: of the front, that are confirmed and written, at most.
    """

    goal: Goal
    tuning: Sequence[str]
    held_out: Sequence[str]
    budget: float
    memory: int | None = None
    seed: int = 0
    trials: int | None = None
    points: int = MOST_POINTS


def split(prompts: Sequence[str], held_out: int | None = None) -> tuple[list[str], list[str]]:
    """Prompts that choose, and those that are held out: the last ones, half of them by default.

    Raises:
        RecipeError: they are too few.
    """
    number = len(prompts) // 2 if held_out is None else held_out
    if number < LEAST_PROMPTS or len(prompts) - number < 1:
        raise RecipeError(
            f"{len(prompts)} prompts, {number} of them held out: tuning takes one or more that "
            f"choose, and {LEAST_PROMPTS} or more that confirm; give a file with more lines"
        )
    return list(prompts[:-number]), list(prompts[-number:])


def tune(
    pipe: Any,
    recipe: Any,
    out: str | Path,
    wanted: Wanted,
    *,
    watcher: Watcher | None = None,
    sources: Sequence[Source] | None = None,
    **call: Any,
) -> Outcome:
    """Search the options that a recipe's and other accelerators declare as tunable.

    Every run is on the disk before the next begins. Calling again with the same arguments goes on
    where an earlier call was stopped; the budget may be another. Writes `tuned-N.yaml`,
    `front.json` and `front.png`; also where it is interrupted.

    Args:
        pipe: a diffusers pipeline that takes `prompt`; it is as it was afterwards.
        recipe: anything that `Recipe.load` takes; what it names beside tunable options stays.
        out: folder for the runs and the front.
        wanted: quality, prompts, budget.
        watcher: hears how it goes.
        sources: models and files that make the videos; by default what the recipe names.
        call: arguments of the pipeline's call, over those of the recipe's `sampling`.

    Raises:
        RecipeError: the recipe is not valid, or nothing of it can be tuned.
        ModelError: the call is not possible; `memory` is given without a CUDA device.
        PluginError: optuna is not installed; an accelerator leaves the pipeline changed.
        ConflictError: the folder holds another tuning.
        OutputError: a run cannot be kept; those before it are.
        KeyboardInterrupt: as it came; what there is has been written.
    """
    optuna()
    loaded = Recipe.load(recipe)
    given = {**loaded.sampling.arguments(), **call}
    arguments = {name: value for name, value in given.items() if value is not None}
    check_call(pipe, arguments)
    arguments.setdefault("num_inference_steps", defaults_of(pipe)["num_inference_steps"])
    with shared_loading():
        first = shipped(loaded)
        header, space = _prepared(pipe, loaded, first, wanted, arguments, sources)
        folder = output_folder(out)
        with TuningStore.opened(folder, header) as store:
            return _Tuning(
                pipe, loaded, first, folder, wanted, store, header, space, arguments,
                watcher or Watcher(),
            ).run()  # fmt: skip


@dataclass
class _Tuning:
    """What belongs to one call."""

    pipe: Any
    recipe: Recipe
    shipped: Candidate
    folder: Path
    wanted: Wanted
    store: TuningStore
    header: TuningHeader
    space: Space
    call: Mapping[str, Any]
    watcher: Watcher
    warnings: list[str] = field(default_factory=list)
    cliffs: dict[str, Any] = field(default_factory=dict)
    first: list[Candidate] = field(default_factory=list)

    def __post_init__(self) -> None:
        wanted = self.wanted
        prompts = [*wanted.tuning, *wanted.held_out]
        self.bench = Bench(
            self.pipe,
            dict(self.call),
            wanted.goal,
            self.store,
            KeptFrames(self.folder / "frames"),
            blocks_of(prompts, wanted.seed),
            self.watcher,
        )
        self.search = Search(self.bench, self.space, wanted.tuning, wanted.memory)
        self.confirming = Confirming(self.bench, wanted.held_out, self.space.steps)

    def run(self) -> Outcome:
        """All phases; what there is is written, however they end."""
        self.first = [self.shipped, *self.confirming.fewer_steps()]
        self.search.tried |= {one.key: one for one in self.first}
        self.search.go_on(self.folder)
        self.watcher.planned(self.space.tuned, dict(self.space.left_out), self.store.spent)
        with self._written():
            self._search()
            self._confirm()
            self._look_for_cliffs()
        return self._write(complete=True)

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            self._write(complete=False)
            raise

    def _search(self) -> None:
        """The shipped recipe and fewer steps first: they show what is to be beaten."""
        self.watcher.phase("searching")
        until = SEARCH_SHARE * self.wanted.budget
        for candidate in self.first:
            if candidate is self.shipped or self.store.spent < until:
                self.search.trial(candidate)
        self.search.run(self.folder, until, self.wanted.trials)

    def _confirm(self) -> None:
        self.watcher.phase("on held-out prompts")
        points = self.search.front(self.wanted.points)
        candidates = [*(one.candidate for one in points), self.shipped, *self._rivals(points)]
        by_key = {one.key: one for one in candidates}
        self.confirming.run(list(by_key.values()), CONFIRM_SHARE * self.wanted.budget)

    def _rivals(self, points: Sequence[Point]) -> list[Candidate]:
        return self.confirming.rivals(points)

    def _look_for_cliffs(self) -> None:
        """Of the fastest point that is good enough first; as far as the budget goes."""
        self.watcher.phase("looking for cliffs")
        seeker = Cliffs(self.bench, self.space, self.wanted.tuning[:FEW])
        for one in self._tuned():
            if self.store.spent >= self.wanted.budget:
                return
            candidate = Candidate(accelerators=one.accelerators)
            self.cliffs[candidate.key] = seeker.beside(candidate)

    def _tuned(self) -> list[Measured]:
        """Points of the front on held-out prompts: good ones first, faster ones first."""
        points = self.search.front(self.wanted.points)
        found = [self.confirming.measured(one.candidate, "", one) for one in points]
        done = [one for one in found if one is not None]
        done.sort(key=lambda one: (not one.meets, -one.speedup.value))
        return [
            one.model_copy(update={"name": f"tuned-{n}", "kind": "tuned", "cliffs": self._of(one)})
            for n, one in enumerate(done, 1)
        ]

    def _of(self, one: Measured) -> Any:
        return self.cliffs.get(Candidate(accelerators=one.accelerators).key)

    def _write(self, complete: bool) -> Outcome:
        outcome = self._outcome(complete)
        write(outcome, self.recipe, self.folder)
        return outcome

    def _outcome(self, complete: bool) -> Outcome:
        tuned = self._tuned()
        name = self.recipe.name or "the recipe"
        shipped_one = self.confirming.measured(self.shipped, name, None)
        rivals = self._rivals(self.search.front(self.wanted.points))
        others = [shipped_one, *(self.confirming.measured(r, r.label, None) for r in rivals)]
        best = tuned[0] if tuned else None
        verdict, said = verdict_of(self.confirming, best, shipped_one)
        study = self.header.study
        return Outcome(
            date=datetime.now(UTC).date().isoformat(),
            goal=str(self.wanted.goal),
            memory=self.wanted.memory,
            verdict=verdict,
            said=said,
            best=best.name if best is not None else None,
            points=[*tuned, *(one for one in others if one is not None)],
            tried=list(self._tried()),
            searched=self.space.tuned,
            left_out=dict(self.space.left_out),
            failed=len({run.candidate for run in self.store.runs if run.error is not None}),
            spent=self.store.spent,
            complete=complete,
            tuning_prompts=list(self.wanted.tuning),
            held_out_prompts=list(self.wanted.held_out),
            seed=self.wanted.seed,
            call=study.call,
            models=study.models,
            versions=study.versions,
            environment=study.environment,
            warnings=self._warnings(best),
        )

    def _warnings(self, best: Measured | None) -> list[str]:
        if best is not None and not best.meets:
            return [f"nothing that was tried has {self.wanted.goal} on held-out prompts"]
        return []

    def _tried(self) -> Iterator[TriedPoint]:
        for key, candidate in self.search.tried.items():
            found = [self.store.find(key, prompt) for prompt in self.wanted.tuning]
            runs = [run for run in found if run is not None and run.quality is not None]
            if runs:
                yield TriedPoint(
                    label=candidate.label,
                    speedup=median(self.bench.speedup(run) for run in runs),
                    quality=fmean(run.quality or 0.0 for run in runs),
                    prompts=len(runs),
                )


def _prepared(
    pipe: Any,
    recipe: Recipe,
    first: Candidate,
    wanted: Wanted,
    call: dict[str, Any],
    sources: Sequence[Source] | None,
) -> tuple[TuningHeader, Space]:
    """What must not change from call to call, and what is searched; nothing is written yet."""
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
    return header, space
