"""int8 linear layers by torchao, as an accelerator."""

from collections.abc import Iterable

from sraccel.plugin import Accelerator, hookimpl
from sraccel_torchao.int8 import TorchaoInt8

__all__ = ["TorchaoInt8"]


@hookimpl
def sraccel_accelerators() -> Iterable[type[Accelerator]]:
    """The accelerators of this plugin."""
    return [TorchaoInt8]
