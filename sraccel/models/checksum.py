"""A checksum of a loaded model's weights; `sraccel.report.origin.fingerprint` is that of files."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def tensor_sums(module: nn.Module) -> dict[str, int]:
    """A sum over all bits of each parameter and buffer, by name; cheap beside a denoising step.

    Two changes may cancel each other in it; one does not. Tensors without data here (offloaded one
    by one) and those whose bits cannot be looked at (some quantised ones) are left out.
    """
    import torch

    kinds = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    sums = {}
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        kind = kinds.get(tensor.element_size())
        if tensor.is_meta or kind is None or tensor.is_complex():
            continue
        try:
            sums[name] = int(tensor.detach().contiguous().view(kind).sum(dtype=torch.int64))
        except (RuntimeError, NotImplementedError):
            continue
    return sums


def weights_checksum(module: nn.Module) -> str | None:
    """A checksum of the first numbers of each parameter, in which models of one kind differ.

    None if the weights are elsewhere (offloaded one by one).
    """
    import torch

    checksum = 0
    for parameter in module.parameters():
        if parameter.is_meta:
            return None
        some = parameter.detach().flatten()[:16].to("cpu", torch.float64)
        checksum = zlib.crc32(some.numpy().tobytes(), checksum)
    return f"{checksum:08x}"
