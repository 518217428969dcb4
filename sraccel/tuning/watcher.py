"""Who hears how a tuning goes."""

from __future__ import annotations

from typing import Literal

Phase = Literal["searching", "on held-out prompts", "looking for cliffs"]


class Watcher:
    """Hears how it goes; does nothing with it."""

    def planned(self, tuned: list[str], left_out: dict[str, str], spent: float) -> None:
        """What is searched, what is not and why, and the seconds that earlier runs took."""

    def phase(self, phase: Phase) -> None:
        """Another part begins."""

    def run(self, label: str, spent: float) -> None:
        """A run begins; `spent`: seconds of those before."""

    def trial(self, number: int, best: str) -> None:
        """A trial ended; `best`: what is the fastest so far that is good enough."""

    def step(self, what: str, done: int, total: int) -> None:
        """A denoising step was taken."""
