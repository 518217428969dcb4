"""Regional `torch.compile` as an accelerator."""

from collections.abc import Iterable

from sraccel.plugin import Accelerator, hookimpl
from sraccel_compile.regional import RegionalCompile

__all__ = ["RegionalCompile"]


@hookimpl
def sraccel_accelerators() -> Iterable[type[Accelerator]]:
    """The accelerators of this plugin."""
    return [RegionalCompile]
