"""What TeaCache's authors measured: seconds by threshold, and the share of steps that implies.

The times are those of its official repository (June 2025), on one device each. A skipped step is
taken to cost nothing, so a share is at least as small as what was really skipped.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

Times = tuple[float, Mapping[float, float]]
"""(bare seconds, seconds by threshold)"""

# fmt: off
PLAIN: Mapping[str, Times] = {
    "Wan2.1 t2v 1.3B": (175, {0.05: 117, 0.07: 110, 0.08: 88}),
    "Wan2.1 t2v 14B": (55, {0.14: 38, 0.15: 30, 0.2: 27}),
    "Wan2.1 i2v 480P": (735, {0.13: 464, 0.19: 372, 0.26: 300}),
    "Wan2.1 i2v 720P": (29, {0.18: 17, 0.2: 15, 0.3: 12}),
    "CogVideoX1.5-5B": (1, {0.1: 1 / 1.3, 0.2: 1 / 1.8, 0.3: 1 / 2.1}),
    "HunyuanVideo": (1, {0.1: 1 / 1.6, 0.15: 1 / 2.1}),
    "Flux.1 dev": (1, {0.25: 1 / 1.5, 0.4: 1 / 1.8, 0.6: 1 / 2.0, 0.8: 1 / 2.25}),
    "LTX-Video 2B": (1, {0.03: 1 / 1.6, 0.05: 1 / 2.1}),
    "Mochi": (1, {0.06: 1 / 1.5, 0.09: 1 / 2.1}),
}
RETENTION: Mapping[str, Times] = {
    "Wan2.1 t2v 1.3B": (97, {0.05: 61, 0.1: 41}),
    "Wan2.1 t2v 14B": (1829, {0.1: 915, 0.2: 578}),
    "Wan2.1 i2v 480P": (385, {0.2: 212, 0.3: 164}),
    "Wan2.1 i2v 720P": (903, {0.2: 430, 0.3: 340}),
}
# fmt: on


def published_share(model: str, retention: bool, threshold: float) -> float | None:
    """Share of the steps that is skipped, between published thresholds and from 0 on; else None."""
    times = (RETENTION if retention else PLAIN).get(model)
    if times is None:
        return None
    bare, by_threshold = times
    points = [(0.0, 0.0), *((at, 1 - seconds / bare) for at, seconds in by_threshold.items())]
    for (low, less), (high, more) in itertools.pairwise(points):
        if low <= threshold <= high:
            return less + (threshold - low) / (high - low) * (more - less)
    return None
