"""One decision for all guidance branches of a step, or one for each."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Literal

Scope = Literal["each", "first", "consensus"]
"""`each` branch decides for itself; the `first` call of a step decides for all; `consensus`: so it
does, but no branch is skipped against its wish. A later branch's wish to compute holds at once, for
it and those behind it, and in the next step for those that were skipped before it spoke.

On several ranks the lead's answer holds for all; with `consensus`, a skip takes the wish of all.

Branches that skip at different steps distort the difference that guidance amplifies. A loop calls
them one after the other, so a veto cannot take back what the first has been given.
"""


class Decisions:
    """The decisions of one run that hold for all branches of a step."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._step = -1
        self._taken: dict[Hashable, bool | None] = {}
        self._vetoes: set[Hashable] = set()

    def decide(self, key: Hashable, step_index: int, ask: Callable[[], bool | None]) -> bool | None:
        """Whether to skip; None: the rule rests.

        Args:
            key: what the decision is about, beside the step: a level and a denoiser.
            step_index: of the evaluation.
            ask: the rule's answer for this branch.
        """
        if step_index != self._step:
            self._step, self._taken = step_index, {}
        if key not in self._taken:
            self._taken[key] = self._first(key, ask())
        elif self._scope == "consensus" and ask() is False and self._taken[key]:
            self._vetoes.add(key)
            self._taken[key] = False
        return self._taken[key]

    def _first(self, key: Hashable, answer: bool | None) -> bool | None:
        if key not in self._vetoes or answer is None:
            return answer
        self._vetoes.discard(key)
        return False
