"""The semantic score, on clips whose content is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sraccel.demo.score import (
    ATTRIBUTES,
    AttributeScore,
    classify_motion,
    label_regions,
    observe,
    score_video,
    summarise,
)
from sraccel.demo.shapes import (
    MOTIONS,
    SHAPES,
    SPEED,
    Clip,
    Description,
    Figure,
    Placement,
    Scene,
    held_out_scenes,
    render,
    training_scenes,
)

LEFT = Figure("red", "circle", "moving left")
RIGHT = Figure("blue", "square", "moving right")
TWO = Scene(Description((LEFT, RIGHT), "above"), (Placement(24, 12, 5.2), Placement(22, 36, 5.4)))


def score_of(scene: Scene, **changes: object) -> AttributeScore:
    """Score a scene's clip against a changed description."""
    return score_video(render(scene), dataclasses.replace(scene.description, **changes))


@pytest.mark.parametrize("draw", [training_scenes, held_out_scenes])
def test_ground_truth_is_right_in_every_attribute(draw: object) -> None:
    scenes = draw(60, seed=5)  # type: ignore[operator]
    summary = summarise(score_video(render(scene), scene.caption) for scene in scenes)
    assert all(summary[name] >= 0.97 for name in ATTRIBUTES), summary


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.0, 0.06))
def test_noise_of_a_few_percent_changes_nothing(seed: int, noise: float) -> None:
    scene = training_scenes(1, seed)[0]
    clip = render(scene)
    clip += np.random.default_rng(seed).normal(0, noise, clip.shape).astype(np.float32)
    assert score_video(clip, scene.caption).colour == 1.0
    assert score_video(clip, scene.caption).motion == 1.0


def test_each_wrong_attribute_costs_that_attribute_only() -> None:
    right = {"colour": 1.0, "shape": 1.0, "motion": 1.0, "relation": 1.0, "count": 1.0}
    assert score_of(TWO).values() == right
    for name, wrong in (("shape", "triangle"), ("motion", "moving up")):
        figure = dataclasses.replace(LEFT, **{name: wrong})
        assert score_of(TWO, figures=(figure, RIGHT)).values() == {**right, name: 0.5}
    assert score_of(TWO, relation="below").values() == {**right, "relation": 0.0}


def test_a_swapped_caption_fails_where_the_objects_differ() -> None:
    swapped = (Figure("blue", "circle", "moving left"), Figure("red", "square", "moving right"))
    score = score_of(TWO, figures=swapped)
    assert (score.colour, score.shape, score.motion) == (1.0, 0.0, 0.0)
    assert not score.whole


def test_a_missing_object_costs_every_attribute_it_carries_and_a_lone_one_has_no_relation() -> None:
    one = Scene(Description((LEFT,)), TWO.placements[:1])
    halves = dict.fromkeys(("colour", "shape", "motion"), 0.5)
    score = score_video(render(one), TWO.description)
    assert score.values() == {**halves, "relation": 0.0, "count": 0.0}
    alone = score_video(render(one), one.caption)
    assert alone.relation is None
    assert alone.whole
    assert alone.mean == 1.0


def test_an_empty_and_a_noisy_clip_score_nothing() -> None:
    empty: Clip = np.full((10, 48, 48, 3), 0.08, np.float32)
    assert observe(empty) == []
    assert score_video(empty, TWO.caption).mean == 0.0
    noise = np.random.default_rng(0).random(empty.shape, np.float32)
    assert not score_video(noise, TWO.caption).whole


def test_two_objects_of_one_colour_are_counted() -> None:
    twin = dataclasses.replace(RIGHT, colour="red")
    scene = dataclasses.replace(TWO, description=Description((LEFT, twin), "above"))
    assert score_video(render(scene), scene.caption).whole
    assert score_video(render(scene), LEFT.text).count == 0.0


@pytest.mark.parametrize("motion", MOTIONS)
def test_motion_comes_from_the_fitted_velocity(motion: str) -> None:
    steps = np.arange(10)[:, None] * SPEED * 0.8 * np.array(MOTIONS[motion])
    wobble = np.random.default_rng(1).normal(0, 0.3, (10, 2))
    assert classify_motion(20 + steps + wobble) == motion


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [4.8, 5.8])
def test_shapes_are_told_apart_at_any_radius(shape: str, radius: float) -> None:
    figure = Figure("cyan", shape, "moving down")
    scene = Scene(Description((figure,)), (Placement(20.4, 23.7, radius),))
    assert [seen.figure for seen in observe(render(scene))] == [figure]


def test_regions_are_connected_by_edges_not_corners() -> None:
    mask = np.array([[1, 1, 0], [0, 0, 1], [1, 0, 1]], bool)
    regions = label_regions(mask)
    assert len(np.unique(regions[mask])) == 3
    assert (regions[~mask] == -1).all()
