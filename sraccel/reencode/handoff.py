"""`sraccel.handoff`: one video by two pipelines, whose VAEs may differ; frames go between them.

The sketch pipeline runs until SRDiffusion says to switch. The clean latents that its last guided
prediction implies are decoded by its own VAE; the render pipeline encodes the frames with its VAE,
adds noise up to the level at which the sketch stopped, and takes the remaining steps. That costs
one decoding and one encoding, and what the two VAEs lose; models that share a VAE need none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sraccel.reencode.pipeline_pair import Handoff, PipelinePair

if TYPE_CHECKING:
    from sraccel.loop.denoiser_adapter import DenoiserAdapter


def handoff(
    sketch_pipe: Any,
    render_pipe: Any,
    recipe: Any,
    *,
    render_call: Mapping[str, Any] | None = None,
    adapters: Sequence[DenoiserAdapter] = (),
    **call: Any,
) -> Handoff:
    """Let one pipeline sketch and another, whose VAE may differ, render the sketch.

    The recipe's srdiffusion decides the switch (its `render` is not used: the render pipeline is
    given); its other accelerators act in both calls. The call's `generator` makes the sketch's
    noise, then, where that left it, the noise that is added to the encoded frames, so one seed
    makes one video.

    Args:
        sketch_pipe: a diffusers pipeline that can be interrupted and takes `callback_on_step_end`.
        render_pipe: a pipeline for the same pixels. It must take frames and a `strength`, or be
            one of those for which diffusers has such a sibling (`WanPipeline`,
            `CogVideoXPipeline`, Stable Diffusion 3 and XL).
        recipe: anything that `sraccel.compose` takes, with srdiffusion in it.
        render_call: arguments that the render pipeline is to get instead of the sketch's; None
            leaves out one that it does not know.
        adapters: as for `sraccel.compose`.
        call: arguments of both pipelines' calls. A callback at the end of a step is called by both.

    Raises:
        RecipeError, ConflictError, ModelError: as `sraccel.compose`; or the recipe has no
            srdiffusion, or the pipelines do not fit each other. Nothing has run then, unless only
            the finished frames show it.
        LoopError: a pipeline did not stop, or not begin, where it should.
    """
    pair = PipelinePair(
        sketch_pipe, render_pipe, recipe, render_call=render_call, adapters=adapters, **call
    )
    return pair.run()
