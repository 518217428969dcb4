"""HybridStitch: a large and a small model share a step, by regions of the video."""

from collections.abc import Iterable

from sraccel.plugin import Accelerator, hookimpl
from sraccel_stitch.hybrid import HybridStitch

__all__ = ["HybridStitch"]


@hookimpl
def sraccel_accelerators() -> Iterable[type[Accelerator]]:
    """The accelerators of this plugin."""
    return [HybridStitch]
