"""Numbers in words: short, read back as what they were, and the same wherever they stand."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sraccel.report.words import (
    DASH,
    IDENTICAL,
    MINUS,
    NOT_MEASURED,
    TIMES,
    counted,
    decimals,
    digits,
    duration,
    factor,
    harmless,
    listed,
    metric,
    share,
    signed,
    size,
    spoken,
    waiting,
)

UNITS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
UNITS |= {"bytes": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
NOTHING = st.sampled_from([None, math.nan, math.inf, -math.inf, 1e101, -1e300])
ANY = st.floats() | st.none()


def read_back(text: str) -> float:
    number, unit = text.split()
    return float(number.replace(",", "").replace(MINUS, "-")) * UNITS[unit]


@example(1234.5)
@example(0.99996)
@given(st.floats(1e-9, 1e8))
def test_a_duration_has_no_exponent_and_is_read_back(seconds: float):
    for text in (duration(seconds), waiting(seconds)):
        assert re.fullmatch(r"[\d,.]+ (ms|s|min|h)", text)
        assert len(text) <= 14
        assert read_back(text) == pytest.approx(seconds, rel=0.01)


@example(3 << 30)
@given(st.integers(0, 1 << 58))
def test_a_size_has_no_exponent_and_is_read_back(count: int):
    assert re.fullmatch(r"[\d,.]+ (bytes|[KMG]iB)", size(count))
    assert read_back(size(count)) == pytest.approx(count, rel=0.01)


@given(value=st.floats(-1e8, 1e8), places=st.integers(0, 6))
def test_decimals_are_read_back_and_nothing_has_a_sign(value: float, places: int):
    for text in (decimals(value, places), signed(value, places), factor(value, places)[:-1]):
        number = float(text.replace(MINUS, "-"))
        assert number == pytest.approx(value, abs=10.0**-places)
        assert (text[0] in f"+{MINUS}") <= (number != 0)
    assert (signed(value, places)[0] == "+") == (float(f"{value:.{places}f}") > 0)


@given(NOTHING)
def test_what_is_no_number_is_called_that(value: float | None):
    assert duration(value) == size(value) == factor(value, missing=NOT_MEASURED) == NOT_MEASURED
    assert decimals(value, 2) == signed(value, 2) == factor(value) == share(value) == DASH
    assert digits(value) == duration(value, missing=DASH) == metric("psnr_db").value(value) == DASH
    assert spoken(value) == "none"


@given(value=ANY, places=st.integers(0, 6))
def test_no_text_holds_what_is_no_number(value: float | None, places: int):
    texts = [duration(value), factor(value, places), decimals(value, places), signed(value, places)]
    texts += [share(value), digits(value), spoken(value), spoken({"a": [value, (value,)]})]
    texts += [metric(name).value(value) for name in ("psnr_db", "ssim", "own")]
    for text in texts:
        assert not re.search("nan|inf", text)
        assert len(text) < 60


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (duration(1234.5), "1,234 s"),
        (duration(1.93), "1.93 s"),
        (duration(0.0456), "45.6 ms"),
        (duration(0), "0 ms"),
        (waiting(45), "45 s"),
        (waiting(1800), "30 min"),
        (waiting(12600), "3.5 h"),
        (size(1023), "1,023 bytes"),
        (size(871_000_000), "831 MiB"),
        (size(3 << 30), "3 GiB"),
        (size(10**30), "9.31e+20 GiB"),
        (size(10**400), NOT_MEASURED),
        (factor(3.974), f"3.97{TIMES}"),
        (share(-0.616), f"{MINUS}62 %"),
        (signed(0.0004, 3), "0.000"),
        (metric("psnr_db").value(31.24), "31.2 dB"),
        (metric("psnr_db").value(100.0), IDENTICAL),
        (metric("ssim").value(0.9531), "0.953"),
        (metric("own_metric").heading, "own metric"),
        (counted(1, "run"), "1 run"),
        (counted(2000, "run"), "2,000 runs"),
        (listed(["a", "b", "c"]), "a, b and c"),
        (
            spoken({"a_b": [1, 0.5, True, None, {}], "c": {}}),
            "a b (1, 0.5, yes, none, none)",
        ),
        (spoken([1, 2, 3, 4], most=2), "1, 2, 2 more"),
        (harmless("a\x1b[2J\u202eb\n\t"), "a\ufffd[2J\ufffdb\n\t"),
    ],
)
def test_words_are_plain(text: str, expected: str):
    assert text == expected
