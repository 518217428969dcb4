"""What `sraccel study` shows while it runs, and before: bars on stderr, and the forecast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich import box
from rich.console import Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from sraccel.cli.failures import asides
from sraccel.report.words import counted, duration, waiting
from sraccel.study.runs.watcher import Position, Watcher

if TYPE_CHECKING:
    from sraccel.study.cell import CellRun
    from sraccel.study.runs.watcher import CellForecast, StudyForecast


class StudyProgress(Watcher):
    """Two bars: the runs, and the steps of the one under way.

    Attributes:
        begun_runs: so far, in this process.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, TaskID] = {}
        self._failed = 0
        self.begun_runs = 0
        columns = (TextColumn("{task.description}", markup=False), BarColumn())
        more = (MofNCompleteColumn(), TextColumn("{task.fields[note]}", markup=False))
        # Few refreshes: the bars share the CPU with what is being timed.
        self._bars = Progress(*columns, *more, console=asides(), refresh_per_second=2)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def planned(self, forecast: StudyForecast) -> None:
        """The forecast stays above the bars."""
        self._bars.console.print(forecast_table(forecast))

    def begun(self, position: Position) -> None:
        self.begun_runs += 1
        notes = [f"round {position.repeat + 1}"]
        if self._failed:
            notes.append(f"{self._failed} failed")
        notes += _left(position)
        self._show("runs", position.done, position.planned, ", ".join(notes))
        self._show("step", 0, 1, position.cell)

    def step(self, what: str, done: int, total: int) -> None:
        self._show("step", done, total, what)

    def ended(self, record: CellRun) -> None:
        self._failed += record.outcome == "failed"
        if "runs" in self._tasks:
            self._bars.advance(self._tasks["runs"])

    def _show(self, name: str, done: int, total: int, note: str) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total, note=note)
        self._bars.update(self._tasks[name], completed=done, total=total, note=note)


def _left(position: Position) -> list[str]:
    """How long it takes still: to the end of the round, or of the budget if that comes first."""
    of_round, of_budget = position.seconds_left, position.budget_left
    if of_budget is not None and (of_round is None or of_budget < of_round):
        return [f"{waiting(of_budget)} left of the budget"]
    return [] if of_round is None else [f"{waiting(of_round)} left in it"]


def forecast_table(forecast: StudyForecast) -> RenderableType:
    """Cells, runs and time."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("cell")
    for heading in ("steps", "time of a run"):
        table.add_column(heading, justify="right")
    for cell in forecast.cells:
        table.add_row(Text(cell.name), str(cell.steps), Text(_seconds(cell)))
    return Group(table, "", Text(_summary(forecast)), "")


def _seconds(cell: CellForecast) -> str:
    if cell.refused is not None:
        return f"cannot run: {cell.refused}"
    if cell.seconds is None:
        return "not known"
    return f"{'' if cell.measured else 'at most '}{duration(cell.seconds)}"


def _summary(forecast: StudyForecast) -> str:
    runs, time = forecast.runs_of_a_round, waiting(forecast.round_seconds)
    about = "about" if forecast.measured else "at most about"
    parts = [
        f"{counted(runs, 'run')} a round ({counted(forecast.blocks, 'block')} of prompt and seed), "
        f"{about} {time}",
        "one round"
        if forecast.repeats == 1
        else f"{forecast.repeats} rounds at most, fewer if they suffice",
    ]
    if forecast.budget is not None:
        parts.append(f"measured for {waiting(forecast.budget)} at most")
    if forecast.done >= runs * forecast.repeats:
        parts.append("all of them are on disk already")
    elif forecast.done:
        parts.append(f"{forecast.done} of them are on disk already")
    text = "; ".join(parts)
    if not forecast.measured:
        text += (
            ". The times are those of a few steps each, in which nothing is skipped and no model "
            "is switched"
        )
    return text + "."
