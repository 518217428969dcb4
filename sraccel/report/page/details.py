"""The rest of a page: the call, the models, the recipe, and where it ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from sraccel.report.headline import Facts
from sraccel.report.words import spoken, words
from sraccel.text import shortened

if TYPE_CHECKING:
    from sraccel.report.model import Report

LONGEST_PROMPT = 240
"""In characters, above the page; the whole one stands with the call."""


class Made(Protocol):
    """What a report of a run and one of a study both say of how it was made."""

    call: dict[str, Any]
    model: dict[str, Any]
    recipe: dict[str, Any]
    versions: dict[str, str]
    environment: dict[str, str]


@dataclass(frozen=True)
class Details:
    """Names and values, in the order in which a page shows them.

    Attributes:
        recipe: YAML that can be used again.
        classes: whether a module given in Python stands in the recipe by its class.
    """

    call: Facts
    models: Facts
    recipe: str
    classes: bool
    versions: Facts
    environment: Facts


def details(report: Made) -> Details:
    """All of it."""
    return Details(
        call=facts(report.call),
        models=[(role, describe(model)) for role, model in report.model.items()],
        recipe=as_yaml(report.recipe),
        classes=has_class(report.recipe),
        versions=facts(report.versions),
        environment=facts(report.environment),
    )


def prompt_of(report: Report) -> str:
    """What was to be shown, if that is known."""
    prompt = report.call.get("prompt")
    return shortened(spoken(prompt), LONGEST_PROMPT) if prompt else ""


def facts(content: Mapping[str, Any]) -> Facts:
    """Names and values as words."""
    return [(words(key), spoken(value)) for key, value in content.items()]


def describe(model: Any) -> str:
    """A model on one line: its class, its size, and what else is known of it."""
    if not isinstance(model, dict):
        return spoken(model)
    known = dict(model)
    parts = [str(known.pop("class"))] if "class" in known else []
    if isinstance(count := known.pop("parameters", None), int):
        parts.append(f"{count:,} parameters")
    shown = {key: value for key, value in known.items() if value not in (None, "")}
    return ", ".join([*parts, *(f"{words(key)} {spoken(value)}" for key, value in shown.items())])


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
