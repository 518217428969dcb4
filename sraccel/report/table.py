"""The report as text: warnings, headline, accelerators, and one line a branch for the steps.

Nothing depends on colour alone, what was not measured is called that, and a terminal without
Unicode can show it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sraccel.report.contributions import contribution
from sraccel.report.headline import Facts, KeyFigure, figures, notices, switch_facts
from sraccel.report.steps import branches, role_letters
from sraccel.report.words import ASCII, upper_first, with_remark

if TYPE_CHECKING:
    from sraccel.report.model import AcceleratorRecord, Report, StepRecord

REUSED = "."
SWITCH = "|"
STYLES = ("cyan", "yellow", "magenta", "green")
MOST = 6
"""Items of a list in an accelerator's notes that are shown."""


def table(report: Report) -> RenderableType:
    """The report for a terminal; readable from 60 columns on."""
    parts = [*warnings_panel(notices(report)), headline([], figures(report), switch_facts(report))]
    if report.accelerators:
        parts.append(_accelerators(report.accelerators))
    if report.steps:
        parts.append(StepStrip(report.steps))
    return Group(*parts)


def plain(item: RenderableType, width: int) -> str:
    """What a terminal of that width shows, without colours."""
    console = Console(width=width, no_color=True)
    with console.capture() as captured:
        console.print(item)
    return captured.get()


def warnings_panel(notices: list[str]) -> list[RenderableType]:
    """What to read first, in a box; nothing where there is nothing."""
    rows = Table.grid(padding=(0, 1))
    for notice in notices:
        rows.add_row("!", plain_text(notice))
    panel = Panel(rows, title="warnings", title_align="left", border_style="yellow")
    return [panel] if notices else []


def headline(before: Facts, figures: Iterable[KeyFigure], after: Facts) -> RenderableType:
    """Key figures, a row each, between the facts before and after them."""
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()
    for name, value in before:
        rows.add_row(plain_text(upper_first(name)), plain_text(value))
    for figure in figures:
        text = plain_text(figure.value, "" if figure.missing else "bold")
        detail = plain_text(f" ({figure.detail})" if figure.detail else "", "not bold")
        rows.add_row(plain_text(figure.label), text.append_text(detail))
    for name, value in after:
        rows.add_row(plain_text(upper_first(name)), plain_text(value))
    return Padding(rows, (0, 0, 1, 1))


def plain_text(words: str, style: str = "") -> Text:
    """Words as they are, without markup, in characters that every terminal has."""
    return Text(words.translate(ASCII), style=style)


def _accelerators(records: list[AcceleratorRecord]) -> RenderableType:
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    rows.add_column("accelerator", no_wrap=True)
    rows.add_column("factor", max_width=16)
    rows.add_column("what it did")
    for record in records:
        part = contribution(record, MOST)
        facts = [f"{name}: {value}" for name, value in part.facts]
        did = "\n".join([part.did] * bool(part.did) + facts) or "nothing to note"
        value = with_remark(part.value, part.remark)
        rows.add_row(plain_text(part.name), plain_text(value), plain_text(did))
    return Padding(rows, (0, 0, 1, 1))


class StepStrip:
    """One line a branch, one letter a step: the model that computed it, or a dot for reuse.

    A bar marks where the model changes. Strips wider than the console are folded.
    """

    def __init__(self, steps: list[StepRecord]) -> None:
        self.steps = steps
        self.letters = role_letters(steps)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = self.lines()
        if not lines:  # no step had a call
            return
        indent = max(len(label) for label in lines) + 3
        width = max(options.max_width - indent, 10)
        yield Text(" steps  ", style="bold").append(self.legend(), style="not bold")
        for start in range(0, max(map(len, lines.values())), width):
            for label, line in lines.items():
                text = Text(f" {label:<{indent - 2}} ", no_wrap=True)
                yield text.append_text(self._styled(line[start : start + width]))

    def lines(self) -> dict[str, str]:
        """The strip of each branch; branches that did the same share one line."""
        strips = {branch: self._line(branch) for branch in branches(self.steps)}
        labels: dict[str, list[str]] = {}
        for branch, strip in strips.items():
            labels.setdefault(strip, []).append(branch)
        return {", ".join(names): strip for strip, names in labels.items()}

    def _line(self, branch: str) -> str:
        marks = [self._mark(step, branch) for step in self.steps]
        for later, (previous, current) in enumerate(pairwise(self.steps), start=1):
            if previous.denoiser != current.denoiser:
                marks[later] = SWITCH + marks[later]
        return "".join(marks)

    def _mark(self, step: StepRecord, branch: str) -> str:
        calls = [call for call in step.calls if call.branch == branch]
        if not calls:
            return " "
        return REUSED if calls[0].reused else self.letters[calls[0].denoiser]

    def legend(self) -> str:
        """What the letters stand for."""
        letters = [f"{letter} {role} computed" for role, letter in self.letters.items()]
        reused = any(call.reused for step in self.steps for call in step.calls)
        dot = [f"{REUSED} block stack reused"] if reused else []
        switched = len({step.denoiser for step in self.steps}) > 1
        return ", ".join(letters + dot + ([f"{SWITCH} switch"] if switched else []))

    def _styled(self, line: str) -> Text:
        text = Text(line)
        for style, letter in zip(STYLES, self.letters.values(), strict=False):
            text.highlight_words([letter], style)
        text.highlight_words([SWITCH], "bold")
        return text
