"""The rest of a page: the hand-off, the call, the models, the recipe, and where it ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from sraccel.report.page.words import digits, duration, finite, name, spoken

if TYPE_CHECKING:
    from sraccel.report.model import HandoffRecord, Report

Facts = list[tuple[str, str]]
LONGEST_PROMPT = 240
"""In characters, above the page; the whole one stands with the call."""


@dataclass(frozen=True)
class Details:
    """Names and values, in the order in which a page shows them.

    Attributes:
        prompt: what was to be shown; it heads the page.
        recipe: YAML that can be used again.
        classes: whether a module given in Python stands in the recipe by its class.
    """

    prompt: str
    switch: Facts
    call: Facts
    models: list[tuple[str, str]]
    recipe: str
    classes: bool
    versions: Facts
    environment: Facts


def details(report: Report) -> Details:
    """All of it."""
    return Details(
        prompt=_prompt(report.call.get("prompt")),
        switch=list(_switch(report)),
        call=facts(report.call),
        models=[(role, describe(model)) for role, model in report.model.items()],
        recipe=as_yaml(report.recipe),
        classes=has_class(report.recipe),
        versions=facts(report.versions),
        environment=facts(report.environment),
    )


def facts(content: Mapping[str, Any]) -> Facts:
    """Names and values as words."""
    return [(name(key), spoken(value)) for key, value in content.items()]


def _prompt(prompt: object) -> str:
    text = spoken(prompt) if prompt else ""
    return text if len(text) <= LONGEST_PROMPT else text[:LONGEST_PROMPT] + " …"


def _switch(report: Report) -> Iterator[tuple[str, str]]:
    if report.switch_step is not None:
        yield "first step of another model", str(report.switch_step)
    if report.switch_rule:
        yield "rule", name(report.switch_rule)
    if report.handoff is not None:
        yield from _handoff(report.handoff)


def _handoff(handoff: HandoffRecord) -> Iterator[tuple[str, str]]:
    yield "kind", handoff.kind
    if handoff.sketch_noise_level is not None:
        yield "noise level where the sketch model stopped", digits(handoff.sketch_noise_level)
    if handoff.render_noise_level is not None:
        yield "noise level where the render model began", digits(handoff.render_noise_level)
    if handoff.render_first_step is not None:
        yield "that place in the render schedule", f"step {handoff.render_first_step}"
    if handoff.seconds is not None:
        part = finite(handoff.share)
        share = "" if part is None else f", {part:.0%} of the run"
        yield "time", duration(handoff.seconds) + share
    parts = {"decoding": handoff.decode_seconds, "encoding": handoff.encode_seconds}
    yield from ((f"of it, {part}", duration(value)) for part, value in parts.items() if value)


def describe(model: Any) -> str:
    """A model on one line: its class, its size, and what else is known of it."""
    if not isinstance(model, dict):
        return spoken(model)
    known = dict(model)
    parts = [str(known.pop("class"))] if "class" in known else []
    if isinstance(count := known.pop("parameters", None), int):
        parts.append(f"{count:,} parameters")
    shown = {key: value for key, value in known.items() if value not in (None, "")}
    return ", ".join([*parts, *(f"{name(key)} {spoken(value)}" for key, value in shown.items())])


def as_yaml(recipe: dict[str, Any]) -> str:
    """A recipe that can be used again; nothing for an empty one."""
    return yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True, width=80) if recipe else ""


def has_class(content: Any) -> bool:
    """Whether a module given in Python stands in a recipe by its class."""
    if isinstance(content, dict):
        return any(map(has_class, content.values()))
    if isinstance(content, list):
        return any(map(has_class, content))
    return isinstance(content, str) and content.startswith("<") and content.endswith(">")
