"""Sizes of the two pools of workers: those that sketch, and those that render."""

from __future__ import annotations

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
