"""A scheduler's state as values: where it is in its schedule, and a solver's history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sraccel.handover.values import Json, read, written

if TYPE_CHECKING:
    import torch

PRIVATE = {"_internal_dict", "_compatibles"}
"""Of diffusers' own: the configuration, which is compared, and classes."""


def captured(scheduler: Any, tensors: dict[str, torch.Tensor]) -> dict[str, Json]:
    """Every attribute of a scheduler, as JSON; its tensors go into `tensors`.

    Raises:
        HandoverError: an attribute is of a kind that no file can hold (a noise tree, say).
    """
    state = {}
    for name, value in vars(scheduler).items():
        if name in PRIVATE or callable(value):  # layers that watch its methods
            continue
        state[name] = written(value, f"scheduler.{name}", tensors, "choose another scheduler")
    return state


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
            own[name] = read(value, tensors, getattr(present, "device", device))


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
