"""What each model family has: rules, predictors, partners, attention, evidence; for the docs."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tiny import BLOCK_STACKS, SDXL, TinyFamily

from sraccel.accelerators.sageattention.processor import attention_modules
from sraccel.accelerators.teacache.published import PUBLISHED
from sraccel.accelerators.teacache.rule import Variant
from sraccel.loop.claims import BY_HOOK
from sraccel.loop.denoiser_adapter import DenoiserAdapter
from sraccel.models.known_pairs import PAIRS
from sraccel.plugin import Accelerator
from sraccel.recipe.catalogue import installed

PACKAGES = Path(__file__).parents[2] / "plugins"
sys.path.append(str(PACKAGES / "sraccel-caches" / "src"))

from sraccel_caches.mag_ratios import PUBLISHED as RATIOS  # noqa: E402

HEADINGS = "family | model classes | rules | predictors | switch partner | attention | evidence"


@cache
def pipeline(tiny: TinyFamily) -> Any:
    """The tiny pipeline, made once for all tables; only looked at."""
    return tiny.pipeline()


def rows(accelerators: Sequence[type[Accelerator]]) -> Iterator[tuple[str, ...]]:
    """A row for each family with an adapter, by name."""
    adapters = {adapter.family: adapter for adapter in installed().adapters}
    for family in sorted({tiny.family for tiny in (*BLOCK_STACKS, SDXL)}):
        adapter = adapters[family]
        driven = [tiny for tiny in (*BLOCK_STACKS, SDXL) if tiny.family == family]
        models = [model for tiny in driven for model in tiny.denoisers(pipeline(tiny))]
        classes = dict.fromkeys(type(model).__name__ for model in models)
        yield (
            f"`{family}`",
            ", ".join(f"`{name}`" for name in classes),
            _rules(adapter, accelerators) if adapter.block_lists else "none: it has no block stack",
            _of_claim("predictor", adapter, accelerators) if adapter.block_lists else "none",
            _partners(family, adapter),
            _attention(models),
            _evidence(driven),
        )


def _of_claim(claim: str, adapter: DenoiserAdapter, among: Sequence[type[Accelerator]]) -> str:
    names = [
        f"`{kind.name}`"
        for kind in among
        if any(hasattr(kind, hook) for hook in BY_HOOK[claim])
        and (kind.families is None or adapter.family in kind.families)
    ]
    return ", ".join(names)


def _rules(adapter: DenoiserAdapter, among: Sequence[type[Accelerator]]) -> str:
    """Rules that take the family; of those that need numbers, for which models they are known."""
    family = adapter.family
    models = [entry.model for entry in PUBLISHED if entry.family == family]
    plural = "s"[: len(models) > 1]
    known = (
        f"coefficients of {len(models)} model{plural}" if models else "coefficients to be fitted"
    )
    variants = "; retention" if Variant.RETENTION.modulated_input(adapter) is not None else ""
    names = _of_claim("rule", adapter, among).replace(
        "`teacache`", f"`teacache` ({known}{variants})"
    )
    ratios = [f"`{name}`" for name in RATIOS if name.startswith(family)]
    return names + (f"; `magcache` (ratios {', '.join(ratios)})" if ratios else "")


def _partners(family: str, adapter: DenoiserAdapter) -> str:
    """How many pairs are known, by their evidence; else what a partner must have alike."""
    found = Counter(pair.evidence for pair in PAIRS if pair.family == family)
    if found:
        return ", ".join(f"{number} {evidence}" for evidence, number in found.items())
    return f"none known; must agree in {len(adapter.shared_config)} keys"


def _attention(models: Sequence[Any]) -> str:
    """How `sageattention` reaches the attention of a family's models."""
    found = [one.processor for model in models for one in attention_modules(model)]
    processors = [one for one in found if "Linear" not in type(one).__name__]
    named = sum(hasattr(type(one), "_attention_backend") for one in processors)
    if not processors:
        return "not replaceable"
    if not named:
        return "torch's function"
    plain = "" if named == len(processors) else ", torch's function"
    linear = "" if len(processors) == len(found) else "; linear attention stays"
    return f"diffusers' dispatch{plain}{linear}"


def _evidence(driven: Sequence[TinyFamily]) -> str:
    """What the tests show of it, on how many tiny pipelines of the real classes."""
    stacks = sum(tiny.blocks is not None for tiny in driven)
    if not stacks:
        return "switch in 1 tiny pipeline"
    return f"skips and latents as the reference's in {stacks} tiny pipeline{'s'[: stacks > 1]}"
