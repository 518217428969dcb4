"""`sraccel tune`: which options give the most speed for a quality, on one's own prompts."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from sraccel.cli.failures import Debug, note, reported
from sraccel.cli.options import (
    CALL,
    STEPS,
    Executing,
    Overrides,
    RecipesModel,
    Seed,
    call_options,
)
from sraccel.cli.pipelines import (
    Placing,
    check_known,
    check_room,
    load,
    model_named,
    placing_options,
)
from sraccel.models.loading import locate
from sraccel.recipe.sampling import USUAL_STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sraccel.recipe.recipe import Recipe
    from sraccel.report.origin import Source
    from sraccel.tuning.outcome import Outcome
    from sraccel.tuning.wanted import Wanted

UNITS = {"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
QUALITY = "psnr_db>=30"


@call_options(*CALL)
@placing_options
def tune(
    recipe: Annotated[str, typer.Argument(help="Recipe file, or name of a shipped recipe.")],
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the runs and the front's recipes.")
    ],
    prompts: Annotated[
        Path,
        typer.Option(
            help="Text file, a prompt a line. The first half chooses, the second half confirms."
        ),
    ],
    model: RecipesModel = None,
    quality: Annotated[
        str,
        typer.Option(
            help="The mean over prompts that is good enough, of any installed metric: "
            "METRIC>=NUMBER, or <=."
        ),
    ] = QUALITY,
    memory: Annotated[
        str | None,
        typer.Option(help="Peak memory that a run may have, as in 24GB; on CUDA devices."),
    ] = None,
    budget: Annotated[
        str,
        typer.Option(
            help="Time of all runs, after loading: 90s, 20m, 1h30m, or seconds. On Ray, of each "
            "worker's."
        ),
    ] = "20m",
    held_out: Annotated[
        int | None, typer.Option(min=3, help="How many of the last prompts confirm. Default: half.")
    ] = None,
    points: Annotated[
        int, typer.Option(min=1, help="Recipes of the front that are confirmed, at most.")
    ] = 5,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Trials at most. Default: what the budget allows.")
    ] = None,
    seed: Seed = None,
    overrides: Overrides = None,
    executor: Executing = "local",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --executor ray: how many candidates are tried at a time. Default: one for "
            "each device of the cluster.",
        ),
    ] = None,
    call: dict[str, Any],
    placing: Placing,
    debug: Debug = False,
) -> None:
    """Search the options of a recipe for the most speed at a quality, on your own prompts.

    Rules, predictors, placed steps, and the switch where the recipe has one. Takes the package
    optuna: `pip install 'sraccel[tune]'`. Each run is on disk before the next: after Ctrl-C the
    same command goes on, and a larger `--budget` goes further.
    """
    if workers is not None and executor == "local":
        raise typer.BadParameter("--workers goes with --executor ray")
    with reported(debug):
        from sraccel.recipe.prompts import PromptsError, read_prompts
        from sraccel.recipe.recipe import Recipe
        from sraccel.tuning.goal import Goal
        from sraccel.tuning.search import optuna
        from sraccel.tuning.wanted import Wanted, split

        optuna()  # refuses before a model is loaded
        loaded = Recipe.load(recipe, overrides or [])
        try:
            tuning, confirming = split(read_prompts(prompts), held_out)
        except PromptsError as error:
            raise typer.BadParameter(f"--prompts: {error}") from None
        wanted = Wanted(
            goal=Goal.parse(quality),
            tuning=tuning,
            held_out=confirming,
            budget=_seconds(budget),
            memory=None if memory is None else byte_count(memory),
            seed=seed or 0,
            trials=trials,
            points=points,
        )
        name = model_named(model, loaded.model)
        locate(name)
        call = {STEPS: USUAL_STEPS, **loaded.sampling.arguments(), **call}
        command = _TuneCommand(loaded, name, call, out, placing, wanted)
        if executor == "ray":
            command.run_on_ray(workers)
        else:
            command.run()


def _seconds(given: str) -> float:
    from pydantic import TypeAdapter, ValidationError

    from sraccel.study.plan.plan import FORM, Seconds

    try:
        return float(TypeAdapter(Seconds).validate_python(given))
    except ValidationError:
        raise typer.BadParameter(f"--budget: {FORM}, not {given!r}") from None


def byte_count(given: str) -> int:
    """The bytes of `24GB` or `24 GiB`.

    Raises:
        typer.BadParameter: it says no size.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", given)
    unit = UNITS.get(found[2].upper()) if found else None
    if found is None or unit is None or float(found[1]) == 0:
        raise typer.BadParameter(f"--memory: give a size such as 24GB or 22GiB, not {given!r}")
    return int(float(found[1]) * unit)


@dataclass
class _TuneCommand:
    """What is to be tuned, on what."""

    recipe: Recipe
    model: str
    call: dict[str, Any]
    out: Path
    placing: Placing
    wanted: Wanted

    def run(self) -> None:
        """Tune, and print what came of it."""
        from sraccel.cli.tune_progress import TuneProgress
        from sraccel.files import output_folder
        from sraccel.tuning.tune import tune

        self.placing.target()  # refuses before anything is written
        output_folder(self.out)
        pipe = self._pipeline()
        given = {"sources": self._sources(), **self.call}
        with self._kept(), TuneProgress(self.wanted.budget) as watcher:
            outcome = tune(pipe, self.recipe, self.out, self.wanted, watcher=watcher, **given)
        self._show(outcome)

    def run_on_ray(self, workers: int | None) -> None:
        """As `run`, by workers; no model is loaded here."""
        import torch

        from sraccel.cli.tune_progress import TuneProgress
        from sraccel.cluster import check_ray
        from sraccel.files import output_folder
        from sraccel.tuning.on_ray import tune_on_ray
        from sraccel.tuning.ray_runner import TuneWork

        check_ray()
        placed = self.placing.settled()  # refuses before anything is written
        given = (self.recipe, self.wanted, self._sources(), self.call, torch.get_num_threads())
        output_folder(self.out)
        with self._kept(), TuneProgress(self.wanted.budget) as watcher:
            outcome = tune_on_ray(
                TuneWork(self.model, placed, *given),
                self.out,
                device=placed["device"],
                workers=workers,
                watcher=watcher,
            )
        self._show(outcome)

    def _pipeline(self) -> Any:
        check_room([self.model], self.placing)
        pipe = load(self.model, self.placing)
        check_known(pipe, self.call, " (here, or in the recipe)")
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def _sources(self) -> list[Source]:
        """What makes the videos."""
        from sraccel.models.source import ModelSource
        from sraccel.report.origin import sources_of

        return sources_of([ModelSource(model=self.model)], self.recipe)

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            note(f"what was run is kept in {self.out}; the same command goes on")
            raise

    def _show(self, outcome: Outcome) -> None:
        from sraccel.cli.outputs import print_written
        from sraccel.cli.tune_progress import outcome_table
        from sraccel.tuning.writing import PICTURE, RESULT

        Console().print(outcome_table(outcome))
        names = [f"{one.name}.yaml" for one in outcome.points if one.kind == "tuned"]
        print_written(self.out / name for name in (*names, RESULT, PICTURE))
