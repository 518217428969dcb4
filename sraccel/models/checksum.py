"""By what a loaded model differs from another one: a checksum of its weights.

`sraccel.report.origin.fingerprint` is the one of files.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def weights_checksum(module: nn.Module) -> str | None:
    """A checksum of some of each parameter's numbers, by which models of one kind differ.

    None for weights that are elsewhere (offloaded one by one).
    """
    import torch

    checksum = 0
    for parameter in module.parameters():
        if parameter.is_meta:
            return None
        some = parameter.detach().flatten()[:16].to("cpu", torch.float64)
        checksum = zlib.crc32(some.numpy().tobytes(), checksum)
    return f"{checksum:08x}"
