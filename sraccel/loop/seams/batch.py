"""Batches as lists: some models take one tensor for each image, and return one for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def joined(batch: Any) -> torch.Tensor:
    """The latents or predictions of a batch as one tensor.

    Args:
        batch: the tensor itself, (B, ...); or a list of B tensors (Z-Image), or of B lists, of
            which the last is the noisy one and those before it are given (Z-Image Omni).

    Returns:
        Of a list, its tensors stacked; where they differ in size, the first.
    """
    import torch

    if isinstance(batch, torch.Tensor):
        return batch
    tensors = [_noisy(one) for one in batch]
    return torch.stack(tensors) if of_one_size(tensors) else tensors[0]


def parted(changed: Any, like: Any) -> Any:
    """Latents in the form of the batch whose `joined` they stand in for.

    Args:
        changed: one tensor; or a list, which is taken as it is.
        like: the batch.
    """
    import torch

    if isinstance(like, torch.Tensor) or not isinstance(changed, torch.Tensor):
        return changed
    noisy = [_noisy(one) for one in like]
    parts = [*changed.unbind()] if of_one_size(noisy) else [changed, *noisy[1:]]
    if isinstance(like[0], torch.Tensor):
        return parts
    return [[*one[:-1], part] for part, one in zip(parts, like, strict=True)]


def of_one_size(tensors: Sequence[torch.Tensor]) -> bool:
    """Whether the tensors can be stacked."""
    return len({tensor.shape for tensor in tensors}) == 1


def _noisy(one: Any) -> torch.Tensor:
    tensor: torch.Tensor = one[-1] if isinstance(one, (list, tuple)) else one
    return tensor
