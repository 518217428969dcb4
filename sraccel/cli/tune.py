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
from sraccel.cli.options import CALL, STEPS, Overrides, RecipesModel, Seed, call_options
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
    from sraccel.tuning.tune import Wanted

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
        typer.Option(help="Time of all runs, after loading: 90s, 20m, 1h30m, or seconds."),
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
    call: dict[str, Any],
    placing: Placing,
    debug: Debug = False,
) -> None:
    """Search the options of a recipe for the most speed at a quality, on your own prompts.

    Rules, predictors, placed steps, and the switch where the recipe has one. Takes the package
    optuna: `pip install 'sraccel[tune]'`. Each run is on disk before the next: after Ctrl-C the
    same command goes on, and a larger `--budget` goes further.
    """
    with reported(debug):
        from sraccel.recipe.prompts import PromptsError, read_prompts
        from sraccel.recipe.recipe import Recipe
        from sraccel.tuning.goal import Goal
        from sraccel.tuning.search import optuna
        from sraccel.tuning.tune import Wanted, split

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
        _TuneCommand(loaded, name, call, out, placing, wanted).run()


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
        from sraccel.cli.tune_progress import TuneProgress, outcome_table
        from sraccel.files import output_folder
        from sraccel.tuning.tune import tune

        self.placing.target()  # refuses before anything is written
        output_folder(self.out)
        pipe = self._pipeline()
        with self._kept(), TuneProgress(self.wanted.budget) as watcher:
            outcome = tune(
                pipe,
                self.recipe,
                self.out,
                self.wanted,
                watcher=watcher,
                sources=self._sources(),
                **self.call,
            )
        Console().print(outcome_table(outcome))
        self._print_files(outcome)

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

    def _print_files(self, outcome: Outcome) -> None:
        from sraccel.cli.outputs import print_written
        from sraccel.tuning.writing import PICTURE, RESULT

        names = [f"{one.name}.yaml" for one in outcome.points if one.kind == "tuned"]
        print_written(self.out / name for name in (*names, RESULT, PICTURE))
