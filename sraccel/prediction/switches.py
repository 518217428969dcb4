"""Where an adaptive switch came in studies: `switches.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter


class UsualSwitch(BaseModel):
    """One entry; null goes with everything.

    Attributes:
        model: as `--model` names it.
        threshold: of the rule.
        beside_a_cache: whether steps are skipped in the same stack.
        step: the first one of the model that is brought, 0-based.
        of_steps: steps of the runs.
        source: who says so.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model: str | None
    threshold: float | None
    beside_a_cache: bool | None
    step: int
    of_steps: int
    source: str

    def step_of(self, steps: int) -> int:
        """The same share of a run of so many steps."""
        return round(self.step / self.of_steps * steps)

    def fits(self, model: str, options: Mapping[str, object], caches: bool) -> bool:
        """Whether it is about such a run."""
        same = self.threshold in (None, options.get("threshold"))
        return self.model in (None, model) and same and self.beside_a_cache in (None, caches)


_KNOWN = TypeAdapter(list[UsualSwitch]).validate_python(
    yaml.safe_load((files(__package__) / "switches.yaml").read_text(encoding="utf-8"))
)


def usual_switch(model: str, options: Mapping[str, object], caches: bool) -> UsualSwitch:
    """The first entry that fits."""
    return next(one for one in _KNOWN if one.fits(model, options, caches))
