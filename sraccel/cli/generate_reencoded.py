"""`sraccel generate` where a recipe says `handoff: reencode`: two pipelines make the video."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sraccel.demo.pair import DEMO
from sraccel.errors import ModelError

if TYPE_CHECKING:
    from sraccel.recipe.recipe import Recipe


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
