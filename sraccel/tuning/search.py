"""The trials: candidates are drawn, stopped early where a few prompts say enough, and compared."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

from sraccel.errors import PluginError
from sraccel.tuning.bench import Bench
from sraccel.tuning.candidate import Candidate
from sraccel.tuning.front import Point, front, is_dominated
from sraccel.tuning.space import Space
from sraccel.tuning.store import TuningRun

FILE = "trials.log"
FEW = 2
"""Prompts after which a candidate may be stopped."""
TOLERANCE = 0.05
"""Relative; on a few prompts, a limit that is missed by no more than this may still be met."""
STARTUP_TRIALS = 12
REPEATS = 25
"""So many candidates in a row that were measured before: there is nothing new to be found."""
ADVICE = "pip install 'sraccel[tune]'"


def optuna() -> Any:
    """The package.

    Raises:
        PluginError: it is not installed; with the command that installs it.
    """
    try:
        import optuna as package
    except ImportError:
        raise PluginError(f"tuning needs the package optuna: {ADVICE}") from None
    package.logging.set_verbosity(package.logging.ERROR)
    return package


@dataclass
class Search:
    """The trials of a tuning.

    Attributes:
        bench: runs candidates.
        space: what may be tried.
        prompts: those that choose.
        memory: limit in bytes, or None.
        tried: by key, every candidate that was run on all prompts or stopped.
    """

    bench: Bench
    space: Space
    prompts: Sequence[str]
    memory: int | None = None
    tried: dict[str, Candidate] = field(default_factory=dict)

    def run(self, folder: Path, until: float, most: int | None) -> None:
        """Try candidates until the store has spent so many seconds.

        Args:
            folder: where Optuna's journal is; trials go on there.
            until: seconds.
            most: trials at most, those of earlier calls included; None: no limit.
        """
        study = self._study(folder)
        repeats = 0
        while self.bench.store.spent < until and repeats < REPEATS:
            if most is not None and len(study.trials) >= most:
                break
            trial = study.ask()
            candidate = self.space.draw(trial)
            repeats = repeats + 1 if candidate.key in self.tried else 0
            trial.set_user_attr("accelerators", candidate.accelerators)
            self._tell(study, trial, candidate, self.trial(candidate))
            best = self.best()
            said = "" if best is None else f"{best.speedup:.2f}x, {best.quality:.4g}"
            self.bench.watcher.trial(len(study.trials), said)

    def trial(self, candidate: Candidate) -> Point | None:
        """What a candidate gives; of a few prompts, where these say enough. None: it failed."""
        self.tried.setdefault(candidate.key, candidate)
        runs: list[TuningRun] = []
        for number, prompt in enumerate(self.prompts):
            runs.append(self.bench.measured(candidate, prompt))
            if runs[-1].error is not None:
                return None
            if number + 1 == min(FEW, len(self.prompts) - 1) and self._hopeless(runs):
                break
        return self._point(candidate, runs)

    def points(self) -> list[Point]:
        """Of candidates that were run on all prompts."""
        found = []
        for candidate in self.tried.values():
            runs = [self.bench.store.find(candidate.key, prompt) for prompt in self.prompts]
            done = [run for run in runs if run is not None and run.error is None]
            if len(done) == len(self.prompts) and self._fits(done):
                found.append(self._point(candidate, done))
        return found

    def best(self) -> Point | None:
        """The fastest that is good enough on all prompts."""
        good = [one for one in self.points() if self.bench.goal.met_by(one.quality)]
        return max(good, key=lambda one: one.speedup, default=None)

    def front(self, most: int) -> list[Point]:
        """The best compromises that are good enough, spread over the front, fastest first.

        Where nothing is good enough, the one that comes nearest.
        """
        points = self.points()
        good = [one for one in points if self.bench.goal.met_by(one.quality)]
        if not good:
            return sorted(points, key=lambda one: -one.goodness)[:1]
        found = sorted(front(good), key=lambda one: -one.speedup)
        if len(found) <= most:
            return found
        places = [round(i * (len(found) - 1) / max(most - 1, 1)) for i in range(most)]
        return [found[place] for place in dict.fromkeys(places)]

    def go_on(self, folder: Path) -> None:
        """Note what earlier calls tried."""
        for trial in self._study(folder).trials:
            if "accelerators" in trial.user_attrs:
                candidate = Candidate(accelerators=trial.user_attrs["accelerators"])
                self.tried.setdefault(candidate.key, candidate)

    def _study(self, folder: Path) -> Any:
        """Optuna's study, in its journal; trials that were broken off are taken up again."""
        package = optuna()
        journal = package.storages.journal
        backend = journal.JournalFileBackend(str(folder / FILE))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", package.exceptions.ExperimentalWarning)
            study = package.create_study(
                storage=journal.JournalStorage(backend),
                study_name="tuning",
                directions=["maximize", "maximize"],
                load_if_exists=True,
                sampler=self._sampler(package),
            )
        running = package.trial.TrialState.RUNNING
        for trial in study.get_trials(states=(running,)):
            study.tell(trial.number, state=package.trial.TrialState.FAIL)
            study.enqueue_trial(trial.params, skip_if_exists=True)
        return study

    def _sampler(self, package: Any) -> Any:
        """Tree-structured Parzen estimators, which know conditional options and a limit."""
        return package.samplers.TPESampler(
            multivariate=True,
            group=True,
            seed=len(self.bench.store.runs),
            n_startup_trials=STARTUP_TRIALS,
        )

    def _tell(self, study: Any, trial: Any, candidate: Candidate, point: Point | None) -> None:
        """Give Optuna the values, of a few prompts where it was stopped: they say where not to go.

        (Optuna's own pruning is for one objective.)
        """
        if point is None:
            study.tell(trial, state=optuna().trial.TrialState.FAIL)
            return
        trial.set_constraint("limits", -self._slack(candidate, point))
        study.tell(trial, [point.speedup, point.goodness])

    def _slack(self, candidate: Candidate, point: Point) -> float:
        """Above or at 0 where quality and memory are within their limits."""
        runs = [self.bench.store.find(candidate.key, prompt) for prompt in self.prompts]
        if not self._fits([run for run in runs if run is not None]):
            return -1.0
        return self.bench.goal.slack(point.quality)

    def _fits(self, runs: Sequence[TuningRun]) -> bool:
        return self.memory is None or all((run.peak_memory or 0) <= self.memory for run in runs)

    def _hopeless(self, runs: Sequence[TuningRun]) -> bool:
        """Whether the limits are missed clearly, or another one is better in both on the same."""
        goal = self.bench.goal
        quality = fmean(run.quality or 0.0 for run in runs)
        if goal.slack(quality) < -TOLERANCE * abs(goal.limit) or not self._fits(runs):
            return True
        prompts = [run.prompt for run in runs]
        here = self._point(Candidate(accelerators=[]), runs)
        others = [self._on(one.candidate, prompts) for one in self.points()]
        return is_dominated(here, [one for one in others if one is not None], TOLERANCE)

    def _on(self, candidate: Candidate, prompts: Sequence[str]) -> Point | None:
        runs = [self.bench.store.find(candidate.key, prompt) for prompt in prompts]
        done = [run for run in runs if run is not None and run.error is None]
        return self._point(candidate, done) if len(done) == len(prompts) else None

    def _point(self, candidate: Candidate, runs: Sequence[TuningRun]) -> Point:
        quality = fmean(run.quality or 0.0 for run in runs)
        speedup = median(self.bench.speedup(run) for run in runs)
        return Point(candidate, speedup, quality, self.bench.goal.goodness(quality))
