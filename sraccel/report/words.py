"""Numbers and names in words: the same on pages, in terminals, in notebooks and in studies.

What is no number (None, NaN, infinity, or more than anybody can have measured) is never written as
one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sraccel.text import byte_size
from sraccel.video.metrics import PSNR_CAP

NOT_MEASURED = "not measured"
IDENTICAL = "identical"
TIMES = "\N{MULTIPLICATION SIGN}"
DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
ASCII = str.maketrans({TIMES: "x", DASH: "-", MINUS: "-"})
"""For `str.translate`, where a terminal has no Unicode."""
ACTING = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""Controls (a terminal obeys some), what turns the direction of all that follows, and what is no
character; line ends and tabs are none of them."""
INSTEAD = "\N{REPLACEMENT CHARACTER}"
LARGEST = 1e100
"""Beyond, a number was not measured, whatever a report says; sums and products overflow there."""
SMALLEST = 1e-100
"""Of a ratio that has a logarithm to be drawn."""
LONGEST = 1e9
"""So large a number is written with an exponent."""
MOST_PLACES = 12


@dataclass(frozen=True)
class MetricWords:
    """How a quality metric is written.

    Attributes:
        places, loss_places: decimals of a value, and of what is lost.
        loss: what its loss is called, if that is not the difference to the bare run.
        cap: the value that stands for identical videos, if that is no ordinary one.
    """

    label: str
    places: int = 3
    unit: str = ""
    loss: str = ""
    loss_places: int = 3
    cap: float | None = None

    @property
    def title(self) -> str:
        """The label at the beginning of a line."""
        return upper_first(self.label)

    @property
    def heading(self) -> str:
        """The label, and the unit in brackets."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def lost(self) -> str:
        """What is lost, in words."""
        return self.loss or f"loss of {self.label}"

    def number(self, value: float | None) -> str:
        """`31.2`; `identical` at the cap, and a dash where there is none."""
        value = finite(value)
        if self.cap is not None and value is not None and value >= self.cap:
            return IDENTICAL
        return decimals(value, self.places)

    def value(self, value: float | None) -> str:
        """The same with its unit: `31.2 dB`."""
        text = self.number(value)
        return f"{text} {self.unit}" if self.unit and text not in (IDENTICAL, DASH) else text


METRICS = {
    "psnr_db": MetricWords("PSNR", 1, "dB", "RMS error of the frames (of PSNR)", 4, PSNR_CAP),
    "ssim": MetricWords("SSIM"),
    "semantic": MetricWords("semantic score"),
    "figure_iou": MetricWords("figure IoU"),
}


def metric(name: str) -> MetricWords:
    """How a metric is written; one that is not known goes by its name."""
    return METRICS.get(name) or MetricWords(words(name))


def harmless(text: str) -> str:
    """The text without characters that do something to where they are shown."""
    return ACTING.sub(INSTEAD, text)


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    """A value of JSON with all of its texts changed, keys too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, (list, tuple)):
        return [each_text(item, change) for item in value]
    if isinstance(value, dict):
        return {each_text(key, change): each_text(item, change) for key, item in value.items()}
    return value


def finite(value: float | None) -> float | None:
    """The number, or None for what cannot be drawn or claimed."""
    return value if value is not None and -LARGEST <= value <= LARGEST else None


def positive(value: float | None) -> float | None:
    """The ratio, if it has a logarithm to be drawn."""
    value = finite(value)
    return value if value is not None and value >= SMALLEST else None


def three(value: float) -> str:
    """At least three digits, and no exponent for what people measure: `0.0123`, `45.6`, `1,234`."""
    if value == 0:
        return "0"
    if abs(value) >= LONGEST:
        return _minus(f"{value:.3g}")
    places = min(MOST_PLACES, max(0, 2 - math.floor(math.log10(abs(value)))))
    text = f"{value:,.{places}f}"
    return _minus(text.rstrip("0").rstrip(".") if places else text)


def duration(seconds: float | None, missing: str = NOT_MEASURED) -> str:
    """What took so long: `45.6 ms`, `1.93 s`, `1,234 s`."""
    value = finite(seconds)
    if value is None:
        return missing
    return f"{three(value)} s" if abs(value) >= 0.9995 else f"{three(1000 * value)} ms"


def waiting(seconds: float) -> str:
    """How long something will take: `45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return duration(seconds)
    return f"{three(seconds / 60)} min" if seconds < 5400 else f"{three(seconds / 3600)} h"


def size(count: int | None) -> str:
    """A number of bytes in the unit that fits: `831 MiB`."""
    amount = finite(count)
    return NOT_MEASURED if amount is None else byte_size(amount)


def decimals(value: float | None, places: int) -> str:
    """`0.874`; a dash where there is no number, an exponent where it is huge."""
    value = finite(value)
    return DASH if value is None else _fixed(value, places)


def signed(value: float | None, places: int) -> str:
    """`+0.012`, `-0.004` or `0.000`."""
    text = decimals(value, places)
    above = finite(value) is not None and (value or 0) > 0 and float(text) > 0
    return f"+{text}" if above else text


def factor(value: float | None, places: int = 2, missing: str = DASH) -> str:
    """`3.97` and the sign for times."""
    return missing if finite(value) is None else decimals(value, places) + TIMES


def share(value: float | None) -> str:
    """`62 %`."""
    value = finite(value)
    return DASH if value is None else f"{_fixed(100 * value, 0)} %"


def digits(value: float | None, count: int = 4) -> str:
    """A number as it is, to so many digits; a dash where there is none."""
    value = finite(value)
    return DASH if value is None else f"{value:.{count}g}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 prompt`, `2 prompts`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def listed(items: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


def chain(names: Iterable[str]) -> str:
    """`srdiffusion + teacache`."""
    return " + ".join(names)


def with_remark(value: str, remark: str) -> str:
    """A value, and what is said of it in brackets, if anything is."""
    return f"{value} ({remark})" if remark else value


def spoken(value: object, most: int | None = None) -> str:
    """A note's or an argument's value on one line: `served 252, shapes (4, 64)`.

    Args:
        value: any; what JSON cannot hold is shown as `str` shows it.
        most: of a longer list, so many items are shown.
    """
    if isinstance(value, float):
        return "none" if finite(value) is None else digits(value, 6)
    if isinstance(value, dict):
        said = {key: item for key, item in value.items() if item not in ({}, [], ())}
        items = [f"{words(key)} {_inner(item, most)}" for key, item in said.items()]
    elif isinstance(value, (list, tuple)):
        items = [_inner(item, most) for item in value[:most]]
        items += [f"{len(value) - len(items)} more"] * (len(value) > len(items))
    elif isinstance(value, bool):
        return "yes" if value else "no"
    else:
        return "none" if value is None else str(value)
    return ", ".join(items) or "none"


def words(key: object) -> str:
    """A key as words."""
    return str(key).replace("_", " ")


def upper_first(text: str) -> str:
    """The text with a capital in front."""
    return text[:1].upper() + text[1:]


def _inner(value: object, most: int | None) -> str:
    text = spoken(value, most)
    return f"({text})" if isinstance(value, (dict, list, tuple)) and value else text


def _fixed(value: float, places: int) -> str:
    text = f"{value:.{places}f}" if abs(value) < LONGEST else f"{value:.3g}"
    return text.removeprefix("-") if float(text) == 0 else _minus(text)


def _minus(text: str) -> str:
    return text.replace("-", MINUS)
