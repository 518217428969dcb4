"""Options that `sraccel predict` and `sraccel bench` have together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sraccel.cli.options import Overrides
from sraccel.models.loading import Device, DType

if TYPE_CHECKING:
    from sraccel.recipe.recipe import Recipe

SIZE = ("num_inference_steps", "guidance_scale", "height", "width", "num_frames")
"""Arguments of the call that decide what it costs."""
RecipeArgument = Annotated[str, typer.Argument(help="Recipe file, or name of a shipped one.")]


class PredictOptions:
    """The model, and how it is measured; the parameters are options."""

    def __init__(
        self,
        model: Annotated[
            str | None,
            typer.Option(
                help="A published configuration (`wan2.1-t2v-14b`; an unknown name lists them), a "
                "folder with configurations in diffusers' format, or `demo`. Default: the recipe's."
            ),
        ] = None,
        overrides: Overrides = None,
        switch: Annotated[
            int | None,
            typer.Option(
                min=0, help="First step of the render model (0-based), where the run decides."
            ),
        ] = None,
        skip: Annotated[
            list[str] | None,
            typer.Option(
                metavar="[ROLE=]SHARE",
                help="Share of the steps that is skipped, 0 to 1: of a model (`render=0.5`), or "
                "of all. May be repeated. Default: as the calibration or the publication says.",
            ),
        ] = None,
        few_blocks: Annotated[
            bool | None,
            typer.Option(
                "--few-blocks/--whole",
                help="Build one to three blocks of each model and count the others, or all. "
                "Default: all where they fit into memory.",
            ),
        ] = None,
        rounds: Annotated[int, typer.Option(min=1, help="How often everything is measured.")] = 3,
        samples: Annotated[
            int, typer.Option(min=1, help="Steps of each model that compute, in a round.")
        ] = 4,
        dtype: Annotated[DType, typer.Option(help="Precision of the weights.")] = "auto",
        device: Annotated[Device, typer.Option(help="Where to measure.")] = "auto",
    ) -> None:
        self.model = model
        self.overrides = overrides or []
        self.switch = switch
        self.skipped = dict(map(_share, skip or []))
        self.measuring: dict[str, Any] = {
            "few_blocks": few_blocks,
            "rounds": rounds,
            "samples": samples,
            "dtype": dtype,
            "device": device,
        }

    def recipe(self, source: str) -> tuple[Recipe, str]:
        """The recipe, and the model's name.

        Raises:
            typer.BadParameter: neither the recipe nor --model names one.
        """
        from sraccel.recipe.recipe import Recipe

        recipe = Recipe.load(source, self.overrides)
        model = self.model or recipe.model
        if model is None:
            raise typer.BadParameter("give --model: the recipe names none")
        return recipe, model


def decisions_file(place: Path | None) -> Path | None:
    """The path of a report to take decisions from.

    Raises:
        typer.BadParameter: there is nothing.
    """
    if place is not None and not place.exists():
        raise typer.BadParameter(f"--decisions: there is no {place}")
    return place


def _share(given: str) -> tuple[str, float]:
    role, _, number = given.rpartition("=")
    try:
        share = float(number)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise typer.BadParameter(
            f"--skip {given}: give a share from 0 to 1, or ROLE=SHARE, as in render=0.5"
        )
    return role, share
