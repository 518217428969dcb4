"""The quality of accelerated videos beside the bare ones, by every metric that is installed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sraccel.recipe.catalogue import installed

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Quality:
    """What the metrics gave.

    Attributes:
        values: by the metric's name.
        lacks: why a metric has none, by its name.
    """

    values: dict[str, float] = field(default_factory=dict)
    lacks: dict[str, str] = field(default_factory=dict)

    def take(self, name: str, value: float) -> None:
        """Note a metric's number, if it is one."""
        if math.isfinite(value):
            self.values[name] = value
        else:
            self.lacks[name] = f"the metric {name!r} gave {value}, which says nothing"


def quality_of(accelerated: torch.Tensor | None, bare: torch.Tensor | None) -> Quality:
    """Each metric, averaged over the videos of a batch.

    A metric that fails is noted and raises nothing: the runs are done, and must not be lost.

    Args:
        accelerated: frames as `frames_of` gives them; None where there are none.
        bare: those of the same prompts and noise.
    """
    if accelerated is None or bare is None or accelerated.shape != bare.shape:
        lack = "quality was not measured: the runs returned no frames, or of different sizes"
        return Quality(lacks={"frames": lack})
    quality = Quality()
    for name, metric in installed().metrics.items():
        try:
            value = math.fsum(_each(metric.compare, accelerated, bare)) / len(accelerated)
        except Exception as error:
            quality.lacks[name] = f"the metric {name!r} raised {type(error).__name__}: {error}"
        else:
            quality.take(name, value)
    return quality


def _each(compare_videos: Any, ours: Any, theirs: Any) -> Iterator[float]:
    for one, other in zip(ours, theirs, strict=True):
        yield float(compare_videos(one, other))
