"""FirstBlockCache (ParaAttention): run the first block, and skip the rest if it does as before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    Call,
    RuleOptions,
    Tunable,
    hookimpl,
    rel_l1_distance,
)

if TYPE_CHECKING:
    import torch


class Probe:
    """What the first blocks added, of one guidance branch.

    Attributes:
        computed: in the last computed step; latest: in this one.
    """

    def __init__(self) -> None:
        self.computed: torch.Tensor | None = None
        self.latest: torch.Tensor | None = None

    @property
    def nbytes(self) -> int:
        """How much memory is kept from step to step."""
        return 0 if self.computed is None else self.computed.nbytes


class FirstBlock(Accelerator):
    """Runs the first block, and skips the others while it adds what it added before."""

    name = "firstblock"

    class Options(RuleOptions):
        """Options of FirstBlockCache."""

        threshold: Annotated[float, Tunable(0.02, 0.6, log=True)] = Field(
            0.05,
            ge=0,
            allow_inf_nan=False,
            description="Skip while the relative L1 change (a ratio) of what the first blocks add, "
            "since the last computed step, is no greater.",
        )
        blocks: int = Field(
            1, ge=1, description="How many first blocks always run (DBCache takes several)."
        )

    options: Options

    def __init__(self, options: AcceleratorOptions) -> None:
        super().__init__(options)
        self.block_span = (self.options.blocks, None)

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        probe = call.memory(self, Probe)
        probe.latest = call.probe_residual
        if probe.computed is None:
            return False
        return float(rel_l1_distance(probe.latest, probe.computed)) <= self.options.threshold

    @hookimpl
    def residual_computed(self, call: Call) -> None:
        probe = call.memory(self, Probe)
        probe.computed, probe.latest = probe.latest, None
