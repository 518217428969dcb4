"""The report as text: warnings, headline, accelerators, and one line a branch for the steps.

Nothing depends on colour alone, and what was not measured is called that.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from sraccel.report.model import (
        AcceleratorRecord,
        HandoffRecord,
        Report,
        StepRecord,
        Timing,
    )

NOT_MEASURED = "not measured"
LARGEST = 1 << 80
"""In bytes; nobody has measured more."""
REUSED = "."
SWITCH = "|"
STYLES = ("cyan", "yellow", "magenta", "green")
QUALITY_LABELS = {"psnr_db": "PSNR {:.1f} dB", "ssim": "SSIM {:.3f}"}


def table(report: Report) -> RenderableType:
    """The report for a terminal; readable from 60 columns on."""
    parts: list[RenderableType] = []
    if report.warnings:
        parts.append(_warnings(report.warnings))
    parts.append(_headline(report))
    if report.accelerators:
        parts.append(_accelerators(report.accelerators))
    if report.steps:
        parts.append(StepStrip(report.steps))
    return Group(*parts)


def _warnings(warnings: list[str]) -> RenderableType:
    rows = Table.grid(padding=(0, 1))
    for warning in warnings:
        rows.add_row("!", Text(warning))
    return Panel(rows, title="warnings", title_align="left", border_style="yellow")


def _headline(report: Report) -> RenderableType:
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()
    for label, value in _headline_rows(report):
        rows.add_row(label, Text(value, style="bold" if label == "speedup" else ""))
    return Padding(rows, (0, 0, 1, 1))


def _headline_rows(report: Report) -> Iterator[tuple[str, str]]:
    if report.outcome != "finished":
        yield (
            "outcome",
            f"{report.outcome}, {len(report.steps)} of {report.num_inference_steps} steps",
        )
    yield "speedup", _measured(report)
    if report.speedup.measured is not None or report.speedup.predicted is not None:
        yield "", _predicted(report)
        yield "", f"whole call {_times(report.speedup.whole_call)}"
    yield "seconds", _seconds(report)
    yield "quality", _quality(report.quality)
    yield "switch", _switch(report)
    if report.handoff is not None:
        yield "hand-off", _handoff(report.handoff)
    yield "peak memory", _mebibytes(report.peak_memory_bytes)


def _measured(report: Report) -> str:
    speedup = report.speedup
    if speedup.measured is None:
        return f"{NOT_MEASURED} (no bare run to compare with)"
    pairs = len(report.accelerated.repeats) if report.accelerated else 0
    if speedup.measured_range is None or pairs == 1:
        return f"measured {speedup.measured:.2f}x (one pair of runs)"
    least, greatest = speedup.measured_range
    return (
        f"measured {speedup.measured:.2f}x ({least:.2f}x to {greatest:.2f}x, {pairs} pairs of runs)"
    )


def _predicted(report: Report) -> str:
    predicted, rest = report.speedup.predicted, report.speedup.rest
    if predicted is None:
        return f"predicted: {NOT_MEASURED} (no costs to predict from)"
    ratio = f" (measured / predicted {rest:.2f})" if rest is not None else ""
    return f"predicted {predicted:.2f}x{ratio}"


def _seconds(report: Report) -> str:
    loop = f"bare {_loop(report.baseline)}, accelerated {_loop(report.accelerated)}"
    return f"{loop} (denoising, {report.num_inference_steps} steps)"


def _loop(timing: Timing | None) -> str:
    return NOT_MEASURED if timing is None else seconds(timing.seconds)


def seconds(value: float) -> str:
    """A duration with three digits: `1.23 s`, `45.6 ms`."""
    return f"{value:.3g} s" if value >= 1 else f"{value * 1000:.3g} ms"


def _quality(quality: dict[str, float] | None) -> str:
    if not quality:
        return NOT_MEASURED
    shown = (QUALITY_LABELS.get(name, name + " {:.4g}").format(quality[name]) for name in quality)
    return f"{', '.join(shown)} against the bare run"


def _switch(report: Report) -> str:
    rule = f" (rule: {report.switch_rule})" if report.switch_rule else ""
    if report.switch_step is None:
        return f"none{rule}"
    return f"step {report.switch_step} is the render model's first{rule}"


def _handoff(handoff: HandoffRecord) -> str:
    parts = [handoff.kind]
    if handoff.seconds is not None:
        share = f", {handoff.share:.0%} of the run" if handoff.share is not None else ""
        work = {"decode": handoff.decode_seconds, "encode": handoff.encode_seconds}
        shown = [f"{name} {seconds(value)}" for name, value in work.items() if value is not None]
        parts.append(f"{seconds(handoff.seconds)}{share}" + f" ({', '.join(shown)})" * bool(shown))
    if handoff.sketch_noise_level is not None and handoff.render_noise_level is not None:
        levels = f"{handoff.sketch_noise_level:.3f} to {handoff.render_noise_level:.3f}"
        parts.append(f"noise level {levels}")
    return ", ".join(parts)


def _mebibytes(count: int | None, digits: int = 0) -> str:
    if count is None or count > LARGEST:
        return NOT_MEASURED
    return f"{count / 2**20:,.{digits}f} MiB"


def _times(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.2f}x"


def _accelerators(records: list[AcceleratorRecord]) -> RenderableType:
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    rows.add_column("accelerator", no_wrap=True)
    rows.add_column("predicted", no_wrap=True)
    rows.add_column("what it did")
    for record in records:
        rows.add_row(Text(record.name), _effect(record), Text(_deeds(record)))
    return Padding(rows, (0, 0, 1, 1))


def _deeds(record: AcceleratorRecord) -> str:
    counts = {"chose the model of": record.chosen_calls, "reused": record.reused_calls}
    done = [f"{verb} {count} calls" for verb, count in counts.items() if count]
    kept = _mebibytes(record.cache_bytes, digits=1)
    if kept != NOT_MEASURED:
        done.append(f"kept up to {kept}")
    deeds = ", ".join(done)
    notes = [f"{key.replace('_', ' ')}: {_compact(value)}" for key, value in record.notes.items()]
    return "\n".join([deeds] * bool(deeds) + notes) or "nothing to note"


def _effect(record: AcceleratorRecord) -> str:
    estimate = " (estimate)" if record.estimated else ""
    if record.factor is not None:
        return f"{record.factor:.2f}x{estimate}"
    if record.overhead is not None:
        slower = "slower" if record.overhead < 1 else "at no cost"
        return f"({record.overhead:.2f}x, {slower}){estimate}"
    return NOT_MEASURED


def _compact(value: object, *, nested: bool = False) -> str:
    """A note's value on one line: `sketch (served 252, fell back: none), render (...)`."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        items = (f"{_name(key)} {_compact(item, nested=True)}" for key, item in value.items())
        line = ", ".join(items)
        return f"({line})" if nested and line else line or "none"
    if isinstance(value, (list, tuple)):
        shown = " ".join(_compact(item, nested=True) for item in value[:6])
        return shown + (f" .. ({len(value)})" if len(value) > 6 else "") or "none"
    return "none" if value is None else str(value)


def _name(key: object) -> str:
    return str(key).replace("_", " ")


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


def branches(steps: list[StepRecord]) -> list[str]:
    """Names of all branches, in order of appearance."""
    return list(dict.fromkeys(call.branch for step in steps for call in step.calls))


def role_letters(steps: list[StepRecord]) -> dict[str, str]:
    """A capital for each role that denoised, by order of appearance: `S` for `sketch`."""
    letters: dict[str, str] = {}
    for role in dict.fromkeys(call.denoiser for step in steps for call in step.calls):
        candidates = role.upper() + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        letters[role] = next(
            (
                letter
                for letter in candidates
                if letter.isalpha() and letter not in letters.values()
            ),
            "?",
        )
    return letters
