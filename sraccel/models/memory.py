"""How much memory models need, and how much is free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sraccel.errors import ModelError
from sraccel.text import byte_size

if TYPE_CHECKING:
    import torch
    from torch import nn


def weight_bytes(module: nn.Module, dtype: torch.dtype | None = None) -> int:
    """Bytes of a model's weights; `dtype`: if its floating-point weights were of that type."""
    return sum(
        tensor.numel()
        * (dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype).itemsize
        for tensor in (*module.parameters(), *module.buffers())
    )


def free_bytes(device: torch.device) -> int:
    """Bytes that can still be allocated on a device, or in main memory."""
    import torch

    if device.type != "cuda":
        import psutil

        return int(psutil.virtual_memory().available)
    free, _ = torch.cuda.mem_get_info(device)
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free + cached


def check_room(needed: int, device: torch.device, what: str, advice: str) -> None:
    """Refuse to load what does not fit.

    Raises:
        ModelError: naming what is needed and what is free.
    """
    free = free_bytes(device)
    if needed > free:
        raise ModelError(
            f"{what} needs {byte_size(needed)}, and {byte_size(free)} are free on {device}: "
            f"{advice}"
        )
