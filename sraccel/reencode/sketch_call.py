"""A pipeline's call that stops at the switch, and decodes the clean latents that it has by then.

Both are diffusers' own ways: a callback at the end of a step may replace the latents, and a
pipeline whose `interrupt` is true skips its remaining steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sraccel.errors import LoopError, ModelError
from sraccel.models.arguments import defaults_of
from sraccel.models.step_callback import CALLBACK, takes_callback, with_callback

if TYPE_CHECKING:
    import torch

    from sraccel.reencode.srdiffusion import Sketching


def check_stoppable(pipe: Any) -> None:
    """Refuse pipelines that cannot be stopped at a step.

    Raises:
        ModelError: saying what the pipeline lacks.
    """
    lacks = [] if hasattr(type(pipe), "interrupt") else ["`interrupt`"]
    lacks += [] if takes_callback(pipe) else [f"`{CALLBACK}`"]
    if lacks:
        raise ModelError(
            f"{type(pipe).__name__} cannot sketch for another pipeline: it has no "
            f"{' and no '.join(lacks)}, so it cannot be stopped at the switch"
        )


class SketchCall:
    """Calls a pipeline until `sketching` has its sketch; the user's own callback goes first.

    Attributes:
        stopped: whether the pipeline was asked to stop.
    """

    def __init__(self, pipe: Any, sketching: Sketching) -> None:
        self._pipe = pipe
        self._sketching = sketching
        self._latents: torch.Tensor | None = None
        self.stopped = False

    def __call__(self, **call: Any) -> Any:
        """The frames (batch, frames, channels, height, width) of the clean latents.

        If no switch came: what the pipeline returns for these arguments.

        Raises:
            LoopError: the pipeline did not stop.
        """
        pipe = self._pipe
        try:
            pixels = {**call, "output_type": "pt", "return_dict": True}
            output = pipe(**with_callback(pixels, change=self._change, needs=["latents"]))
        finally:
            pipe._interrupt = False
        if self._sketching.sketch is None:
            return self._as_asked(output, call)
        if not self.stopped:
            raise LoopError(f"{type(pipe).__name__} did not call `{CALLBACK}` at the switch")
        frames = output[_pixels_key(output)]
        return frames if frames.ndim == 5 else frames[:, None]

    def _change(self, pipe: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if self.stopped:
            raise LoopError(f"{type(pipe).__name__} went on after `interrupt` was set")
        self._latents = tensors["latents"]
        sketch = self._sketching.sketch
        if sketch is None:
            return {}
        self.stopped = pipe._interrupt = True
        return {"latents": sketch.clean}

    def _as_asked(self, output: Any, call: dict[str, Any]) -> Any:
        """The output as the pipeline makes it of its "pt" frames, by the same steps."""
        wanted = {**defaults_of(self._pipe), **call}["output_type"]
        key = _pixels_key(output)
        output[key] = self._latents if wanted == "latent" else self._converted(output[key], wanted)
        return output if call.get("return_dict", True) else output.to_tuple()

    def _converted(self, frames: Any, wanted: str) -> Any:
        if wanted == "pt":
            return frames
        import numpy as np

        processor = getattr(self._pipe, "video_processor", None) or self._pipe.image_processor
        if frames.ndim == 4:
            images = processor.pt_to_numpy(frames)
            return processor.numpy_to_pil(images) if wanted == "pil" else images
        videos = [processor.pt_to_numpy(video) for video in frames]
        if wanted == "pil":
            return [processor.numpy_to_pil(video) for video in videos]
        return np.stack(videos)


def _pixels_key(output: Any) -> str:
    return "frames" if hasattr(output, "frames") else "images"
