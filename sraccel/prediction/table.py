"""A prediction in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sraccel.report.table import plain_text
from sraccel.report.words import duration, factor, share, size

if TYPE_CHECKING:
    from sraccel.prediction.prediction import Prediction, Speedup


def table(prediction: Prediction) -> RenderableType:
    """The figures, what they are made of, and what they rest on."""
    return Group(
        *(plain_text(f"! {one}", "bold yellow") for one in prediction.warnings),
        plain_text(headline(prediction), "bold"),
        _figures(prediction),
        "",
        _calls(prediction),
        "",
        *listed_lines("measured here", prediction.measured),
        *listed_lines("assumed", prediction.assumed),
        *listed_lines("not counted", prediction.left_out),
    )


def headline(prediction: Prediction) -> str:
    """`1.3B with teacache: 1.50x predicted, 20 s instead of 30 s`."""
    chain = " + ".join(prediction.accelerators) or "nothing"
    return (
        f"{prediction.model} with {chain}: {factor(prediction.speedup.value)} predicted, "
        f"{duration(prediction.accelerated.value)} instead of {duration(prediction.bare.value)}"
    )


def _figures(prediction: Prediction) -> Table:
    rows = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, value in figures(prediction):
        rows.add_row(plain_text(name), plain_text(value))
    return rows


def figures(prediction: Prediction) -> Iterator[tuple[str, str]]:
    """Names and values, most important first."""
    speedup, memory = prediction.speedup, prediction.memory
    yield "speedup of the denoising", f"{factor(speedup.value)} ({_range(speedup)})"
    for switch, value in speedup.if_the_switch_came.items():
        yield f"  if the switch came at step {switch}", factor(value)
    for part in prediction.factors:
        role = "factor" if part.claims_speed else "costs"
        yield f"  {part.accelerator}", f"{role} {factor(part.value)}"
    yield "steps", _steps(prediction)
    yield "memory of the denoisers", f"{size(memory.needed)}, free {size(memory.free)}"
    yield "first call takes longer by", duration(prediction.once)
    yield "on", f"{prediction.environment.get('device', '')}, {prediction.dtype}"


def _range(speedup: Speedup) -> str:
    return f"{factor(speedup.low)} to {factor(speedup.high)} over the rounds"


def _steps(prediction: Prediction) -> str:
    parts = [str(prediction.steps)]
    if prediction.switch_step is not None:
        parts.append(f"another model from step {prediction.switch_step} on")
    parts += [f"{share(part)} of {role} skipped" for role, part in prediction.skipped.items()]
    return ", ".join(parts)


def _calls(prediction: Prediction) -> Table:
    rows = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    rows.add_column("calls of")
    for heading in ("each", "bare", "accelerated", "in all"):
        rows.add_column(heading, justify="right")
    for one in prediction.counts:
        rows.add_row(
            one.what,
            duration(one.seconds),
            str(one.bare_calls),
            str(one.calls),
            duration(one.calls * one.seconds),
        )
    return rows


def listed_lines(heading: str, lines: Iterable[str]) -> Iterator[Text]:
    """A heading, and lines below it."""
    yield plain_text(heading, "bold")
    for line in lines:
        yield plain_text(f"  {line}")
