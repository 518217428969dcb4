"""What `sraccel tune` shows: bars on stderr while it runs, and a table at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

from rich import box
from rich.console import Group, RenderableType
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from sraccel.cli.failures import asides, note
from sraccel.report.words import counted, waiting
from sraccel.text import shortened
from sraccel.tuning.watcher import Phase, Watcher

if TYPE_CHECKING:
    from sraccel.study.results import Estimate
    from sraccel.tuning.outcome import Measured, Outcome

LABEL = 60


class TuneProgress(Watcher):
    """Two bars: the budget, and the steps of the run under way.

    Args:
        budget: seconds.
    """

    def __init__(self, budget: float) -> None:
        self._budget, self._phase, self._found = budget, "", ""
        columns = (TextColumn("{task.description}", markup=False), BarColumn())
        more = TextColumn("{task.fields[note]}", markup=False)
        # Few refreshes: the bars share the CPU with what is being timed.
        self._bars = Progress(*columns, more, console=asides(), refresh_per_second=2)
        self._spent = self._bars.add_task("budget", total=budget, note="")
        self._steps = self._bars.add_task("step", total=1, note="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def planned(self, tuned: Sequence[str], left_out: Mapping[str, str], spent: float) -> None:
        """What is searched stays above the bars."""
        note(f"searching {', '.join(tuned)}")
        for name, why in left_out.items():
            note(f"left out: {name}: {shortened(' '.join(why.split()), 200)}")
        if spent:
            note(f"going on after {waiting(spent)} of runs")

    def phase(self, phase: Phase) -> None:
        self._phase, self._found = phase, ""

    def run(self, label: str, spent: float) -> None:
        left = max(self._budget - spent, 0.0)
        said = [self._phase, f"{waiting(left)} left at most", self._found]
        self._bars.update(
            self._spent,
            completed=min(spent, self._budget),
            note=", ".join(part for part in said if part),
        )
        self._bars.update(self._steps, completed=0, total=1, note=shortened(label, LABEL))

    def trial(self, number: int, best: str) -> None:
        self._found = f"trial {number}" + (f", best so far {best}" if best else "")

    def step(self, what: str, done: int, total: int) -> None:
        self._bars.update(self._steps, completed=done, total=total)


def outcome_table(outcome: Outcome) -> RenderableType:
    """The front beside the recipe as it was and fewer steps, on held-out prompts."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    metric = outcome.goal.split(">")[0].split("<")[0]
    table.add_column("on held-out prompts")
    for heading in ("speedup", metric, "worst", "prompts"):
        table.add_column(heading, justify="right")
    table.add_column("what it is")
    for one in sorted(outcome.points, key=lambda one: -one.speedup.value):
        table.add_row(*_row(one))
    tried = f"{counted(len(outcome.tried), 'candidate')} tried, {outcome.failed} failed"
    lines = [f"{tried}, {waiting(outcome.spent)} of runs. {_upper(outcome.said)}."]
    lines += [f"{_upper(text)}." for text in outcome.warnings]
    lines += list(_cliffs(outcome))
    return Group(table, "", *(Text(line) for line in lines))


def _row(one: Measured) -> list[Text]:
    named = one.name if one.kind != "rival" else "fewer steps"
    cells = [
        named if one.meets else f"{named} (misses)",
        f"{_interval(one.speedup, '.2f')}x",
        _interval(one.quality, ".3g"),
        f"{one.worst.quality:.3g}",
        str(one.held_out),
        one.label,
    ]
    return [Text(cell) for cell in cells]


def _interval(estimate: Estimate, form: str) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:{form}}"
    return f"{estimate.value:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"


def _cliffs(outcome: Outcome) -> list[str]:
    return [
        f"Cliff beside {one.name}: {cliff.option} {cliff.value} -> {cliff.beside} takes quality "
        f"from {cliff.quality:.3g} to {cliff.beside_quality:.3g}."
        for one in outcome.points
        for cliff in one.cliffs or []
    ]


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
