"""The rest of a study's page: its blocks, the call, the models, the recipe, where it ran."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sraccel.report.headline import Facts
from sraccel.report.page.details import as_yaml, describe, facts, has_class
from sraccel.report.words import counted, finite, share, spoken

if TYPE_CHECKING:
    from sraccel.study.results import StudyReport


@dataclass(frozen=True)
class About:
    """Names and values, in the order in which a page shows them.

    Attributes:
        recipe: YAML that can be used again.
        classes: whether a module given in Python stands in the recipe by its class.
    """

    design: Facts
    prompts: list[str]
    call: Facts
    models: Facts
    recipe: str
    classes: bool
    versions: Facts
    environment: Facts


def about(report: StudyReport) -> About:
    """All of it."""
    return About(
        design=list(_design(report)),
        prompts=list(report.prompts),
        call=facts(report.call),
        models=[(role, describe(model)) for role, model in report.model.items()],
        recipe=as_yaml(report.recipe),
        classes=has_class(report.recipe),
        versions=facts(report.versions),
        environment=facts(report.environment),
    )


def _design(report: StudyReport) -> Iterator[tuple[str, str]]:
    analysis = report.analysis
    yield "design", report.design
    yield "accelerators", spoken(report.accelerators)
    yield "seeds", spoken(report.seeds)
    yield "rounds", str(report.repeats)
    yield "runs", f"{report.done:,} of {report.planned:,}"
    if report.stopped:
        yield "ended by", report.stopped
    level = share(analysis.level)
    yield "intervals", f"{level}, {counted(analysis.resamples, 'resample')} of the {analysis.drawn}"
    if finite(analysis.precision) is not None:
        yield "precision", f"\N{PLUS-MINUS SIGN}{100 * (analysis.precision or 0.0):.2g} %"
