"""Published magnitude ratios, by model: a value a step, of the conditional branch.

They and their sources are in `mag_ratios.toml`. A run of another number of steps takes the nearest
value.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files

assert __package__ is not None
PUBLISHED: dict[str, list[float]] = tomllib.loads(
    (files(__package__) / "mag_ratios.toml").read_text(encoding="utf-8")
)
