"""Where a model's weights are while a stack is attached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import torch
    from torch import nn

Placement: TypeAlias = "Callable[[nn.Module, torch.device], AbstractContextManager[None]]"
"""Entered on attaching, with a model and the device that computes; left on detaching."""


def execution_device(module: nn.Module) -> torch.device:
    """Where a module computes; of one that is offloaded sequentially, its parts' hooks know it."""
    import torch

    device: torch.device = next(module.parameters()).device
    if device.type != "meta":
        return device
    hooks = (getattr(part, "_hf_hook", None) for part in module.modules())
    known = (getattr(hook, "execution_device", None) for hook in hooks)
    return next((torch.device(found) for found in known if found is not None), device)


def arrives_late(block: nn.Module) -> bool:
    """Whether a block's own weights are brought by a hook of the block itself, when it runs."""
    registry: Any = getattr(block, "_diffusers_hook", None)
    if registry is not None and registry.get_hook("group_offloading") is not None:
        return True
    own = block._parameters.values()
    return any(parameter is not None and parameter.is_meta for parameter in own)


@contextmanager
def on_device(module: nn.Module, device: torch.device) -> Iterator[None]:
    """A contributed denoiser where the pipeline computes, ready to infer; then back as it was."""
    import torch

    before, training = next(module.parameters()).device, module.training
    # Where nothing moves, leave `to` alone: quantised and sequentially offloaded models refuse it.
    moves = before not in (device, torch.device("meta"))
    module.eval()
    if moves:
        module.to(device)
    try:
        yield
    finally:
        if moves:
            module.to(before)
        module.train(training)
