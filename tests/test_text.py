"""Words for people."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from sraccel.text import first_complaint, plain_complaint, printable, shortened


@given(st.text(), st.integers(4, 80))
def test_a_shortened_text_fits_and_says_that_it_was_cut(text: str, longest: int) -> None:
    shown = shortened(text, longest)
    assert len(shown) <= longest
    assert shown == text or (text.startswith(shown[:-3]) and shown.endswith("..."))


@given(st.text())
def test_a_printable_text_steers_no_terminal(text: str) -> None:
    assert all(char.isprintable() or char in "\n\t" for char in printable(text))


class Checked(BaseModel):
    some: list[int] = Field(min_length=1)
    text: str = "x"
    share: float = Field(0.5, ge=0, le=1)
    yes: bool = True


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=4))
def test_what_is_wrong_with_a_value_is_said_in_plain_words(value: object) -> None:
    for name in Checked.model_fields:
        try:
            Checked.model_validate({"some": [1], name: value})
        except ValidationError as error:
            said = first_complaint(error.errors())
            assert said.startswith((f"{name}: must ", f"{name}."))
            assert not any(word in said for word in ("Input", "valid", "parse", "should"))


def test_what_is_missing_is_said_to_be() -> None:
    assert plain_complaint("Field required") == "is missing"
    assert plain_complaint("Value error, odd") == "odd"
