"""SRDiffusion (Cheng et al., arXiv 2505.19151): a large model sketches, a small one renders."""

from __future__ import annotations

from collections.abc import Iterable

from sraccel.accelerators.srdiffusion.accelerator import SRDiffusion
from sraccel.plugin import Accelerator, hookimpl

__all__ = ["SRDiffusion"]


@hookimpl
def sraccel_accelerators() -> Iterable[type[Accelerator]]:
    """SRDiffusion."""
    return [SRDiffusion]
