"""Pairs of published models of which one may sketch and the other render: `known_pairs.yaml`.

A pair here is a lead, not a promise: whether two models fit is checked when a stack is composed.
Importing this module imports neither torch nor diffusers.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

Handoff = Literal["identity", "change of variables", "re-encode"]
Evidence = Literal["measured", "published", "plausible", "unverified"]


class KnownPair(BaseModel):
    """Two models that may take turns.

    Attributes:
        sketch: name on the hub of the large model's pipeline, or `demo`.
        render: name on the hub of the small model, or `demo`.
        family: name of the denoiser adapter.
        handoff: what happens where the render model takes over; a key of `HANDOFFS`.
        evidence: how much is known; a key of `EVIDENCE`.
        known: what is known of the pair.
        source: of what is known.
        unverified: what could not be verified, or nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sketch: str
    render: str
    family: str
    handoff: Handoff
    evidence: Evidence
    known: str
    source: str
    unverified: str = ""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    handoffs: dict[Handoff, str]
    evidence: dict[Evidence, str]
    pairs: list[KnownPair]


_file = _File.model_validate(
    yaml.safe_load((files(__package__) / "known_pairs.yaml").read_text(encoding="utf-8"))
)
HANDOFFS = _file.handoffs
"""What happens where the render model takes over."""
EVIDENCE = _file.evidence
"""How much is known of a pair."""
PAIRS = tuple(_file.pairs)
"""Every pair that is known here, the demo pair first."""


def pairs_of(name: str) -> list[KnownPair]:
    """Pairs in which a model's name contains `name`; case does not matter."""
    wanted = name.lower()
    return [
        pair for pair in PAIRS if wanted in pair.sketch.lower() or wanted in pair.render.lower()
    ]
