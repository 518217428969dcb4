"""Captions of the demo world, and which of them are held out."""

from __future__ import annotations

from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sraccel.demo.captions import (
    COLOURS,
    MAX_FIGURES,
    MOTIONS,
    PATTERNS,
    RELATIONS,
    SHAPES,
    Description,
    Figure,
    described,
    figures,
    parse_caption,
)

every_figure = st.sampled_from(figures())
every_relation = st.sampled_from([*RELATIONS])
LEFT = Figure("red", "circle", "moving left")
STRIPED = Figure("blue", "square", "staying still", "striped")


def chains(number: int) -> st.SearchStrategy[Description]:
    """Descriptions of so many figures."""
    relations = st.tuples(*[every_relation] * (number - 1))
    return st.builds(Description, st.tuples(*[every_figure] * number), relations)


descriptions = st.integers(1, MAX_FIGURES).flatmap(chains)


@given(descriptions)
def test_a_caption_is_read_back_to_what_it_says(description: Description) -> None:
    assert parse_caption(description.text) == description
    assert described(description.text) == described(description) == description


@given(descriptions, st.sampled_from([str.upper, str.capitalize, str.title]), st.booleans())
def test_capitals_spaces_and_a_full_stop_change_nothing(
    description: Description, spelling, stop: bool
) -> None:
    text = "  " + spelling(description.text).replace(" ", "  ") + (" . " if stop else "")
    assert parse_caption(text) == description


def test_a_caption_names_a_pattern_unless_it_is_plain() -> None:
    assert STRIPED.text == "a striped blue square staying still"
    assert LEFT.text == "a red circle moving left"
    below = Description((LEFT, STRIPED), ("below",))
    assert below.text == f"{LEFT.text} below {STRIPED.text}"


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        ("a pink circle moving left", "'pink' is not a colour: red, green"),
        ("a chequered red circle moving left", r"'chequered' is not a colour.*\[striped\|dotted\]"),
        ("a plain red circle moving left", "'plain' is not a colour"),
        ("a striped star moving left", "'star' is not a colour"),
        ("a red star moving left", "'star' is not a shape: circle, square, triangle"),
        ("a red circle jumping", "'jumping' is not a motion: moving left"),
        ("a red circle moving left and a blue one", "'moving left and a blue one' is not a motion"),
        ("a red circle moving left above a blue circle", "'a blue circle' is not 'a "),
        ("a striped red circle", "'a striped red circle' is not 'a "),
        ("red circle moving left", "'red circle moving left' is not 'a "),
        ("", r"'' is not 'a \[striped\|dotted\] <colour> <shape> <motion>'"),
        (" above ".join([LEFT.text] * 4), "one to 3 figures, not 4"),
    ],
)
def test_a_caption_of_another_world_is_refused(caption: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_caption(caption)


@pytest.mark.parametrize(
    ("number", "relations", "message"),
    [
        (0, (), "one to 3 figures, not 0"),
        (4, ("above",) * 3, "one to 3 figures, not 4"),
        (1, ("above",), "a relation between each figure and the next: 0, not 1"),
        (3, ("above",), "a relation between each figure and the next: 2, not 1"),
    ],
)
def test_a_description_has_a_relation_between_each_figure_and_the_next(
    number: int, relations: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Description((LEFT,) * number, relations)


def test_held_out_figures_leave_every_pair_of_attributes_in_training() -> None:
    trained = [figure for figure in figures() if not figure.held_out]
    assert len(figures()) == 270
    assert len(trained) == 216
    values = {
        "colour": [*COLOURS],
        "shape": [*SHAPES],
        "motion": [*MOTIONS],
        "pattern": [*PATTERNS],
    }
    for one, other in combinations(values, 2):
        seen = {(getattr(figure, one), getattr(figure, other)) for figure in trained}
        assert seen == set(product(values[one], values[other]))


@given(every_figure, st.sampled_from(PATTERNS))
def test_a_figure_is_held_out_whatever_its_pattern(figure: Figure, name: str) -> None:
    assert Figure(figure.colour, figure.shape, figure.motion, name).held_out == figure.held_out
