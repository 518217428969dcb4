"""`sraccel pairs`: models of which one may sketch and the other render, and how that is known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sraccel.cli.failures import Debug, reported

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sraccel.models.known_pairs import KnownPair


def pairs(
    name: Annotated[
        str | None, typer.Argument(help="A part of a model's name, to see all about its pairs.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    debug: Debug = False,
) -> None:
    """List known pairs of a sketch and a render model, and what is known of them."""
    with reported(debug):
        from sraccel.models.known_pairs import PAIRS, pairs_of

        found = PAIRS if name is None else pairs_of(name)
        if not found:
            raise typer.BadParameter(
                f"no known pair has a model called {name!r}; `sraccel pairs` lists them all"
            )
        if as_json:
            typer.echo(json.dumps(describe(found), indent=2))
        elif name is None:
            _print_table(found)
        else:
            _print_details(found)


def describe(found: Sequence[KnownPair]) -> dict[str, Any]:
    """Pairs, and what their words for hand-off and evidence mean, as plain data."""
    from sraccel.models.known_pairs import EVIDENCE, HANDOFFS

    return {
        "pairs": [pair.model_dump() for pair in found],
        "handoffs": dict(HANDOFFS),
        "evidence": dict(EVIDENCE),
    }


def _print_table(found: Sequence[KnownPair]) -> None:
    from sraccel.models.known_pairs import EVIDENCE

    console = Console(highlight=False)
    rows = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    rows.add_column("sketch, and render", no_wrap=True)  # a name is for copying
    for heading in ("family, hand-off", "evidence"):
        rows.add_column(heading)
    for pair in found:
        models = Text(pair.sketch, style="bold").append(f"\n{pair.render}", "not bold")
        rows.add_row(models, f"{pair.family}\n{pair.handoff}", pair.evidence)
        rows.add_section()
    console.print(rows)
    _print_words(console, "\nevidence", EVIDENCE, {pair.evidence for pair in found})
    console.print("\n`sraccel pairs NAME` says more of a model's pairs.")


def _print_details(found: Sequence[KnownPair]) -> None:
    from sraccel.models.known_pairs import EVIDENCE, HANDOFFS

    console = Console(highlight=False)
    for pair in found:
        console.print(Text(f"{pair.sketch}\n{pair.render}", style="bold"))
        facts = {
            "family": pair.family,
            "hand-off": f"{pair.handoff}: {HANDOFFS[pair.handoff]}",
            "evidence": f"{pair.evidence}: {EVIDENCE[pair.evidence]}",
            "known": pair.known,
            "unverified": pair.unverified,
            "source": pair.source,
        }
        for label, fact in facts.items():
            if fact:
                text = Text(f"{label}: ", style="italic").append(fact, "not italic")
                console.print(Padding(text, (0, 0, 0, 4)))
        console.print()


def _print_words(console: Console, label: str, words: Any, used: set[str]) -> None:
    console.print(Text(label, style="bold"))
    for word, meaning in words.items():
        if word in used:
            console.print(Padding(Text(f"{word}: {meaning}"), (0, 0, 0, 4)))
