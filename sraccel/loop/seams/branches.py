"""Names of guidance branches where the loop does not give one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from sraccel.loop.step import Step


class BranchNames:
    """Tells a run's branches apart by the identity of their conditioning.

    Holds the tensors, so that an identity cannot be taken over by another one.
    """

    def __init__(self) -> None:
        self._conditions: list[torch.Tensor] = []

    def name(self, step: Step, condition: Any) -> str:
        """`branch0`, `branch1`, ... by conditioning; without one, by position in the step."""
        if condition is None:
            return f"call{len(step.calls)}"
        for position, known in enumerate(self._conditions):
            if known is condition:
                return f"branch{position}"
        self._conditions.append(condition)
        return f"branch{len(self._conditions) - 1}"
