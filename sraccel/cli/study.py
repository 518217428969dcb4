"""`sraccel study`: how the accelerators of a recipe go together, measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from sraccel.cli.failures import Debug, note, reported
from sraccel.cli.option_groups import model_options
from sraccel.cli.options import (
    CALL,
    STEPS,
    Executing,
    FramesPerSecond,
    RecipesModel,
    call_options,
)
from sraccel.cli.pipelines import (
    Placing,
    check_known,
    check_room,
    load,
    model_named,
    placing_options,
    usual_fps,
)
from sraccel.errors import RecipeError
from sraccel.models.loading import locate
from sraccel.recipe.sampling import USUAL_STEPS, Sampling
from sraccel.study.plan.plan import Plan

if TYPE_CHECKING:
    from sraccel.cli.study_progress import StudyProgress
    from sraccel.report.origin import Source
    from sraccel.study.plan.study import Study
    from sraccel.study.results import StudyReport


@model_options(Plan, "plan", without={"sweep"})
@call_options(*CALL)
@placing_options
def study(
    recipe: Annotated[
        str, typer.Argument(help="Recipe or study file, or name of a shipped recipe.")
    ],
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the runs, the videos and the report.")
    ],
    model: RecipesModel = None,
    plan: dict[str, Any],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME.OPTION=VALUE[,VALUE...]",
            help="Override a value of the recipe; several values make a sweep of it, as in "
            "`srdiffusion.threshold=0.005,0.01,0.02`. May be repeated.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Say what would be run and how long it takes, by a few steps of each cell; write "
            "nothing.",
        ),
    ] = False,
    executor: Executing = "local",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --executor ray: how many blocks are run at a time. Default: one for each "
            "device of the cluster.",
        ),
    ] = None,
    call: dict[str, Any],
    fps: FramesPerSecond = None,
    placing: Placing,
    debug: Debug = False,
) -> None:
    """Measure how the accelerators of a recipe go together: which add up, and which do not.

    What no option says of the call, the recipe's `sampling` says, else the pipeline.

    Runs the bare pipeline and every cell of a design in random order within blocks of one prompt
    and seed. Each run is on disk before the next begins: after Ctrl-C, a crash or a full disk the
    same command goes on. Writes report.html, report.json, cells.csv and effects.csv; the runs are
    in study.sqlite.
    """
    if workers is not None and executor == "local":
        raise typer.BadParameter("--workers goes with --executor ray")
    with reported(debug):
        from sraccel.study.measure import check_folder
        from sraccel.study.plan.study import Study

        loaded = Study.load(recipe, overrides or [], **plan)
        if not loaded.study.prompts:
            raise RecipeError("no prompts: give --prompts FILE, or list them in a study file")
        name = model_named(model, loaded.model)
        locate(name)
        call = {STEPS: USUAL_STEPS, **loaded.sampling.arguments(), **call}
        check_folder(loaded, out, call)
        _note_doubts(loaded, call)
        command = _StudyCommand(loaded, name, call, fps or usual_fps(name), out, placing)
        if dry_run:
            command.forecast()
        elif executor == "ray":
            command.run_on_ray(workers)
        else:
            command.run()


def _note_doubts(study: Study, call: dict[str, Any]) -> None:
    """Say beforehand what cannot act in a run of these arguments: a switch that cannot come."""
    from sraccel.check.recipe_check import doubts_of

    for finding in doubts_of(study, Sampling.of_call(call)):
        note(f"Note: {finding.about}: {finding.message}")


@dataclass
class _StudyCommand:
    """What is to be measured, on what."""

    study: Study
    model: str
    call: dict[str, Any]
    fps: float
    out: Path
    placing: Placing

    def forecast(self) -> None:
        """Show what would be run."""
        from sraccel.cli.study_progress import StudyProgress, forecast_table
        from sraccel.study.measure import forecast_study

        pipe = self._pipeline()
        with StudyProgress() as watcher:
            given = {"watcher": watcher, "sources": self._sources(), **self.call}
            forecast = forecast_study(pipe, self.study, out=self.out, **given)
        Console().print(forecast_table(forecast))

    def run(self) -> None:
        """Run it, and print what came of it."""
        from sraccel.cli.study_progress import StudyProgress
        from sraccel.files import output_folder
        from sraccel.study.measure import run_study

        self.placing.target()  # refuses before anything is written
        output_folder(self.out)
        pipe = self._pipeline()
        watcher = StudyProgress()
        with self._kept(watcher), watcher:
            given = {"watcher": watcher, "sources": self._sources(), **self.call}
            report = run_study(pipe, self.study, self.out, fps=self.fps, **given)
        show(report, self.out)

    def run_on_ray(self, workers: int | None) -> None:
        """As `run`, by workers; no model is loaded here."""
        import torch

        from sraccel.cli.study_progress import StudyProgress
        from sraccel.cluster import check_ray
        from sraccel.files import output_folder
        from sraccel.study.on_ray import run_study_on_ray
        from sraccel.study.runs.ray_runner import StudyWork

        check_ray()
        placed = self.placing.settled()  # refuses before anything is written
        threads = torch.get_num_threads()
        work = StudyWork(self.model, placed, self.study, self._sources(), self.call, threads)
        output_folder(self.out)
        watcher = StudyProgress()
        with self._kept(watcher), watcher:
            report = run_study_on_ray(
                work,
                self.out,
                device=placed["device"],
                fps=self.fps,
                workers=workers,
                watcher=watcher,
            )
        show(report, self.out)

    def _sources(self) -> list[Source]:
        """What makes the videos."""
        from sraccel.models.source import ModelSource
        from sraccel.report.origin import sources_of

        return sources_of([ModelSource(model=self.model)], self.study)

    def _pipeline(self) -> Any:
        check_room([self.model], self.placing)
        pipe = load(self.model, self.placing)
        check_known(pipe, self.call, " (here, or in the recipe)")
        pipe.set_progress_bar_config(disable=True)
        return pipe

    @contextmanager
    def _kept(self, watcher: StudyProgress) -> Iterator[None]:
        """Say what is kept when a study breaks off that had begun."""
        try:
            yield
        except BaseException:
            if watcher.begun_runs:
                note(f"what was run is kept in {self.out}; the same command goes on")
            raise


def show(report: StudyReport, out: Path) -> None:
    """Print the figures, and where everything is."""
    from sraccel.cli.outputs import print_written
    from sraccel.study.report.outputs import FILES

    Console().print(report)
    print_written(out / name for name in FILES)
