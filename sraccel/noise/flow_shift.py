"""The flow shift: which noise levels a flow-matching sampler visits.

`sigma = s u / (1 + (s - 1) u)` for u evenly spaced in [0, 1] (Esser et al., arXiv 2403.03206,
section 5.3.2). The same noise level destroys less of a larger video, so the shift that treats two
sizes alike grows with the square root of the number of latent positions. Importing this module
imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

KEYS = ("flow_shift", "shift")
"""Of schedulers' configurations: UniPC's and DPM++'s, and the Euler ones'."""
DYNAMIC = "use_dynamic_shifting"
TOLERANCE = 1.01
"""Two shifts are the same within this ratio."""


def flow_shift(config: Mapping[str, Any]) -> float | None:
    """The shift of a scheduler's configuration; None: it has none, or one that follows the size."""
    if config.get(DYNAMIC) or config.get("use_flow_sigmas") is False:
        return None
    given = next((config[key] for key in KEYS if config.get(key) is not None), None)
    return float(given) if given is not None and given > 0 else None


def same_shift(one: float, other: float) -> bool:
    """Whether two shifts visit the same noise levels."""
    return abs(math.log(one / other)) <= math.log(TOLERANCE)
