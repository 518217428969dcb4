"""SageAttention: 8-bit attention, installed per attention processor, never globally.

In: denoisers whose attention runs through diffusers' processors. Out: the same denoisers, their
attention computed by a kernel where it can, and counts of the calls that it took.
Others use: `SageAttention`.
"""

from __future__ import annotations

from sraccel.accelerators.sageattention.accelerator import SageAttention
from sraccel.plugin import Accelerator, hookimpl

__all__ = ["SageAttention"]


@hookimpl
def sraccel_accelerators() -> list[type[Accelerator]]:
    """The accelerator that a recipe names `sageattention`."""
    return [SageAttention]
