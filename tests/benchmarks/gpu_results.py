"""Results of `gpu_wan.py`: a line a measurement, written as it comes, and tables of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class Results:
    """The lines of `results.jsonl`; each is on the disk before `add` returns."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "results.jsonl"
        folder.mkdir(parents=True, exist_ok=True)

    def lines(self) -> list[Line]:
        """All that can be read: the last one may be torn."""
        if not self.path.is_file():
            return []
        return list(_read(self.path.read_text("utf-8").splitlines()))

    def add(self, **line: Any) -> Line:
        """Add a line, with the time."""
        line = {"date": datetime.now(UTC).isoformat(timespec="seconds"), **line}
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(line))
            file.flush()
            os.fsync(file.fileno())
        return line

    def find(self, **wanted: Any) -> Line | None:
        """The last line with these values."""
        found = [one for one in self.lines() if all(one.get(key) == wanted[key] for key in wanted)]
        return found[-1] if found else None

    def save_table(self) -> Path:
        """Write `results.md`, from what there is."""
        path = self.path.with_suffix(".md")
        path.write_text("\n".join(_tables(self.lines())) + "\n", encoding="utf-8")
        return path


def _read(lines: list[str]) -> Iterator[Line]:
    for text in lines:
        try:
            yield json.loads(text)
        except ValueError:  # torn, or between lines
            continue


def _tables(lines: list[Line]) -> Iterator[str]:
    machine = next((line for line in lines if line.get("what") == "machine"), {})
    said = ", ".join(f"{key} {value}" for key, value in machine.items() if key != "what")
    yield f"Machine: {said}. Random weights: times and memory only, no quality."
    for part in dict.fromkeys(line["part"] for line in lines if "part" in line):
        own = [line for line in lines if line.get("part") == part]
        yield f"\n## {part}\n"
        yield from _cases([line for line in own if line.get("what") == "case"])
        yield from _steps([line for line in own if line.get("what") == "steps"])
        yield from _others(own)


def _cases(lines: list[Line]) -> Iterator[str]:
    latest = {line["case"]: line for line in lines}
    if not latest:
        return
    bare = latest.get("bare", {})
    yield "| case | seconds | predicted | difference | speedup | peak GiB |"
    yield "|---|---|---|---|---|---|"
    for case, line in latest.items():
        seconds, guess = line.get("seconds"), line.get("predicted")
        whole = bare.get("seconds") or bare.get("predicted")
        known = seconds or guess
        cells = [
            case + (f" ({line['kernel']})" if line.get("kernel") else ""),
            _number(seconds),
            _number(guess),
            f"{guess / seconds - 1:+.1%}" if seconds and guess else "",
            f"{whole / known:.2f}x" if whole and known else "",
            _number(line.get("peak_gib")),
        ]
        yield f"| {' | '.join(cells)} |"


def _steps(lines: list[Line]) -> Iterator[str]:
    if not lines:
        return
    yield "\n| seconds of a step | computed | skipped |"
    yield "|---|---|---|"
    for line in lines:
        for model in ("transformer", "render"):
            costs = line["costs"]
            computed, skipped = (costs.get(f"{model} {key}") for key in ("computed", "skipped"))
            yield f"| {line['label']}, {model} | {_number(computed)} | {_number(skipped)} |"


def _others(lines: list[Line]) -> Iterator[str]:
    for line in lines:
        if line.get("what") == "placement":
            yield (
                f"\n{line['residency']}: the switch takes {_number(line['switch_seconds'])} s more "
                f"than a render step, peak {_number(line['peak_gib'])} GiB, "
                f"run {_number(line['seconds'])} s"
            )
        if line.get("what") == "said":
            yield f"\n{line['text']}"
        if line.get("failed"):
            yield f"\nFailed ({line.get('case') or line.get('what')}): {line['failed']}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
