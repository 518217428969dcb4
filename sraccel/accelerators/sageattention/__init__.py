"""SageAttention: 8-bit attention, installed per attention processor, never globally."""

from __future__ import annotations

from sraccel.accelerators.sageattention.accelerator import SageAttention
from sraccel.plugin import Accelerator, hookimpl

__all__ = ["SageAttention"]


@hookimpl
def sraccel_accelerators() -> list[type[Accelerator]]:
    """The accelerator that a recipe names `sageattention`."""
    return [SageAttention]
