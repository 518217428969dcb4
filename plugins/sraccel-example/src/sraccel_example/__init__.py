"""Two accelerators as templates: one reuses residuals, the other changes the denoisers."""

from collections.abc import Iterable

from sraccel.plugin import Accelerator, hookimpl
from sraccel_example.bf16_linear import Bf16Linear
from sraccel_example.skip_schedule import SkipSchedule


@hookimpl
def sraccel_accelerators() -> Iterable[type[Accelerator]]:
    """The accelerators of this plugin."""
    return [SkipSchedule, Bf16Linear]
