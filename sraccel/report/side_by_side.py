"""Two reports beside each other: what each says, row by row, and where they differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.files import save_text
from sraccel.report.headline import KeyFigure, figures, notices, switch_facts, title
from sraccel.report.page.shell import SHARED, Shell
from sraccel.report.words import DASH, spoken, upper_first, with_remark, words

if TYPE_CHECKING:
    from sraccel.report.model import Report

REPORT = "report.json"
PAGE = Shell(SHARED, "side_by_side.html.jinja", ("side_by_side.css",), ())


@dataclass(frozen=True)
class Said:
    """A value, and what is said of it."""

    value: str
    remark: str = ""

    def __str__(self) -> str:
        return with_remark(self.value, self.remark)


@dataclass(frozen=True)
class Side:
    """A report in words.

    Attributes:
        name: where it lies.
        sections: names and values, by heading: the figures first, then how they were made.
    """

    name: str
    title: str
    notices: Sequence[str]
    sections: Mapping[str, Mapping[str, Said]]


@dataclass(frozen=True)
class Row:
    """A name, and what either report has there."""

    name: str
    one: Said
    other: Said

    @property
    def same(self) -> bool:
        """Whether both say the same."""
        return self.one == self.other


@dataclass(frozen=True)
class SideBySide:
    """Both reports, and their rows by heading."""

    one: Side
    other: Side
    sections: Mapping[str, Sequence[Row]]

    @property
    def title(self) -> str:
        """Of both; once, where it is the same."""
        return " and ".join(dict.fromkeys((self.one.title, self.other.title)))


def side_of(report: Report, name: str) -> Side:
    """A run's report, in words."""
    switch = {upper_first(key): value for key, value in switch_facts(report)}
    return Side(
        name,
        title(report),
        notices(report),
        {
            "Figures": {**in_words(figures(report)), **said(switch)},
            **made_by(report.recipe, report.call, report.model, report),
        },
    )


def in_words(figures: Iterable[KeyFigure]) -> dict[str, Said]:
    """Key figures with their details, by label."""
    return {figure.label: Said(figure.value, figure.detail) for figure in figures}


def said(values: Mapping[str, str]) -> dict[str, Said]:
    """Values of which nothing more is said."""
    return {name: Said(value) for name, value in values.items()}


def made_by(
    recipe: Mapping[str, Any], call: Mapping[str, Any], model: Mapping[str, Any], report: Any
) -> dict[str, dict[str, Said]]:
    """How the figures were made: recipe, call, models, versions and machine."""
    sections: dict[str, dict[str, str]] = {
        "Recipe": dict(_options(recipe)),
        "Call": {words(key): spoken(value) for key, value in call.items()},
        "Models": {role: spoken(value) for role, value in model.items()},
        "Versions": dict(report.versions),
        "Machine": dict(report.environment),
    }
    return {heading: said(values) for heading, values in sections.items()}


def _options(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """`teacache.threshold` and the like, in the recipe's order."""
    items = recipe.get("accelerators")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict):
            use = str(item.get("use"))
            yield use, "yes"
            yield from ((f"{use}.{key}", spoken(item[key])) for key in item if key != "use")


def side_by_side(one: Side, other: Side) -> SideBySide:
    """Rows of what either report has; a dash where it has nothing."""
    headings = dict.fromkeys([*one.sections, *other.sections])
    return SideBySide(
        one,
        other,
        {
            heading: _rows(one.sections.get(heading, {}), other.sections.get(heading, {}))
            for heading in headings
        },
    )


def _rows(one: Mapping[str, Said], other: Mapping[str, Said]) -> list[Row]:
    names, nothing = dict.fromkeys([*one, *other]), Said(DASH)
    return [Row(name, one.get(name, nothing), other.get(name, nothing)) for name in names]


def short_names(one: Path, other: Path) -> tuple[str, str]:
    """Of two reports, by where they lie: as much of either's path as tells it from the other's."""
    paths = [place.parent if place.name == REPORT else place for place in (one, other)]
    if paths[0] == paths[1]:
        return str(one), str(other)
    pairs = zip(*(path.parts[:-1] for path in paths), strict=False)
    shared = len([*takewhile(lambda pair: pair[0] == pair[1], pairs)])
    names = [str(Path(*path.parts[shared:])) for path in paths]
    return (names[0], names[1])


def save_side_by_side(pair: SideBySide, path: str | Path) -> Path:
    """Write both as one page that loads nothing.

    Raises:
        OutputError: it cannot be written.
    """
    text = PAGE.render({}, kind="sraccel compare", title=pair.title, pair=pair)
    return save_text(text, path)
