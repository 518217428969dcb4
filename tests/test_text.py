"""Words for people."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sraccel.text import printable, shortened


@given(st.text(), st.integers(4, 80))
def test_a_shortened_text_fits_and_says_that_it_was_cut(text: str, longest: int) -> None:
    shown = shortened(text, longest)
    assert len(shown) <= longest
    assert shown == text or (text.startswith(shown[:-3]) and shown.endswith("..."))


@given(st.text())
def test_a_printable_text_steers_no_terminal(text: str) -> None:
    assert all(char.isprintable() or char in "\n\t" for char in printable(text))
