"""What each accelerator of a run contributed, did, and says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sraccel.report.headline import Facts
from sraccel.report.words import (
    NOT_MEASURED,
    counted,
    duration,
    factor,
    finite,
    positive,
    size,
    spoken,
    words,
)

if TYPE_CHECKING:
    from sraccel.report.model import AcceleratorRecord

WORTH_SAYING = 0.1
"""Seconds of preparing from which on they are said in words."""


@dataclass(frozen=True)
class AcceleratorWords:
    """An accelerator's part of a run, in words.

    Attributes:
        ratio: its factor, or its overhead; None where neither is known.
        value: the same in words; kind: `factor`, `overhead` (it claims no speed), `estimate` or
            `missing`; remark: what to know of it.
        did: its decisions, counted; facts: what it says of itself.
    """

    name: str
    ratio: float | None
    value: str
    kind: str
    remark: str
    did: str
    facts: Facts
    options: Facts


def contribution(record: AcceleratorRecord, most: int | None = None) -> AcceleratorWords:
    """What one accelerator contributed; of long lists in its notes, `most` items."""
    overhead = record.factor is None
    ratio = positive(record.overhead if overhead else record.factor)
    remarks = ["overhead; claims no speed"] * overhead + ["estimate"] * record.estimated
    kind = "overhead" if overhead else "estimate" if record.estimated else "factor"
    facts = [(words(key), spoken(value, most)) for key, value in record.notes.items()]
    if finite(record.cache_bytes) is not None:
        facts.append(("kept between steps, at most", size(record.cache_bytes)))
    if (finite(record.prepare_seconds) or 0) >= WORTH_SAYING:
        facts.append(("prepared on attaching, in", duration(record.prepare_seconds)))
    return AcceleratorWords(
        record.name,
        ratio,
        factor(ratio, missing=NOT_MEASURED),
        "missing" if ratio is None else kind,
        "" if ratio is None else ", ".join(remarks),
        _did(record),
        facts,
        [(words(key), spoken(value)) for key, value in record.options.items()],
    )


def _did(record: AcceleratorRecord) -> str:
    counts = {
        "had another model answer {}": record.chosen_calls,
        "skipped {}": record.reused_calls,
        "predicted {}": record.predicted_calls,
        "answered {}": record.answered_calls,
    }
    said = [text.format(counted(count, "call")) for text, count in counts.items() if count]
    if share := finite(record.skipped_share):
        said.append(f"skipped {share:.0%} of the work")
    return "; ".join(said)
