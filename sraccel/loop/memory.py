"""State of accelerators within a run, kept so that nothing stale can be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

State = TypeVar("State")


class Key(NamedTuple):
    """What a state belongs to.

    Attributes:
        accelerator: its name.
        denoiser: its role.
        shape: of the noisy latents: guidance may come and go within one batch.
        what: the accelerator's own state, or the history of a level.
        evaluation: which of a step's evaluations of the model it is: a solver's predictor and
            corrector lie at other noise levels, so each is compared with its own.
    """

    accelerator: str
    denoiser: str
    branch: str
    shape: tuple[int, ...]
    what: str
    evaluation: int


class Memory:
    """State by key, fresh unless that was seen one step of the solver before.

    A model switch and back, a guidance interval and a new run all leave a gap, so that accelerators
    need no code for them.

    Attributes:
        peak_bytes: the most that an accelerator's states held at the end of a step, by its name,
            for states that say so by an attribute `nbytes`.
    """

    def __init__(self) -> None:
        self._states: dict[Key, tuple[object, int]] = {}
        self.peak_bytes: dict[str, int] = {}

    def recall(self, key: Key, solver_step: int, factory: Callable[[], State]) -> State:
        """The state of a key at a step, made anew where it would be stale."""
        state, seen = self._states.get(key, (None, -2))
        if seen == solver_step:
            return state  # type: ignore[return-value]
        if seen != solver_step - 1:
            state = factory()
        self._states[key] = (state, solver_step)
        return state  # type: ignore[return-value]

    def step_over(self, solver_step: int, evaluation: int) -> None:
        """Let go of what the next one may not see, and note how much the rest holds."""
        before = solver_step - 1
        stale = [
            key
            for key, (_, seen) in self._states.items()
            if seen < before or (seen == before and key.evaluation <= evaluation)
        ]
        for key in stale:
            del self._states[key]
        held: dict[str, int] = {}
        for key, (state, _) in self._states.items():
            if hasattr(state, "nbytes"):
                held[key.accelerator] = held.get(key.accelerator, 0) + state.nbytes
        for accelerator, total in held.items():
            if total > self.peak_bytes.get(accelerator, 0):
                self.peak_bytes[accelerator] = total
