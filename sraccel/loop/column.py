"""A column of the timeline: what an accelerator measures at steps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One number a step that an accelerator measures, for the report.

    Declared in `Accelerator.columns`, filled in by `step.measure(accelerator, name=value)`.

    Attributes:
        label: short, for a heading or a legend.
        description: what is measured, and in which unit; goes on after the label and a colon.
    """

    label: str
    description: str
