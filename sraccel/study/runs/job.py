"""What a study is to run, on which pipeline."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sraccel.errors import ConflictError, RecipeError
from sraccel.study.cell import Block, Cell, CellRun
from sraccel.study.plan.design import cells_of
from sraccel.study.plan.study import Study
from sraccel.study.runs.bench import Bench, check_call
from sraccel.study.runs.forecast import Forecast, cell_forecasts

if TYPE_CHECKING:
    from sraccel.loop.denoiser_adapter import DenoiserAdapter
    from sraccel.study.plan.plan import Plan
    from sraccel.study.runs.watcher import Watcher


class Wanted(NamedTuple):
    """A run: which cell, in which block, in which round (0-based)."""

    cell: str
    block: Block
    repeat: int


@dataclass
class Job:
    """What is to be run.

    Attributes:
        study: the recipe and its plan.
        cells: all, the bare one first.
        bench: runs them.
        blocks: in order: all prompts with the first seed, then with the next one.
        watcher: is told.
    """

    study: Study
    cells: list[Cell]
    bench: Bench
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
    ) -> Job:
        """Everything that can be known before a model is asked.

        Raises:
            RecipeError: the study is not valid, or names no prompts.
            ModelError: the call cannot be made.
        """
        study = Study.load(source)
        plan = study.study
        if not plan.prompts:
            raise RecipeError("the study has no prompts: name a file, or list them")
        given = {**study.sampling.arguments(), **call}
        arguments = {name: value for name, value in given.items() if value is not None}
        check_call(pipe, arguments)
        cells = cells_of(study)
        bench = Bench(pipe, cells, arguments, adapters, watcher.step)
        blocks = [Block(prompt, seed) for seed in plan.seeds for prompt in plan.prompts]
        job = cls(study, cells, bench, blocks, watcher)
        job.check_steps()
        return job

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
        usual = self.bench.steps(self.cells[0])
        for cell in self.cells:
            if cell.kind == "plain_steps" and self.bench.steps(cell) >= usual:
                raise RecipeError(
                    f"plain steps are for fewer steps than the {usual} of the bare pipeline, not "
                    f"{self.bench.steps(cell)}"
                )

    def check_something_runs(self) -> None:
        """Refuse a study of which no accelerated cell can run.

        Raises:
            ConflictError: with the reason of each.
        """
        stacks = [cell.name for cell in self.cells if cell.kind == "stack"]
        refused = self.bench.refused
        if stacks and all(name in refused for name in stacks):
            listed = "".join(f"\n  {name}: {refused[name]}" for name in stacks)
            raise ConflictError(f"no accelerated cell of the study can run:{listed}")

    def order(self, block: Block, repeat: int) -> list[str]:
        """The cells in the order in which they are run: random, but the same when going on."""
        shuffled = random.Random(f"{block.prompt} {block.seed} {repeat}")
        return shuffled.sample(self.names, len(self.cells))

    def forecast(self, records: Sequence[CellRun]) -> Forecast:
        """Cells, runs and seconds."""
        cells = cell_forecasts(self.bench, records)
        return Forecast(cells, len(self.blocks), self.plan.repeats, len(records), self.plan.budget)

    def facts(self) -> dict[str, Any]:
        """What a report tells of the study, besides its runs; as JSON."""
        study = self.study
        slow = {  # known once a stack was attached
            item.name
            for stack in self.bench.stacks.values()
            for item in stack.accelerators
            if not item.claims_speed
        }
        return {
            "name": study.name,
            "description": study.description,
            "recipe": study.model_dump(
                mode="json", fallback=lambda value: f"<{type(value).__name__}>", exclude={"study"}
            ),
            "plan": self.plan.model_dump(mode="json"),
            "accelerators": self.accelerators,
            "claims_no_speed": sorted(slow),
        }
