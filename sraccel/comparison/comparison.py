"""The result of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sraccel.report.model import Report


@dataclass(frozen=True)
class Comparison:
    """A bare run beside an accelerated one.

    Attributes:
        report: of the accelerated run, with measured speedup, costs and quality filled in.
        bare_report: of the bare run.
        bare: what the pipeline returned without the recipe.
        accelerated: what it returned with it.
    """

    report: Report
    bare_report: Report
    bare: Any
    accelerated: Any

    def _repr_html_(self) -> str:
        from sraccel.report.notebook import report_html

        return report_html(self.report)

    def __repr__(self) -> str:
        return f"Comparison({self.report!r})"
