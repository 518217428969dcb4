"""What a denoiser returns: a tensor, or a tuple or `ModelOutput` that a prediction leads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sraccel.errors import LoopError
from sraccel.loop.seams.batch import joined, of_one_size

if TYPE_CHECKING:
    import torch


def prediction_of(output: Any) -> torch.Tensor:
    """The prediction in what a denoiser returns: a tensor, or the first of several.

    Of a model that returns a list for a batch, as one tensor (see `joined`).
    """
    import torch

    return joined(output if isinstance(output, torch.Tensor) else output[0])


class OutputForm:
    """The form of one denoiser's outputs, for predictions that it did not make itself."""

    def __init__(self) -> None:
        self._like: Any = None  # type of the last output
        self._listed = False  # whether the prediction is a list for a batch
        self._several = False

    def see(self, output: Any) -> None:
        """Remember the form of an output."""
        import torch

        self._like = type(output)
        if not isinstance(output, torch.Tensor):
            parts = output if isinstance(output, (tuple, list)) else output.to_tuple()
            self._listed = not isinstance(parts[0], torch.Tensor)
            apart = self._listed and not of_one_size(parts[0])
            self._several = apart or sum(isinstance(part, torch.Tensor) for part in parts) > 1

    def of(self, prediction: torch.Tensor, return_dict: bool) -> Any:
        """A prediction in that form.

        Args:
            return_dict: as the loop passed it.

        Raises:
            LoopError: the model returns several tensors, and only one of them is known.
        """
        import torch

        if self._several:
            raise LoopError(
                "this model returns several tensors, of which an accelerator can predict only the "
                "first: its calls cannot be skipped or answered"
            )
        if isinstance(self._like, type) and issubclass(self._like, torch.Tensor):
            return prediction
        formed = list(prediction.unbind()) if self._listed else prediction
        if not return_dict or self._like is tuple:
            return (formed,)
        return self._class()(sample=formed)

    def _class(self) -> Any:
        if self._like is not None:
            return self._like
        from diffusers.models.modeling_outputs import Transformer2DModelOutput

        return Transformer2DModelOutput
