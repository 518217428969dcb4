"""Sizes of the two pools of workers: those that sketch, and those that render."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sraccel.errors import ConflictError

USAGE = "--workers is `auto`, or sizes as in `sketch=2,render=1`"


@dataclass(frozen=True)
class Pools:
    """How many workers of each kind.

    Attributes:
        sketch: that hold the pipeline's own model: they encode, and take the steps up to the
            switch.
        render: that hold the render model: they take the rest, decode and write.
    """

    sketch: int = 1
    render: int = 1

    def __str__(self) -> str:
        return f"sketch={self.sketch},render={self.render}"

    def limited(self, prompts: int) -> Pools:
        """No more workers in a pool than there are prompts."""
        return Pools(min(self.sketch, prompts), min(self.render, prompts))


def parse_pools(text: str) -> Pools | None:
    """Sizes as they are given; None for `auto`.

    Raises:
        ConflictError: they are not of the form `sketch=2,render=1`.
    """
    if text == "auto":
        return None
    sizes: dict[str, int] = {}
    for part in text.split(","):
        name, _, count = part.strip().partition("=")
        if name not in ("sketch", "render") or name in sizes or not count.isdecimal():
            raise ConflictError(f"{USAGE}, not {text!r}")
        sizes[name] = int(count)
    if 0 in sizes.values():
        raise ConflictError(f"a pool has at least one worker, not 0 as in {text!r}")
    return Pools(**sizes)


def balanced(devices: int, sketch_seconds: float, render_seconds: float) -> Pools:
    """The sizes that make most prompts in a time, one worker on each device.

    Args:
        devices: how many; two at least.
        sketch_seconds: that a prompt takes in the sketch pool.
        render_seconds: that it takes in the render pool.
    """

    def seconds_a_prompt(sketch: int) -> float:
        return max(sketch_seconds / sketch, render_seconds / (devices - sketch))

    sketch = min(range(1, devices), key=seconds_a_prompt)
    return Pools(sketch, devices - sketch)


Shares = tuple[float, float]
"""What a prompt takes in the sketch pool and in the render pool: seconds, or parts of its work."""


class Sizing:
    """Sizes that nobody gave.

    The seconds of the first prompt that was in both stages decide: they hold what no forecast has
    (these devices, encoding, decoding, writing). Where they come too late or not at all, the
    forecast does: where there are no more prompts than devices, so that all should begin at once,
    and where no switch came in the first one, so that nothing was rendered.

    Args:
        devices: how many; a pool has one worker at least all the same.
        prompts: how many there are to be made.
        forecast: gives the parts of a prompt's work; asked at most once.

    Attributes:
        now: the sizes so far.
        settled: whether they stay.
    """

    def __init__(self, devices: int, prompts: int, forecast: Callable[[], Shares]) -> None:
        self._devices, self._prompts = max(devices, 2), prompts
        self._forecast = forecast
        self.now, self.settled = Pools(), False
        if 2 * prompts <= self._devices:
            self._settle((1.0, 1.0))
        elif prompts <= self._devices:
            self._settle(forecast())

    def hear(self, sketched: Sequence[float], rendered: Sequence[float], whole: bool) -> bool:
        """Settle the sizes, if they can be by now; whether they were settled by that.

        Args:
            sketched, rendered: seconds that prompts took in either stage so far.
            whole: whether the first stage made a whole video, as no switch came.
        """
        if self.settled:
            return False
        if sketched and rendered:
            self._settle((sketched[0], rendered[0]))
        elif whole:
            self._settle(self._forecast())
        return self.settled

    def _settle(self, shares: Shares) -> None:
        self.now = balanced(self._devices, *shares).limited(self._prompts)
        self.settled = True
