"""What a pipeline keeps of the call that it is in, as attributes that another call would change."""

from __future__ import annotations

from typing import Any

PASSING = ("_current_timestep", "_interrupt", "_num_timesteps", "_progress_bar_config")
"""What every call changes, and no result depends on."""


class PipelineState:
    """The attributes as they were when last looked at (`_guidance_scale`, `_attention_kwargs`)."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._seen: dict[str, Any] = {}

    def look(self) -> list[str]:
        """Names of those that have changed since the last look."""
        before, self._seen = self._seen, self._kept()
        return _changed(before, self._seen)

    @property
    def changed(self) -> list[str]:
        """The same, without looking."""
        return _changed(self._seen, self._kept())

    def _kept(self) -> dict[str, Any]:
        attributes = dict(vars(self._pipeline))
        return {
            name: value
            for name, value in attributes.items()
            if name.startswith("_") and name not in PASSING
        }


def _changed(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """A pipeline's first call makes some of the attributes."""
    return [name for name in now if not _same(before.get(name), now[name])]


def _same(one: Any, other: Any) -> bool:
    plain = (str, int, float, tuple)
    return one is other or (isinstance(one, plain) and type(one) is type(other) and one == other)
