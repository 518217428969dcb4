"""The caches of diffusers as accelerators: each puts diffusers' own hooks on every denoiser."""

from collections.abc import Iterable

from sraccel.plugin import Accelerator, hookimpl
from sraccel_diffusers_caches.attention import FasterCache, PyramidAttention
from sraccel_diffusers_caches.blocks import FirstBlockCache, MagCache, SeaCache
from sraccel_diffusers_caches.taylorseer import TaylorSeer

__all__ = [
    "FasterCache",
    "FirstBlockCache",
    "MagCache",
    "PyramidAttention",
    "SeaCache",
    "TaylorSeer",
]


@hookimpl
def sraccel_accelerators() -> Iterable[type[Accelerator]]:
    """The accelerators of this plugin."""
    return [FirstBlockCache, MagCache, SeaCache, TaylorSeer, PyramidAttention, FasterCache]
