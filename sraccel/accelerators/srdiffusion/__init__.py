"""SRDiffusion (Cheng et al., arXiv 2505.19151): a large model sketches, a small one renders.

Others use: `SwitchDetector`, which says when to switch.
"""

from __future__ import annotations

from collections.abc import Iterable

from sraccel.accelerators.srdiffusion.accelerator import SRDiffusion
from sraccel.accelerators.srdiffusion.switching import SwitchDetector
from sraccel.plugin import Accelerator, hookimpl

__all__ = ["SRDiffusion", "SwitchDetector"]


@hookimpl
def sraccel_accelerators() -> Iterable[type[Accelerator]]:
    """SRDiffusion."""
    return [SRDiffusion]
