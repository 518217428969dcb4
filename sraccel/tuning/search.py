"""The trials: candidates are drawn, stopped early where a few prompts say enough, and compared."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

from sraccel.errors import PluginError
from sraccel.tuning.bench import Bench
from sraccel.tuning.candidate import Candidate, Missing
from sraccel.tuning.front import Point, front, is_dominated
from sraccel.tuning.space import Space
from sraccel.tuning.store import TuningRun, fits

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
        tried: by key, every candidate that was begun.
    """

    bench: Bench
    space: Space
    prompts: Sequence[str]
    memory: int | None = None
    tried: dict[str, Candidate] = field(default_factory=dict)
    _under_way: set[str] = field(default_factory=set, init=False)

    def run(self, folder: Path, until: float, most: int | None) -> None:
        """Try candidates until so many seconds were spent, as many at a time as are run at a time.

        Args:
            folder: where Optuna's journal is; trials go on there.
            until: seconds.
            most: trials at most, those of earlier calls included; None: no limit.
        """
        self.bench.make(self._trials(self._study(folder), until, most))

    def _trials(self, study: Any, until: float, most: int | None) -> Iterator[Iterator[Missing]]:
        """The runs of each trial; the next trial is drawn when it can begin."""
        repeats = 0
        while self.bench.spent < until and repeats < REPEATS and not _enough(study, most):
            trial = study.ask()
            candidate = self.space.draw(trial)
            trial.set_user_attr("accelerators", candidate.accelerators)
            repeats = repeats + 1 if candidate.key in self.tried else 0
            yield self._trial(study, trial, candidate)

    def _trial(self, study: Any, trial: Any, candidate: Candidate) -> Iterator[Missing]:
        if candidate.key in self._under_way:  # on another device, whose trial will say what it is
            study.tell(trial, state=optuna().trial.TrialState.FAIL)
            return
        self._under_way.add(candidate.key)
        yield from self.line(candidate)
        self._under_way.remove(candidate.key)
        self._tell(study, trial, candidate)
        best = self.best()
        said = "" if best is None else f"{best.speedup:.2f}x, {best.quality:.4g}"
        self.bench.watcher.trial(len(study.trials), said)

    def line(self, candidate: Candidate) -> Iterator[Missing]:
        """The runs of a candidate: on a few prompts, where these say enough, or until it fails."""
        self.tried.setdefault(candidate.key, candidate)
        for number, prompt in enumerate(self.prompts, 1):
            yield from self.bench.missing(candidate, prompt)
            runs = self.bench.runs(candidate, self.prompts[:number])
            if runs[-1].error is not None:
                return
            if number == min(FEW, len(self.prompts) - 1) and self._hopeless(runs):
                return

    def points(self) -> list[Point]:
        """Of candidates that were run on all prompts."""
        found = []
        for candidate in self.tried.values():
            done = self._finished(candidate, self.prompts)
            if done and fits(done, self.memory):
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
            )
        study.sampler = self._sampler(package, len(study.trials))
        for trial in study.get_trials(states=(package.trial.TrialState.RUNNING,)):
            study.tell(trial.number, state=package.trial.TrialState.FAIL)
            study.enqueue_trial(trial.params)
        return study

    def _sampler(self, package: Any, seed: int) -> Any:
        """Tree-structured Parzen estimators, which know conditional options, a limit, and what is
        tried meanwhile.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", package.exceptions.ExperimentalWarning)
            return package.samplers.TPESampler(
                multivariate=True,
                group=True,
                constant_liar=True,
                seed=seed,
                n_startup_trials=STARTUP_TRIALS,
            )

    def _tell(self, study: Any, trial: Any, candidate: Candidate) -> None:
        """Give Optuna the values, of a few prompts where it was stopped: they say where not to go.

        (Optuna's own pruning is for one objective.)
        """
        runs = self.bench.runs(candidate, self.prompts)
        if any(run.error is not None for run in runs):
            study.tell(trial, state=optuna().trial.TrialState.FAIL)
            return
        point = self._point(candidate, runs)
        trial.set_constraint("limits", -self._slack(candidate, point))
        study.tell(trial, [point.speedup, point.goodness])

    def _slack(self, candidate: Candidate, point: Point) -> float:
        """Above or at 0 where quality and memory are within their limits."""
        if not fits(self.bench.runs(candidate, self.prompts), self.memory):
            return -1.0
        return self.bench.goal.slack(point.quality)

    def _hopeless(self, runs: Sequence[TuningRun]) -> bool:
        """Whether the limits are missed clearly, or another one is better in both on the same."""
        goal = self.bench.goal
        quality = fmean(run.quality or 0.0 for run in runs)
        if goal.slack(quality) < -TOLERANCE * abs(goal.limit) or not fits(runs, self.memory):
            return True
        prompts = [run.prompt for run in runs]
        here = self._point(Candidate(accelerators=[]), runs)
        others = [one.candidate for one in self.points()]
        found = [self._point(one, self._finished(one, prompts)) for one in others]
        return is_dominated(here, found, TOLERANCE)

    def _finished(self, candidate: Candidate, prompts: Sequence[str]) -> list[TuningRun]:
        """Its runs on prompts; none if one of them failed or is missing."""
        runs = self.bench.runs(candidate, prompts)
        done = len(runs) == len(prompts) and all(run.error is None for run in runs)
        return runs if done else []

    def _point(self, candidate: Candidate, runs: Sequence[TuningRun]) -> Point:
        quality = fmean(run.quality or 0.0 for run in runs)
        speedup = median(run.speedup for run in runs)
        return Point(candidate, speedup, quality, self.bench.goal.goodness(quality))


def _enough(study: Any, most: int | None) -> bool:
    """Whether so many trials were drawn; what was broken off and taken up again counts once."""
    trials = study.get_trials(deepcopy=False)
    taken_up = [trial for trial in trials if "fixed_params" in trial.system_attrs]
    if any(trial.state == optuna().trial.TrialState.WAITING for trial in taken_up):
        return False
    return most is not None and len(trials) - len(taken_up) >= most
