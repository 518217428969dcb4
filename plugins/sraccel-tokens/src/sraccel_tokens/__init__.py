"""Token merging: self-attention sees similar tokens of a frame as one."""

from collections.abc import Iterable

from sraccel.plugin import Accelerator, hookimpl
from sraccel_tokens.merging import TokenMerging

__all__ = ["TokenMerging"]


@hookimpl
def sraccel_accelerators() -> Iterable[type[Accelerator]]:
    """The accelerators of this plugin."""
    return [TokenMerging]
