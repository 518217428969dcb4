"""DBCache of cache-dit as an accelerator."""

from collections.abc import Iterable

from sraccel.plugin import Accelerator, hookimpl
from sraccel_cache_dit.dbcache import DBCache

__all__ = ["DBCache"]


@hookimpl
def sraccel_accelerators() -> Iterable[type[Accelerator]]:
    """The accelerators of this plugin."""
    return [DBCache]
