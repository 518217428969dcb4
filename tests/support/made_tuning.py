"""Runs of a tuning that were never made: a real store, with what a test wants to be in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sraccel.study.runs.header import Header
from sraccel.tuning.bench import Bench, blocks_of
from sraccel.tuning.candidate import Candidate
from sraccel.tuning.goal import Goal
from sraccel.tuning.store import TuningHeader, TuningRun, TuningStore
from sraccel.tuning.watcher import Watcher

PROMPTS = ["a", "b", "c"]


class Nothing:
    """A runner for tests in which nothing is missing."""

    workers = 1

    def make(self, lines: Any, *_: Any) -> None:
        """Refuse to make anything."""
        for line in lines:
            assert not list(line), "something is missing"


@contextmanager
def made_bench(folder: Path, goal: str) -> Iterator[Bench]:
    """A bench over an empty store, of three prompts."""
    study = Header(
        pipeline="P", models={}, scheduler={}, sources=[], call={}, cells={}, versions={},
        environment={},
    )  # fmt: skip
    header = TuningHeader(
        study=study, goal=goal, memory=None, tuning=PROMPTS, held_out=PROMPTS, seed=0, searched=[]
    )
    with TuningStore.opened(folder, header) as store:
        yield Bench(Nothing(), Goal.parse(goal), store, blocks_of(PROMPTS, 0), Watcher())


def made(bench: Bench, use: str, seconds: float, quality: float, **more: Any) -> Candidate:
    """A candidate that took so long, of a bare run's 8 seconds, on each prompt."""
    kind = more.pop("kind", "tuned")
    options = {key: more.pop(key) for key in list(more) if key != "peak_memory"}
    candidate = Candidate(accelerators=[{"use": use, **options}], kind=kind)
    for number, prompt in enumerate(PROMPTS):
        figures = {"seconds": seconds, "bare_seconds": 8.0, "quality": quality + 0.01 * number}
        run = {"candidate": candidate.key, "prompt": prompt, "seed": number, "spent": 1.0}
        bench.store.add(TuningRun.model_validate({**run, **figures, **more}))
    return candidate
