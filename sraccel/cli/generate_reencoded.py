"""`sraccel generate` where a recipe says `handoff: reencode`: two pipelines make the video."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sraccel.demo.pair import DEMO
from sraccel.errors import ModelError

if TYPE_CHECKING:
    from sraccel.cli.progress import StepCallback
    from sraccel.recipe.recipe import Recipe
    from sraccel.report.model import Report


def render_pipeline_of(recipe: Recipe) -> str | None:
    """The folder or hub name of the second pipeline; None if one makes the video.

    Raises:
        ModelError: the recipe names a model that is not a pipeline's.
    """
    for item in recipe.accelerators:
        if getattr(item, "handoff", None) == "reencode":
            return _name(getattr(item, "render", None))
    return None


def _name(source: Any) -> str:
    from sraccel.models.source import ModelSource

    if not isinstance(source, ModelSource):
        raise ModelError(
            "srdiffusion: with `handoff: reencode`, `render` names the second pipeline: a folder "
            "in diffusers' format (it holds model_index.json), or a name on the hub"
        )
    if own := source.model_fields_set - {"model"}:
        raise ModelError(
            f"srdiffusion: with `handoff: reencode`, `render` is a pipeline's folder or name alone "
            f"(given: {', '.join(sorted(own))}); `--dtype` and `--offload` go for both pipelines"
        )
    if source.model == DEMO:
        raise ModelError(
            "srdiffusion: the demo pair has one VAE, so its render model takes no `handoff: "
            "reencode`"
        )
    return source.model


class Pair:
    """Two pipelines under a recipe."""

    def __init__(self, pipes: list[Any], recipe: Recipe, call: dict[str, Any]) -> None:
        from sraccel.reencode.handoff import PipelinePair

        self._sketch_pipe, render_pipe = pipes
        self._pair = PipelinePair(self._sketch_pipe, render_pipe, recipe, **call)
        self._report: Report | None = None

    @property
    def report(self) -> Report:
        """Of both runs, as far as they came."""
        return self._report or self._pair.report

    def run(self, progress: StepCallback) -> Any:
        """The render pipeline's output."""

        def step_ended(pipe: Any, step: int, _: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            description = "sketch" if pipe is self._sketch_pipe else "render"
            progress(description, step + 1, pipe.num_timesteps)
            return tensors

        made = self._pair.run(step_ended)
        self._report = made.report
        return made.output
