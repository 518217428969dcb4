"""What keeps something from running on this machine, and what would help."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Obstacle:
    """What keeps something from running here.

    Attributes:
        reason: why, as in `it needs lpips>=0.1, which is not installed`.
        remedy: what would help, as in `pip install 'lpips>=0.1'`; empty: nothing is known.
    """

    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.remedy}" if self.remedy else self.reason


def no_cuda() -> Obstacle | None:
    """That there is no NVIDIA GPU here, asked of the driver; None: there is one.

    For `Accelerator.obstacles`, which must not import torch.
    """
    if _cuda_devices():
        return None
    return Obstacle("it needs an NVIDIA GPU, and this machine shows none", "use one that has one")


def _cuda_devices() -> int:
    """How many devices the driver shows; 0 also where there is no driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int()
        failed = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    except (OSError, AttributeError):
        return 0
    return 0 if failed else count.value
