"""A candidate: accelerators with their options, as a recipe gives them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from sraccel.errors import RecipeError
from sraccel.loop.accelerator import AcceleratorOptions
from sraccel.models.source import ModelSource
from sraccel.recipe.recipe import Recipe
from sraccel.study.cell import Block

Kind = Literal["bare", "shipped", "rival", "tuned"]
"""`shipped`: the recipe as it was given; `rival`: fewer steps, placed, and nothing else."""


class Candidate(BaseModel):
    """One way of running the pipeline.

    Attributes:
        accelerators: as a recipe's list; plain data, that fits JSON.
        kind: what it is tried for.
    """

    model_config = ConfigDict(frozen=True)

    accelerators: list[dict[str, Any]]
    kind: Kind = "tuned"

    @property
    def key(self) -> str:
        """The same for the same accelerators and options."""
        content = json.dumps(self.accelerators, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def __hash__(self) -> int:
        """By the key, since its list has none."""
        return hash(self.key)

    @property
    def label(self) -> str:
        """In one line: `steps(number=10) + srdiffusion(switch_step=4)`."""
        return " + ".join(map(_said, self.accelerators)) or "bare"


BARE = Candidate(accelerators=[], kind="bare")


class Missing(NamedTuple):
    """A run that is to be made: which candidate, on which prompt and noise."""

    candidate: Candidate
    block: Block

    @property
    def is_bare(self) -> bool:
        """Whether nothing is accelerated."""
        return self.candidate.key == BARE.key


def _said(item: dict[str, Any]) -> str:
    given = {name: value for name, value in item.items() if name not in ("use", "render")}
    options = ", ".join(f"{name}={_short(value)}" for name, value in given.items())
    return f"{item['use']}({options})" if options else str(item["use"])


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def shipped(recipe: Recipe) -> Candidate:
    """The recipe as it is.

    Raises:
        RecipeError: it holds a model instead of a name, which no file can hold.
    """
    return Candidate(accelerators=plain_items(recipe), kind="shipped")


def _named(item: AcceleratorOptions) -> dict[str, str]:
    """Models that are given by nothing but a name, as a recipe's file has them."""
    given = {name: getattr(item, name) for name in item.model_fields_set}
    return {
        name: value.model
        for name, value in given.items()
        if isinstance(value, ModelSource) and value.model_fields_set == {"model"}
    }


def plain_items(recipe: Recipe) -> list[dict[str, Any]]:
    """The accelerators of a recipe as plain data; errors as `shipped`."""
    items: Sequence[Any] = recipe.accelerators
    try:
        return [
            {"use": item.use, **item.model_dump(mode="json", exclude_unset=True), **_named(item)}
            for item in items
        ]
    except ValueError as error:
        raise RecipeError(
            f"tuning writes recipe files, and this recipe holds what no file can hold: name its "
            f"models by folder or name ({error})"
        ) from None
