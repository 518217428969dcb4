"""Whether a pipeline is still what it was before a recipe was composed for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sraccel.errors import PluginError
from sraccel.models.checksum import tensor_sums

NAMED = 3
"""Changed tensors that an error names."""


@dataclass(frozen=True)
class Weights:
    """A sum over all bits of each weight and buffer of a pipeline's models, by name."""

    sums: Mapping[str, int]

    @classmethod
    def of(cls, pipe: Any) -> Weights:
        """Those of a pipeline as it is now; tensors that are offloaded one by one are left out."""
        parts = getattr(pipe, "components", {})
        return cls(
            {
                f"{name}.{key}": value
                for name, part in parts.items()
                if hasattr(part, "named_parameters")
                for key, value in tensor_sums(part).items()
            }
        )

    def check(self, pipe: Any, accelerators: list[str]) -> None:
        """Refuse to go on with a pipeline whose weights a recipe has left changed.

        Raises:
            PluginError: what runs bare from now on would not be bare.
        """
        now = Weights.of(pipe).sums
        changed = [name for name in self.sums.keys() & now.keys() if self.sums[name] != now[name]]
        if changed:
            shown = ", ".join(sorted(changed)[:NAMED])
            more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
            raise PluginError(
                f"the recipe ({' + '.join(accelerators)}) left the pipeline's weights changed: "
                f"{shown}{more}. A bare run would not be bare any more, so nothing can be compared "
                "with it. Weights are changed in `prepare_denoiser` alone, whose context changes "
                "them back; load the pipeline anew",
                accelerator=accelerators[0] if len(accelerators) == 1 else None,
            )
