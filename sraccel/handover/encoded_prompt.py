"""What a pipeline made of its prompt: taken down in the first half, given back in the second.

All of diffusers' text pipelines encode by a method of one name, with any number of encoders.
So the second half needs none: 11 GB for Wan's, where the model that renders takes 3 GB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sraccel.handover.values import Json, read, written

if TYPE_CHECKING:
    import torch

METHOD = "encode_prompt"
NAME = "encoded_prompt"
"""Of the tensors in a hand-over, numbered by call."""


class EncodedPrompt:
    """A layer around the method that takes down what each call returned.

    Attributes:
        answers: as JSON, in the order of the calls.
        tensors: of the answers, by name; copies in main memory.
    """

    def __init__(self) -> None:
        self.answers: list[Json] = []
        self.tensors: dict[str, torch.Tensor] = {}

    def __call__(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        answer = inner(*args, **kwargs)
        tensors: dict[str, torch.Tensor] = {}
        name = f"{NAME}.{len(self.answers)}"
        self.answers.append(written(answer, name, tensors, "choose another pipeline"))
        # At once: a pipeline may change in place what it got.
        self.tensors |= {one: it.detach().to("cpu", copy=True) for one, it in tensors.items()}
        return answer


class RecalledPrompt:
    """A layer around the method that answers as the first half's calls were answered.

    Args:
        answers, tensors: as `EncodedPrompt` has them; there may be other tensors.
        device: where those of the answers are to lie.
    """

    def __init__(
        self, answers: Sequence[Json], tensors: Mapping[str, torch.Tensor], device: torch.device
    ) -> None:
        self._answers, self._device = iter(answers), device
        own = {name: tensor for name, tensor in tensors.items() if name.startswith(NAME)}
        self._tensors = {name: tensor.to(device, copy=True) for name, tensor in own.items()}

    def __call__(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        for answer in self._answers:
            found = read(answer, self._tensors, self._device)
            return tuple(found) if isinstance(found, list) else found
        return inner(*args, **kwargs)
