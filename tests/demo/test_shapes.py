"""The demo world: captions, the held-out split, seeded scenes, rendering."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sraccel.demo.shapes import (
    BACKGROUND,
    COLOURS,
    MIN_DISTANCE,
    MOTIONS,
    NUM_FRAMES,
    RELATIONS,
    SHAPES,
    SIZE,
    Description,
    Figure,
    Placement,
    Scene,
    coverage,
    figures,
    held_out_scenes,
    parse_caption,
    render,
    track,
    training_scenes,
)

every_figure = st.sampled_from(figures())
descriptions = st.one_of(
    st.builds(lambda figure: Description((figure,)), every_figure),
    st.builds(Description, st.tuples(every_figure, every_figure), st.sampled_from([*RELATIONS])),
)


@given(descriptions)
def test_a_caption_is_read_back_to_what_it_says(description: Description) -> None:
    assert parse_caption(description.text) == description


def test_a_caption_may_have_capitals_a_full_stop_and_spaces() -> None:
    figure = Figure("red", "circle", "moving left")
    assert parse_caption(" A red  circle Moving left. ") == Description((figure,))


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        ("a pink circle moving left", "'pink' is not a colour: red, green"),
        ("a red star moving left", "'star' is not a shape"),
        ("a red circle jumping", "'jumping' is not a motion"),
        ("red circle", "is not 'a <colour> <shape> <motion>'"),
        ("", "is not 'a <colour> <shape> <motion>'"),
    ],
)
def test_a_caption_of_another_world_is_refused(caption: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_caption(caption)


def test_a_description_needs_a_relation_for_two_figures_only() -> None:
    figure = figures()[0]
    for bad in (((figure, figure), None), ((figure,), "above"), ((), None)):
        with pytest.raises(ValueError, match="two figures and a relation"):
            Description(*bad)


def test_held_out_figures_leave_every_pair_of_attributes_in_training() -> None:
    trained = [figure for figure in figures() if not figure.held_out]
    assert len(trained) == 72
    values = {"colour": [*COLOURS], "shape": [*SHAPES], "motion": [*MOTIONS]}
    for one, other in combinations(values, 2):
        seen = {(getattr(figure, one), getattr(figure, other)) for figure in trained}
        assert seen == set(product(values[one], values[other]))


def test_training_and_held_out_captions_never_meet() -> None:
    assert not any(scene.description.held_out for scene in training_scenes(300))
    held_out = held_out_scenes(300)
    assert all(scene.description.held_out for scene in held_out)
    assert len({scene.caption for scene in held_out}) == 300


def test_scenes_depend_on_the_seed_and_a_longer_draw_continues_a_shorter_one() -> None:
    assert training_scenes(5, seed=3) == training_scenes(8, seed=3)[:5]
    assert held_out_scenes(5, seed=3) == held_out_scenes(8, seed=3)[:5]
    assert training_scenes(5, seed=3) != training_scenes(5, seed=4)


def test_figures_stay_inside_the_frame_and_apart() -> None:
    for scene in training_scenes(200):
        tracks = [
            track(figure, placement)
            for figure, placement in zip(scene.description.figures, scene.placements, strict=True)
        ]
        for centres in tracks:
            assert centres.min() > 5
            assert centres.max() < SIZE - 5
        for one, other in combinations(tracks, 2):
            assert np.abs(one - other).max(axis=1).min() >= MIN_DISTANCE


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_figure_moves_where_its_caption_says(motion: str) -> None:
    centres = track(Figure("red", "circle", motion), Placement(24, 24, 5))
    assert centres.shape == (NUM_FRAMES, 2)
    np.testing.assert_allclose(np.sign(centres[-1] - centres[0]), MOTIONS[motion])
    np.testing.assert_allclose(centres.mean(axis=0), (24, 24))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_centred_on_its_centre_of_mass(shape: str) -> None:
    mask = coverage(shape, 20.3, 25.6, 6)
    grid = np.arange(SIZE) + 0.5
    centre = (mask.sum(0) @ grid / mask.sum(), mask.sum(1) @ grid / mask.sum())
    np.testing.assert_allclose(centre, (20.3, 25.6), atol=0.2)


def test_a_clip_shows_colour_on_background() -> None:
    figure = Figure("green", "square", "staying still")
    clip = render(Scene(Description((figure,)), (Placement(24, 24, 5.5),)))
    assert clip.shape == (NUM_FRAMES, SIZE, SIZE, 3)
    assert clip.dtype == np.float32
    np.testing.assert_allclose(clip[0, 24, 24], COLOURS["green"], atol=1e-6)
    np.testing.assert_allclose(clip[:, 0, 0], [BACKGROUND] * NUM_FRAMES, atol=1e-6)
    np.testing.assert_array_equal(clip[0], clip[-1])
