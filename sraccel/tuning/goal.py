"""The quality that is asked for: `psnr_db>=30`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Self

from sraccel.errors import RecipeError
from sraccel.recipe.catalogue import installed
from sraccel.text import did_you_mean
from sraccel.video.metric import Metric

FORM = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(>=|<=)\s*([-+0-9.eE]+)\s*")


@dataclass(frozen=True)
class Goal:
    """A limit of a metric.

    Attributes:
        metric: its name.
        sign: `>=` where more is better, `<=` where less is.
        limit: the least or the greatest value that is good enough, as a mean over prompts.
    """

    metric: str
    sign: str
    limit: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a goal as the command line gives it.

        Raises:
            RecipeError: it has another form, or no installed metric is called so.
        """
        found = FORM.fullmatch(text)
        try:
            name, sign, limit = found.groups() if found else ("", "", "nan")
            number = float(limit)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise RecipeError(
                f"a quality is asked for as METRIC>=NUMBER (or <=), such as psnr_db>=30, not "
                f"{text!r}"
            )
        known = installed().metrics
        if name not in known:
            raise RecipeError(
                f"no metric is called {name!r}{did_you_mean(name, known)} "
                f"(installed: {', '.join(sorted(known))})"
            )
        return cls(name, sign, number)

    def __str__(self) -> str:
        return f"{self.metric}{self.sign}{self.limit:g}"

    def judge(self) -> Metric:
        """What measures it."""
        return installed().metrics[self.metric]

    def goodness(self, value: float) -> float:
        """The value, or minus it where less is better: more is better."""
        return value if self.sign == ">=" else -value

    def slack(self, value: float) -> float:
        """By how much a value is better than the limit; below 0, it misses it."""
        return self.goodness(value) - self.goodness(self.limit)

    def met_by(self, value: float) -> bool:
        """Whether a value is good enough."""
        return self.slack(value) >= 0
