"""A study on a pipeline: what is to be run, and what runs it."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sraccel.errors import ConflictError, RecipeError
from sraccel.loop.clock import median
from sraccel.study.cell import Block, Cell, CellRun, Wanted
from sraccel.study.plan.design import cells_of
from sraccel.study.plan.study import Study
from sraccel.study.runs.cell_runner import Again, CellRunner, Take, check_call
from sraccel.study.runs.watcher import CellForecast, StudyForecast, Watcher

if TYPE_CHECKING:
    from sraccel.loop.denoiser_adapter import DenoiserAdapter
    from sraccel.study.plan.plan import Plan


class Runner(Protocol):
    """What makes runs: a `CellRunner` here, or workers elsewhere; its methods are documented there.

    Attributes:
        refused: why a cell cannot run at all, by its name.
    """

    @property
    def refused(self) -> dict[str, str]: ...

    def steps(self, cell: Cell) -> int: ...

    def warm_up(self, block: Block) -> None: ...

    def warm_call_seconds(self, cell: Cell) -> float | None: ...

    def slow(self) -> list[str]: ...

    def make(self, blocks: Iterable[Iterator[Wanted]], take: Take, again: Again) -> None: ...


@dataclass
class Experiment:
    """A study, and what makes its runs.

    Attributes:
        study: the recipe and its plan.
        cells: all, the bare one first.
        runner: makes them.
        blocks: in order: all prompts with the first seed, then with the next one.
        watcher: hears how it goes.
    """

    study: Study
    cells: list[Cell]
    runner: Runner
    blocks: list[Block]
    watcher: Watcher

    @classmethod
    def of(
        cls,
        pipe: Any,
        source: Any,
        call: Mapping[str, Any],
        watcher: Watcher,
        adapters: Sequence[DenoiserAdapter],
    ) -> Experiment:
        """A study on a pipeline: everything that can be known before a model is asked.

        Raises:
            RecipeError: the study is not valid, or names no prompts.
            ModelError: the call cannot be made.
        """
        study = Study.load(source)
        runner = cell_runner_of(pipe, study, call, watcher, adapters)
        made = cls.under(runner, study, watcher)
        made.check_steps()
        return made

    @classmethod
    def under(cls, runner: Runner, study: Study, watcher: Watcher) -> Experiment:
        """A study whose runs anything makes.

        Raises:
            RecipeError: it names no prompts.
        """
        plan = study.study
        if not plan.prompts:
            raise RecipeError("the study has no prompts: name a file, or list them")
        blocks = [Block(prompt, seed) for seed in plan.seeds for prompt in plan.prompts]
        return cls(study, cells_of(study), runner, blocks, watcher)

    @property
    def plan(self) -> Plan:
        """How often, how precisely, how long."""
        return self.study.study

    @property
    def names(self) -> list[str]:
        """Of the cells."""
        return [cell.name for cell in self.cells]

    @property
    def accelerators(self) -> list[str]:
        """Names of the recipe's, in order."""
        return [item.use for item in self.study.accelerators]

    def check_steps(self) -> None:
        """Refuse plain steps that are no fewer than those of the bare cell."""
        usual = self.runner.steps(self.cells[0])
        for cell in self.cells:
            if cell.kind == "plain_steps" and self.runner.steps(cell) >= usual:
                raise RecipeError(
                    f"plain steps are for fewer steps than the {usual} of the bare pipeline, not "
                    f"{self.runner.steps(cell)}"
                )

    def check_something_runs(self) -> None:
        """Refuse a study of which no accelerated cell can run.

        Raises:
            ConflictError: with the reason of each.
        """
        stacks = [cell.name for cell in self.cells if cell.kind == "stack"]
        refused = self.runner.refused
        if stacks and all(name in refused for name in stacks):
            listed = "".join(f"\n  {name}: {refused[name]}" for name in stacks)
            raise ConflictError(f"no accelerated cell of the study can run:{listed}")

    def order(self, block: Block, repeat: int) -> list[str]:
        """The cells in the order in which they are run: random, but the same when going on."""
        shuffled = random.Random(f"{block.prompt} {block.seed} {repeat}")
        return shuffled.sample(self.names, len(self.cells))

    def forecast(self, runs: Sequence[CellRun]) -> StudyForecast:
        """Cells, runs and seconds.

        Args:
            runs: all that are on disk.
        """
        taken: dict[str, list[float]] = defaultdict(list)
        for run in runs:
            if run.call_seconds is not None:
                taken[run.cell].append(run.call_seconds)
        cells = [self._forecast(cell, taken.get(cell.name)) for cell in self.cells]
        return StudyForecast(
            cells, len(self.blocks), self.plan.repeats, len(runs), self.plan.budget
        )

    def _forecast(self, cell: Cell, taken: Sequence[float] | None) -> CellForecast:
        """By the times of its finished runs if there are any, else by the warm-up."""
        return CellForecast(
            cell.name,
            self.runner.steps(cell),
            median(taken) if taken else self.runner.warm_call_seconds(cell),
            taken is not None,
            self.runner.refused.get(cell.name),
        )

    def facts(self) -> dict[str, Any]:
        """What a report says of the study, besides its runs; as JSON."""
        study = self.study
        return {
            "name": study.name,
            "description": study.description,
            "recipe": study.model_dump(
                mode="json", fallback=lambda value: f"<{type(value).__name__}>", exclude={"study"}
            ),
            "plan": self.plan.model_dump(mode="json"),
            "accelerators": self.accelerators,
            "claims_no_speed": self.runner.slow(),
        }


def cell_runner_of(
    pipe: Any,
    study: Study,
    call: Mapping[str, Any],
    watcher: Watcher,
    adapters: Sequence[DenoiserAdapter],
) -> CellRunner:
    """What runs the cells of a study on a pipeline, nothing composed yet.

    Raises:
        ModelError: the call cannot be made.
    """
    given = {**study.sampling.arguments(), **call}
    arguments = {name: value for name, value in given.items() if value is not None}
    check_call(pipe, arguments)
    return CellRunner(pipe, cells_of(study), arguments, adapters, watcher.step)
