"""A tuning from its recipe to its front."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median
from typing import Any

from sraccel.files import output_folder
from sraccel.models.shared import shared_loading
from sraccel.recipe.recipe import Recipe
from sraccel.report.origin import Source
from sraccel.study.runs.judging import KeptFrames
from sraccel.tuning.bench import Bench, Runner, blocks_of
from sraccel.tuning.candidate import Candidate, shipped
from sraccel.tuning.candidate_runner import CandidateRunner
from sraccel.tuning.cliffs import Cliffs
from sraccel.tuning.confirming import Confirming
from sraccel.tuning.front import Point
from sraccel.tuning.outcome import Cliff, Measured, Outcome, TriedPoint
from sraccel.tuning.prepared import Prepared, call_of, prepare
from sraccel.tuning.search import FEW, Search, optuna
from sraccel.tuning.store import TuningStore
from sraccel.tuning.verdict import rival_ahead, verdict_of
from sraccel.tuning.wanted import Wanted
from sraccel.tuning.watcher import Watcher
from sraccel.tuning.writing import write

SEARCH_SHARE, CONFIRM_SHARE = 0.55, 0.9
"""Of the budget, until when there are new trials, and new held-out prompts."""


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
    arguments = call_of(pipe, loaded, call)
    heard = watcher or Watcher()
    with shared_loading():
        prepared = prepare(pipe, loaded, wanted, arguments, sources)
        folder = output_folder(out)
        with TuningStore.opened(folder, prepared.header) as store:
            kept = KeptFrames(folder / "frames")
            runner = CandidateRunner(pipe, arguments, wanted.goal, kept, heard.step)
            runner.bare_seconds |= store.bare_seconds()
            return Tuning(runner, prepared, loaded, folder, wanted, store, heard).run()


@dataclass
class Tuning:
    """A tuning whose runs anything makes.

    Attributes:
        runner: makes them.
        prepared: header and space.
        recipe: that is tuned.
        folder: for the runs and the front.
        wanted: quality, prompts, budget.
        store: of the folder, opened with the header.
        watcher: hears how it goes.
    """

    runner: Runner
    prepared: Prepared
    recipe: Recipe
    folder: Path
    wanted: Wanted
    store: TuningStore
    watcher: Watcher
    cliffs: dict[str, list[Cliff]] = field(default_factory=dict, init=False)
    first: list[Candidate] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        wanted, self.space = self.wanted, self.prepared.space
        self.shipped = shipped(self.recipe)
        blocks = blocks_of([*wanted.tuning, *wanted.held_out], wanted.seed)
        self.bench = Bench(self.runner, wanted.goal, self.store, blocks, self.watcher)
        self.search = Search(self.bench, self.space, wanted.tuning, wanted.memory)
        self.confirming = Confirming(self.bench, wanted.held_out, self.space, wanted.memory)

    def run(self) -> Outcome:
        """All phases; what there is is written, however they end."""
        self.first = [self.shipped, *self.confirming.fewer_steps()]
        self.search.tried |= {one.key: one for one in self.first}
        self.search.go_on(self.folder)
        self.watcher.planned(self.space.tuned, dict(self.space.left_out), self.bench.spent)
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
        self.bench.make(
            self.search.line(candidate)
            for candidate in self.first
            if candidate is self.shipped or self.bench.spent < until
        )
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
            if self.bench.spent >= self.wanted.budget:
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

    def _of(self, one: Measured) -> list[Cliff] | None:
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
        points = [*tuned, *(one for one in others if one is not None)]
        verdict, said = verdict_of(self.confirming, best, shipped_one)
        study = self.prepared.header.study
        return Outcome(
            date=datetime.now(UTC).date().isoformat(),
            goal=str(self.wanted.goal),
            memory=self.wanted.memory,
            verdict=verdict,
            said=said,
            best=best.name if best is not None else None,
            points=points,
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
            warnings=list(self._warnings(best, points)),
        )

    def _warnings(self, best: Measured | None, points: Sequence[Measured]) -> Iterator[str]:
        if best is not None and not best.meets:
            memory = self.wanted.memory
            limit = "" if memory is None else f" within {memory / 1e9:.3g} GB"
            yield f"nothing that was tried has {self.wanted.goal}{limit} on held-out prompts"
        if ahead := rival_ahead(best, points):
            yield ahead

    def _tried(self) -> Iterator[TriedPoint]:
        for key, candidate in self.search.tried.items():
            found = [self.store.find(key, prompt) for prompt in self.wanted.tuning]
            runs = [run for run in found if run is not None and run.quality is not None]
            if runs:
                yield TriedPoint(
                    label=candidate.label,
                    speedup=median(run.speedup for run in runs),
                    quality=fmean(run.quality or 0.0 for run in runs),
                    prompts=len(runs),
                )
