"""Candidates side by side: what was measured of them, what is missing, and having it made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from sraccel.errors import ConflictError
from sraccel.study.cell import Block
from sraccel.tuning.candidate import BARE, Candidate, Missing
from sraccel.tuning.goal import Goal
from sraccel.tuning.store import TuningRun, TuningStore
from sraccel.tuning.watcher import Watcher

Take = Callable[[Missing, "TuningRun | str | None"], object]
"""Keeps what came of a run: None if it was known, the text of an error if it cost its workers."""
Again = Callable[[Missing, Iterator[Missing]], Iterator[Missing]]
"""A line whose device is lost, from the run on that was under way there."""
Begun = Callable[[str], object]
"""Hears the label of a run that begins."""


class Runner(Protocol):
    """What makes runs: a `CandidateRunner` here, or workers elsewhere.

    Attributes:
        workers: how many runs are made at a time.
    """

    @property
    def workers(self) -> int: ...

    def make(
        self, lines: Iterable[Iterator[Missing]], take: Take, again: Again, begun: Begun
    ) -> None:
        """Make the runs of lines, each line on one device; the next run of a line is asked for
        when the one before was taken."""


@dataclass
class Bench:
    """Has candidates run, and remembers what was run; it alone writes the store.

    Attributes:
        runner: makes runs.
        goal: whose metric is measured.
        store: where runs are kept.
        blocks: by prompt, with its seed.
        watcher: hears of runs.
    """

    runner: Runner
    goal: Goal
    store: TuningStore
    blocks: dict[str, Block]
    watcher: Watcher

    @property
    def spent(self) -> float:
        """Seconds that all runs took, shared out among the workers."""
        return self.store.spent / self.runner.workers

    def make(self, lines: Iterable[Iterator[Missing]]) -> None:
        """Make runs, each on the disk before the next one of its line begins.

        Raises:
            OutputError: a run cannot be kept; those before it are.
            ConflictError: workers die; else as `CandidateRunner.attempt`.
        """
        self.runner.make(lines, self._take, self._again, self._begun)

    def missing(self, candidate: Candidate, prompt: str) -> Iterator[Missing]:
        """The run of a candidate on a prompt, unless it is there, behind the bare one beside it."""
        if self.store.find(candidate.key, prompt) is None:
            yield Missing(BARE, self.blocks[prompt])
            if candidate.key != BARE.key:
                yield Missing(candidate, self.blocks[prompt])

    def runs(self, candidate: Candidate, prompts: Sequence[str]) -> list[TuningRun]:
        """Of a candidate, on those of the prompts on which it was run."""
        found = [self.store.find(candidate.key, prompt) for prompt in prompts]
        return [run for run in found if run is not None]

    def _take(self, missing: Missing, run: TuningRun | str | None) -> None:
        if isinstance(run, str):
            if missing.is_bare:
                raise ConflictError(f"the bare pipeline does not finish its run: {run}")
            key, (prompt, seed) = missing.candidate.key, missing.block
            run = TuningRun(candidate=key, prompt=prompt, seed=seed, spent=0.0, error=run)
        if run is not None:
            self.store.add(run)

    def _again(self, lost: Missing, line: Iterator[Missing]) -> Iterator[Missing]:
        """The run anew, unless it was given up, beside a bare one of the new device; then on."""
        yield Missing(BARE, lost.block)
        if self.store.find(lost.candidate.key, lost.block.prompt) is None:
            yield lost
        yield from line

    def _begun(self, label: str) -> None:
        self.watcher.run(label, self.spent)


def blocks_of(prompts: Sequence[str], seed: int) -> dict[str, Block]:
    """Each prompt with a seed of its own."""
    return {prompt: Block(prompt, seed + number) for number, prompt in enumerate(prompts)}
