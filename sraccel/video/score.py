"""A quality score: judges one video by itself, against its prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from sraccel.loop.obstacle import Obstacle


@dataclass(frozen=True)
class Score:
    """A named judgement of one video; more is better.

    Attributes:
        name: unlike every other score's and metric's, with its unit if it has one.
        judge: takes a video, float32 in [0, 1], of shape (frames, channels, height, width), and
            the prompt that it was made for; returns one number, or None where it cannot judge
            this prompt or this video.
        limits: the least and the greatest value that it can give; None: any number.
        requires: packages that it needs, as in `lpips>=0.1`.
        obstacles: says what else keeps it from running on this machine (weights that are not here,
            say), for `sraccel plugins`; must not import torch.
    """

    name: str
    judge: Callable[[torch.Tensor, str], float | None]
    limits: tuple[float, float] | None = None
    requires: tuple[str, ...] = ()
    obstacles: Callable[[], Iterable[Obstacle]] = tuple
