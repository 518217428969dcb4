"""`sraccel generate --prompts`: a video for each line of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from sraccel.cli.failures import FAILED, note
from sraccel.cli.generate_reencoded import render_pipeline_of
from sraccel.cli.outputs import print_written
from sraccel.cli.pipelines import Placing, check_known, check_room, load
from sraccel.cli.prompt_progress import PromptProgress
from sraccel.errors import ConflictError, SraccelError
from sraccel.models.loading import locate

if TYPE_CHECKING:
    from sraccel.batch.folder import BatchFolder
    from sraccel.batch.pools import Pools
    from sraccel.batch.prompts_file import PromptJob
    from sraccel.batch.record import Recorder
    from sraccel.cli.options import Executor
    from sraccel.recipe.recipe import Recipe
    from sraccel.report.origin import Origin


@dataclass(frozen=True)
class Batch:
    """What is to be made.

    Attributes:
        prompts: the file.
        model: of the pipeline.
        call: its arguments, where a line gives none.
        seed: where a line gives none.
        fps: of the videos.
        out: the folder.
        executor: what makes them.
        workers: of Ray, as the option has it.
    """

    prompts: Path
    model: str
    call: dict[str, Any]
    seed: int
    fps: float
    out: Path
    executor: Executor = "local"
    workers: str | None = None

    def run(self, recipe: Recipe, placing: Placing) -> None:
        """Make what is left, and say what became of it; exit code 1 if a prompt failed."""
        from sraccel.batch.folder import FINISHED, BatchFolder
        from sraccel.batch.prompts_file import read_jobs
        from sraccel.batch.record import Recorder
        from sraccel.files import output_folder

        if render_pipeline_of(recipe) is not None:
            raise ConflictError("--prompts takes recipes of one pipeline, not `handoff: reencode`")
        make = self._here
        if self.executor == "ray":
            self._pools()
            make = self._on_ray
        jobs = read_jobs(self.prompts, self.call, self.seed)
        placing.target()
        locate(self.model)
        origin = self._origin(recipe, placing)
        heading = {
            "origin": origin.model_dump(mode="json"),
            "recipe": recipe.model_dump(mode="json"),
        }
        folder = BatchFolder(output_folder(self.out), heading)
        left = folder.left(jobs)
        if len(left) < len(jobs):
            note(f"{len(jobs) - len(left)} of {len(jobs)} prompts are there already")
        recorder = Recorder(folder.path.resolve(), origin, recipe.model_dump(mode="json"))
        failures = make(left, recipe, placing, folder, recorder) if left else 0
        made = folder.counts()[FINISHED]
        Console().print(f"{made} finished, {failures} failed", highlight=False)
        print_written([folder.manifest])
        if failures:
            raise typer.Exit(FAILED)

    def _origin(self, recipe: Recipe, placing: Placing) -> Origin:
        from sraccel.models.source import ModelSource
        from sraccel.report.origin import Origin, sources_of

        return Origin(
            sources=sources_of([ModelSource(model=self.model)], recipe),
            dtype=placing.precision_name(),
            device=placing.target(),
            offload=placing.offload,
            fps=self.fps,
        )

    def _here(
        self,
        jobs: Sequence[PromptJob],
        recipe: Recipe,
        placing: Placing,
        folder: BatchFolder,
        recorder: Recorder,
    ) -> int:
        from sraccel.batch.local import run_local
        from sraccel.composer import compose

        brought = [source for item in recipe.accelerators for source in item.models()]
        check_room([self.model], placing, brought=brought)
        pipe = load(self.model, placing)
        for job in jobs:
            check_known(pipe, job.call, f" ({job.id})")
        pipe.set_progress_bar_config(disable=True)
        with PromptProgress(len(jobs)) as bar:
            return run_local(compose(pipe, recipe), jobs, folder, recorder, report_prompt=bar.ended)

    def _on_ray(
        self,
        jobs: Sequence[PromptJob],
        recipe: Recipe,
        placing: Placing,
        folder: BatchFolder,
        recorder: Recorder,
    ) -> int:
        from sraccel.batch.dispatch import Dispatcher
        from sraccel.batch.stages import work_of
        from sraccel.cluster import cluster

        work = work_of(self.model, recipe, recorder, placing.settled())
        with cluster() as joined, PromptProgress(len(jobs)) as bar:
            return Dispatcher(
                joined,
                work,
                self._pools(),
                jobs,
                folder,
                forecast=partial(_forecast, recipe, self.model, jobs[0].call),
                report_prompt=bar.ended,
                report_sizes=bar.sized,
            ).run()

    def _pools(self) -> Pools | None:
        """Sizes of Ray's pools; refused where Ray is missing."""
        from sraccel.batch.pools import parse_pools
        from sraccel.cluster import check_ray

        check_ray()
        return parse_pools(self.workers or "auto")


def _forecast(recipe: Recipe, model: str, call: dict[str, Any]) -> tuple[float, float]:
    """Parts of a prompt's work in either stage; as if they were equal, where it cannot be known."""
    from sraccel.prediction.stage_work import stage_work

    try:
        return stage_work(recipe, model, call)
    except SraccelError:  # what is wrong, the workers will say
        return 0.5, 0.5
