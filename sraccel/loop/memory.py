"""State of accelerators within a run, kept so that nothing stale can be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

State = TypeVar("State")


Key = tuple[str, str, str, str, tuple[int, ...]]
"""What a state belongs to: an accelerator's name; its own state, or the history of a level; a
denoiser's role; a branch; and the shape of the latents, since guidance may come and go within one
batch."""


class Memory:
    """State by key, fresh unless that was asked for one step of the solver before.

    A model switch and back, a guidance interval and a new run all leave a gap, so that accelerators
    need no code for them. A solver's predictor and corrector lie at other noise levels, so each
    evaluation of a step goes on from the same evaluation of the step before.

    Attributes:
        peak_bytes: the most that an accelerator's states held at the end of a step, by its name,
            for states that say so by an attribute `nbytes`.
    """

    def __init__(self) -> None:
        self._states: dict[Key, Any] = {}  # asked for in the open step
        self._before: dict[Key, Any] = {}  # asked for in the step before
        self._kept: dict[int, tuple[int, dict[Key, Any]]] = {}  # by evaluation: step and states
        self.peak_bytes: dict[str, int] = {}

    def begin(self, solver_step: int, evaluation: int) -> None:
        """A step begins."""
        seen, states = self._kept.get(evaluation, (-1, {}))
        self._before = states if seen == solver_step - 1 else {}
        self._states = {}

    def recall(self, key: Key, factory: Callable[[], State]) -> State:
        """The state of a key, made anew where it would be stale."""
        state: State | None = self._states.get(key)
        if state is None:
            state = self._before.get(key)
            if state is None:
                state = factory()
            self._states[key] = state
        return state

    def end(self, solver_step: int, evaluation: int) -> None:
        """Let go of what the next step may not see, and note how much the rest holds."""
        self._kept[evaluation] = solver_step, self._states
        self._before = {}
        held: dict[str, int] = {}
        for number, (seen, states) in list(self._kept.items()):
            if seen < solver_step - 1:
                del self._kept[number]
                continue
            for key, state in states.items():
                held[key[0]] = held.get(key[0], 0) + getattr(state, "nbytes", 0)
        for accelerator, total in held.items():
            if total > self.peak_bytes.get(accelerator, 0):
                self.peak_bytes[accelerator] = total
