"""SRDiffusion (Cheng et al., arXiv 2505.19151): a large model sketches, a small one renders.

Others use: `SwitchDetector`, which says when to switch, the columns `COLUMNS` that it fills in, and
the role `RENDER` of the model that renders.
"""

from __future__ import annotations

from collections.abc import Iterable

from sraccel.accelerators.srdiffusion.accelerator import SRDiffusion
from sraccel.accelerators.srdiffusion.render_model import RENDER
from sraccel.accelerators.srdiffusion.switching import COLUMNS, SwitchDetector
from sraccel.plugin import Accelerator, hookimpl

__all__ = ["COLUMNS", "RENDER", "SRDiffusion", "SwitchDetector"]


@hookimpl
def sraccel_accelerators() -> Iterable[type[Accelerator]]:
    """SRDiffusion."""
    return [SRDiffusion]
