"""State of accelerators within a run, kept so that nothing stale can be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

State = TypeVar("State")
Key = tuple[str, str, str, tuple[int, ...]]
"""(accelerator, role of the denoiser, branch, shape of the noisy latents)"""


class Memory:
    """State by accelerator, denoiser, branch and shape, fresh unless that was seen one step before.

    A model switch and back, a guidance interval and a new run all leave a gap, so that accelerators
    need no code for them.

    Attributes:
        peak_bytes: the most that an accelerator's states held at the end of a step, by its name,
            for states that say so by an attribute `nbytes`.
    """

    def __init__(self) -> None:
        self._states: dict[Key, tuple[object, int]] = {}
        self.peak_bytes: dict[str, int] = {}

    def recall(self, key: Key, step_index: int, factory: Callable[[], State]) -> State:
        """The state of a key at a step, made anew where it would be stale."""
        state, seen = self._states.get(key, (None, -2))
        if seen == step_index:
            return state  # type: ignore[return-value]
        if seen != step_index - 1:
            state = factory()
        self._states[key] = (state, step_index)
        return state  # type: ignore[return-value]

    def step_over(self, step_index: int) -> None:
        """Let go of what the next step may not see, and note how much the rest holds."""
        for key in [key for key, (_, seen) in self._states.items() if seen != step_index]:
            del self._states[key]
        held: dict[str, int] = {}
        for (accelerator, *_), (state, _) in self._states.items():
            if hasattr(state, "nbytes"):
                held[accelerator] = held.get(accelerator, 0) + state.nbytes
        for accelerator, total in held.items():
            if total > self.peak_bytes.get(accelerator, 0):
                self.peak_bytes[accelerator] = total
