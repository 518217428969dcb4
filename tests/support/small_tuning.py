"""A small tuning of the trained pair: few steps, small frames, few trials."""

from __future__ import annotations

from sraccel.tuning.goal import Goal
from sraccel.tuning.wanted import Wanted
from sraccel.tuning.watcher import Watcher

SMALL = {"height": 32, "width": 32, "num_frames": 5, "num_inference_steps": 8}
PROMPTS = [
    "a red circle moving left",
    "a blue square moving down",
    "a green triangle moving right",
    "a yellow square moving up",
    "a cyan circle moving left",
    "a purple triangle moving down",
]
RECIPE = {
    "name": "two",
    "model": "demo",
    "accelerators": [
        {"use": "srdiffusion", "render": "demo", "switch_step": 3},
        {"use": "teacache", "threshold": 0.1},
    ],
}
WANTED = Wanted(Goal("psnr_db", ">=", 15.0), PROMPTS[:3], PROMPTS[3:], budget=600.0, trials=5)


class Runs(Watcher):
    """Notes each run; interrupts the first one after so many trials, if it is told to."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.labels: list[str] = []
        self.trials = 0
        self._after = interrupt_after

    def run(self, label: str, spent: float) -> None:
        self.labels.append(label)
        if self._after is not None and self.trials >= self._after:
            raise KeyboardInterrupt

    def trial(self, number: int, best: str) -> None:
        self.trials = number
