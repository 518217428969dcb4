"""Accelerators that leave out calls of guidance: an interval, a cache, and adaptive guidance."""

from collections.abc import Iterable

from sraccel.plugin import Accelerator, hookimpl
from sraccel_guidance.adaptive import AdaptiveGuidance
from sraccel_guidance.cache import GuidanceCache
from sraccel_guidance.interval import GuidanceInterval

__all__ = ["AdaptiveGuidance", "GuidanceCache", "GuidanceInterval"]


@hookimpl
def sraccel_accelerators() -> Iterable[type[Accelerator]]:
    """The accelerators of this plugin."""
    return [GuidanceInterval, GuidanceCache, AdaptiveGuidance]
