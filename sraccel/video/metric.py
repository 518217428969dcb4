"""A quality metric: compares an accelerated video with the bare one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from sraccel.loop.obstacle import Obstacle


@dataclass(frozen=True)
class Metric:
    """A named comparison of two videos.

    Attributes:
        name: the key under `quality` in the report, with its unit: `psnr_db`.
        compare: takes the accelerated and the bare video, float32 in [0, 1], of shape
            (frames, channels, height, width); returns one number.
        loss: turns a value into what is lost: 0 for identical videos, more for worse ones, such
            that losses can be added. None: the bare video's value minus it.
        limits: the least and the greatest value that it can give; None: any number.
        requires: packages that it needs, as in `lpips>=0.1`.
        obstacles: says what else keeps it from running on this machine (weights that are not here,
            say), for `sraccel plugins`; must not import torch.
    """

    name: str
    compare: Callable[[torch.Tensor, torch.Tensor], float]
    loss: Callable[[float], float] | None = None
    limits: tuple[float, float] | None = None
    requires: tuple[str, ...] = ()
    obstacles: Callable[[], Iterable[Obstacle]] = tuple
