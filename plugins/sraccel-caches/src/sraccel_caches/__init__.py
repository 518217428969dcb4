"""Published caches as rules: SeaCache, MagCache, EasyCache and FirstBlockCache."""

from collections.abc import Iterable

from sraccel.plugin import Accelerator, Calibration, hookimpl
from sraccel_caches.easycache import EasyCache
from sraccel_caches.firstblock import FirstBlock
from sraccel_caches.mag_calibration import MagRatios
from sraccel_caches.magcache import MagCache
from sraccel_caches.seacache import SeaCache

__all__ = ["EasyCache", "FirstBlock", "MagCache", "SeaCache"]


@hookimpl
def sraccel_accelerators() -> Iterable[type[Accelerator]]:
    """The accelerators of this plugin."""
    return [SeaCache, MagCache, EasyCache, FirstBlock]


@hookimpl
def sraccel_calibrations() -> Iterable[type[Calibration]]:
    """What can be calibrated of them."""
    return [MagRatios]
