"""`sraccel generate --from`: what an earlier run gives, where no option says otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.cli.failures import note
from sraccel.cli.pipelines import Placing

if TYPE_CHECKING:
    from sraccel.recipe.recipe import Recipe
    from sraccel.report.model import Report
    from sraccel.report.origin import Source
    from sraccel.report.repetition import Repetition

ADVICE = "--accept-changes makes a video with it all the same; --model takes another model"


@dataclass(frozen=True)
class Earlier:
    """The run that is to be made again.

    Attributes:
        path: the report or the video that it left.
        run: what is said there.
        accepts_changes: whether to go on with models that have changed since.
    """

    path: Path
    run: Repetition
    accepts_changes: bool

    @classmethod
    def read(cls, path: Path, accepts_changes: bool) -> Earlier:
        """Read it; errors as `read_repetition`."""
        from sraccel.report.repetition import read_repetition

        return cls(path, read_repetition(path), accepts_changes)

    def placing(self, given: Placing) -> Placing:
        """Dtype, device and offloading of then, where none are given, and as far as they exist."""
        import torch

        origin, cuda = self.run.origin, torch.cuda.is_available()
        device = origin.device if given.device == "auto" else given.device
        offload = origin.offload if given.offload == "none" else given.offload
        dtype = origin.dtype if given.dtype == "auto" else given.dtype
        if not cuda and given.device == "auto" and given.offload == "none":
            device, offload = "auto", "none"
        return Placing(dtype, device, offload if device != "cpu" else "none")

    def check(self, sources: Sequence[Source]) -> None:
        """Refuse models and files that have changed, unless they are accepted.

        Raises:
            ModelError: naming them.
        """
        if not self.accepts_changes:
            self.run.check_sources(sources, ADVICE)

    def judge(self, report: Report) -> None:
        """Say what differs from then: in the report, and whether the frames are the same."""
        found, same = self.run.differences(report), self.run.same_frames(report)
        if same is False:
            found.append("the frames are not the same")
        report.warnings += [f"made again from {self.path.name}: {item}" for item in found]
        if same:
            note(f"the same frames as {self.path}, bit for bit")


@dataclass(frozen=True)
class Known:
    """What recipe and earlier run give, before options.

    Attributes:
        call: arguments of the pipeline's call.
        fps: None: what is usual.
    """

    recipe: Recipe
    model: str | None
    call: dict[str, Any]
    seed: int = 0
    fps: float | None = None


def known_from(recipe_name: str | None, overrides: Sequence[str], earlier: Earlier | None) -> Known:
    """A recipe that is given goes before the earlier run; of that run's own, what is overridden.

    Raises:
        RecipeError: there is no such recipe, or it is not valid.
    """
    from sraccel.recipe.recipe import Recipe

    if earlier is None:
        recipe = Recipe.load(recipe_name, overrides)
        return Known(recipe, recipe.model, recipe.sampling.arguments())
    run = earlier.run
    if recipe_name is None:
        recipe = Recipe.load(run.recipe_content(), overrides)
        model, sampling = run.pipeline.name, _overridden(recipe, overrides)
    else:
        recipe = Recipe.load(recipe_name, overrides)
        model, sampling = recipe.model or run.pipeline.name, recipe.sampling.arguments()
    return Known(recipe, model, {**run.arguments, **sampling}, run.seed, run.origin.fps)


def _overridden(recipe: Recipe, overrides: Sequence[str]) -> dict[str, Any]:
    """What `--set sampling.NAME=VALUE` says of the call; the recipe has it in it already."""
    names = {text.partition("=")[0].strip() for text in overrides}
    given = recipe.sampling.arguments()
    return {name: value for name, value in given.items() if f"sampling.{name}" in names}
