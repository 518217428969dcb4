"""Python values as JSON, with the tensors among them beside it, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sraccel.errors import HandoverError

if TYPE_CHECKING:
    import torch

TENSOR, ARRAY = "tensor", "array"
"""Keys of a mapping that stands for a tensor (by its name) or a NumPy array in JSON."""

Json = Any


def written(value: Any, name: str, tensors: dict[str, torch.Tensor], advice: str) -> Json:
    """A value as JSON; its tensors go into `tensors`, under names that begin with its own.

    Raises:
        HandoverError: it is of a kind that no file can hold (a noise tree, say); ends in `advice`.
    """
    import numpy as np
    import torch

    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.Tensor):
        tensors[name] = value
        return {TENSOR: name}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        tensors[name] = torch.from_numpy(value.copy())
        return {ARRAY: name}
    if isinstance(value, (list, tuple)):
        named = ((f"{name}.{index}", item) for index, item in enumerate(value))
        return [written(item, one, tensors, advice) for one, item in named]
    raise HandoverError(
        f"a run cannot be handed over with {name}: it is a {type(value).__name__}, which no file "
        f"can hold; {advice}"
    )


def read(value: Json, tensors: Mapping[str, torch.Tensor], device: torch.device) -> Any:
    """What `written` made JSON of, but for tuples, which are lists; tensors lie on a device."""
    if isinstance(value, list):
        return [read(item, tensors, device) for item in value]
    if isinstance(value, dict):
        if ARRAY in value:
            return tensors[value[ARRAY]].numpy()
        return tensors[value[TENSOR]].to(device)
    return value
