"""A pipeline's call that stops at the switch, and decodes the clean latents that it has by then.

Both are diffusers' own ways: a callback at the end of a step may replace the latents, and a
pipeline whose `interrupt` is true skips its remaining steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sraccel.errors import LoopError, ModelError
from sraccel.reencode.video_to_video import arguments_of

if TYPE_CHECKING:
    import torch

    from sraccel.reencode.halves import Sketching

CALLBACK = "callback_on_step_end"
CALLBACK_INPUTS = "callback_on_step_end_tensor_inputs"


def check_stoppable(pipe: Any) -> None:
    """Refuse pipelines that cannot be stopped at a step.

    Raises:
        ModelError: saying what the pipeline lacks.
    """
    lacks = [] if hasattr(type(pipe), "interrupt") else ["`interrupt`"]
    lacks += [] if CALLBACK in arguments_of(pipe) else [f"`{CALLBACK}`"]
    if lacks:
        raise ModelError(
            f"{type(pipe).__name__} cannot sketch for another pipeline: it has no "
            f"{' and no '.join(lacks)}, so it cannot be stopped at the switch"
        )


class InterruptedCall:
    """Calls a pipeline until `sketching` has its sketch; the user's own callback is called first.

    Attributes:
        stopped: whether the pipeline was told to stop.
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
            pixels = {"output_type": "pt", "return_dict": True}
            output = pipe(**{**call, **self._callback(call), **pixels})
        finally:
            pipe._interrupt = False
        if self._sketching.sketch is None:
            return self._as_asked(output, call)
        if not self.stopped:
            raise LoopError(f"{type(pipe).__name__} did not call `{CALLBACK}` at the switch")
        frames = _pixels(output)
        return frames if frames.ndim == 5 else frames[:, None]

    def _callback(self, call: dict[str, Any]) -> dict[str, Any]:
        users = call.get(CALLBACK)
        # diffusers' callback objects bring their own list, which a pipeline reads off them.
        inputs = getattr(users, "tensor_inputs", None) or call.get(CALLBACK_INPUTS) or []

        def step_ended(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> Any:
            if self.stopped:
                raise LoopError(f"{type(pipe).__name__} went on after `interrupt` was set")
            changed = {} if users is None else users(pipe, step, timestep, tensors)
            self._latents = changed.get("latents", tensors["latents"])
            sketch = self._sketching.sketch
            if sketch is None:
                return changed
            self.stopped = pipe._interrupt = True
            return {**changed, "latents": sketch.clean}

        return {CALLBACK: step_ended, CALLBACK_INPUTS: list(dict.fromkeys([*inputs, "latents"]))}

    def _as_asked(self, output: Any, call: dict[str, Any]) -> Any:
        """The output as the pipeline makes it of its "pt" frames, by the same steps."""
        default = arguments_of(self._pipe)["output_type"].default
        wanted = call.get("output_type", default)
        key = "frames" if hasattr(output, "frames") else "images"
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


def _pixels(output: Any) -> Any:
    return output.frames if hasattr(output, "frames") else output.images
