"""A scheduler's state as values: where it is in its schedule, and a solver's history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sraccel.errors import HandoverError

if TYPE_CHECKING:
    import torch

TENSOR, ARRAY = "tensor", "array"
"""Keys of a mapping that stands for a tensor (by its name) or a NumPy array in JSON."""
PRIVATE = {"_internal_dict", "_compatibles"}
"""Of diffusers' own: the configuration, which is compared, and classes."""

Json = Any


def captured(scheduler: Any, tensors: dict[str, torch.Tensor]) -> dict[str, Json]:
    """Every attribute of a scheduler, as JSON; its tensors go into `tensors`.

    Raises:
        HandoverError: an attribute is of a kind that no file can hold (a noise tree, say).
    """
    state = {}
    for name, value in vars(scheduler).items():
        if name in PRIVATE or callable(value):  # layers that watch its methods
            continue
        state[name] = _written(value, f"scheduler.{name}", type(scheduler).__name__, tensors)
    return state


def _written(value: Any, name: str, scheduler: str, tensors: dict[str, torch.Tensor]) -> Json:
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
        return [
            _written(item, f"{name}.{index}", scheduler, tensors)
            for index, item in enumerate(value)
        ]
    raise HandoverError(
        f"a run with {scheduler} cannot be handed over: its {name.removeprefix('scheduler.')} is a "
        f"{type(value).__name__}, which no file can hold; choose another scheduler"
    )


def restore(
    scheduler: Any,
    state: Mapping[str, Json],
    tensors: Mapping[str, torch.Tensor],
    device: torch.device,
) -> None:
    """Set a scheduler's attributes to what was captured.

    Args:
        scheduler: of the same class and configuration, with the same timesteps set.
        state, tensors: as `captured` gave them.
        device: where a solver's history is to lie, as the latents do; what the scheduler has by
            itself stays where that is.
    """
    own = vars(scheduler)
    for name, value in state.items():
        if name != "timesteps":  # equal, and the pipeline's loop holds them
            present = own.get(name)
            own[name] = _read(value, tensors, getattr(present, "device", device))


def _read(value: Json, tensors: Mapping[str, torch.Tensor], device: torch.device) -> Any:
    if isinstance(value, list):
        return [_read(item, tensors, device) for item in value]
    if isinstance(value, dict):
        if ARRAY in value:
            return tensors[value[ARRAY]].numpy()
        return tensors[value[TENSOR]].to(device)
    return value


def configuration(scheduler: Any) -> dict[str, Json]:
    """Class and configuration, as JSON."""
    content = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dict(scheduler.config).items()
        if not name.startswith("_")
    }
    return {"class": type(scheduler).__name__, **_plain(content)}


def _plain(content: dict[str, Any]) -> dict[str, Json]:
    import json

    plain: dict[str, Json] = json.loads(json.dumps(content, default=_as_list))
    return plain


def _as_list(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
