"""The semantic score, on clips whose content is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sraccel.demo.captions import Description, Figure
from sraccel.demo.observation import observe
from sraccel.demo.score import (
    ATTRIBUTES,
    AttributeScore,
    assign,
    score_video,
    summarise,
)
from sraccel.demo.shapes import (
    NUM_FRAMES,
    Clip,
    Placement,
    Scene,
    background,
    held_out_scenes,
    render,
    training_scenes,
)

LEFT = Figure("red", "circle", "moving left", "striped")
RIGHT = Figure("blue", "square", "moving right")
STILL = Figure("yellow", "triangle", "staying still", "dotted")
PLACES = (Placement(34, 14, 6.2, (0.4, 1.0)), Placement(28, 50, 6.4), Placement(50, 48, 6.9))
TWO = Scene(Description((LEFT, RIGHT), ("above",)), PLACES[:2])
THREE = Scene(Description((LEFT, RIGHT, STILL), ("above", "left of")), PLACES)
RIGHT_IN_ALL = dict.fromkeys(ATTRIBUTES, 1.0)


def score_of(scene: Scene, **changes: object) -> AttributeScore:
    """Score a scene's clip against a changed description."""
    return score_video(render(scene), dataclasses.replace(scene.description, **changes))


@pytest.mark.parametrize("seed", [3, 2024])
@pytest.mark.parametrize("draw", [training_scenes, held_out_scenes])
def test_ground_truth_is_right_in_every_attribute(draw, seed: int) -> None:
    scenes = draw(80, seed=seed)
    summary = summarise(score_video(render(scene), scene.caption) for scene in scenes)
    assert summary == {**RIGHT_IN_ALL, "mean": 1.0, "whole": 1.0}


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.0, 0.06))
def test_noise_of_a_few_percent_changes_nothing(seed: int, noise: float) -> None:
    scene = held_out_scenes(1, seed)[0]
    clip = render(scene)
    clip += np.random.default_rng(seed).normal(0, noise, clip.shape).astype(np.float32)
    assert score_video(clip, scene.caption).whole


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("colour", "green"),
        ("shape", "triangle"),
        ("motion", "moving up"),
        ("pattern", "dotted"),
        ("pattern", "plain"),
    ],
)
def test_each_wrong_attribute_costs_that_attribute_only(name: str, wrong: str) -> None:
    figure = dataclasses.replace(LEFT, **{name: wrong})
    assert score_of(TWO).values() == RIGHT_IN_ALL
    assert score_of(TWO, figures=(figure, RIGHT)).values() == {**RIGHT_IN_ALL, name: 1 / 2}
    expected = pytest.approx({**RIGHT_IN_ALL, name: 2 / 3})
    assert score_of(THREE, figures=(figure, RIGHT, STILL)).values() == expected


def test_each_wrong_relation_costs_its_share() -> None:
    assert score_of(TWO, relations=("below",)).values() == {**RIGHT_IN_ALL, "relation": 0.0}
    for relations in (("below", "left of"), ("above", "right of"), ("above", "above")):
        assert score_of(THREE, relations=relations).values() == {**RIGHT_IN_ALL, "relation": 0.5}


def test_a_swapped_caption_fails_where_the_objects_differ() -> None:
    swapped = (
        dataclasses.replace(LEFT, colour="blue"),
        dataclasses.replace(RIGHT, colour="red"),
    )
    wrong = {"pattern": 0.0, "shape": 0.0, "motion": 0.0, "relation": 0.0}
    score = score_of(TWO, figures=swapped)
    assert score.values() == {**RIGHT_IN_ALL, **wrong}
    assert not score.whole


def test_a_missing_object_costs_what_it_carries() -> None:
    two = Scene(TWO.description, TWO.placements)
    score = score_video(render(two), THREE.description)
    assert score.values() == pytest.approx(
        dict.fromkeys(("colour", "pattern", "shape", "motion"), 2 / 3)
        | {"relation": 0.5, "count": 0.0}
    )


def test_a_lone_figure_has_no_relation() -> None:
    alone = score_video(render(Scene(Description((LEFT,)), PLACES[:1])), LEFT.text)
    assert alone.relation is None
    assert "relation" not in alone.values()
    assert alone.whole
    assert alone.mean == 1.0
    both = summarise([alone, score_of(TWO, relations=("below",))])
    assert both["relation"] == 0.0  # of the one that has a relation
    assert both["mean"] == pytest.approx((1 + 5 / 6) / 2)


def test_an_empty_and_a_noisy_clip_score_nothing() -> None:
    empty: Clip = np.repeat(background()[None], NUM_FRAMES, axis=0)
    assert score_video(empty, TWO.caption).mean == 0.0
    noise = np.random.default_rng(0).random(empty.shape, np.float32)
    assert score_video(noise, TWO.caption).mean < 0.2


def test_an_object_too_many_costs_the_count_alone() -> None:
    assert score_video(render(THREE), TWO.description).values() == {**RIGHT_IN_ALL, "count": 0.0}


def test_two_objects_of_one_colour_are_told_apart_and_counted() -> None:
    twin = dataclasses.replace(RIGHT, colour="red")
    scene = dataclasses.replace(TWO, description=Description((LEFT, twin), ("above",)))
    assert score_video(render(scene), scene.caption).whole
    assert score_video(render(scene), LEFT.text).values() == {
        name: float(name != "count") for name in ATTRIBUTES if name != "relation"
    }


def test_each_figure_gets_the_object_of_its_colour_before_anything_else() -> None:
    objects = observe(render(THREE)).objects
    chosen = assign(objects, THREE.description)
    assert [seen.figure for seen in chosen if seen] == [LEFT, RIGHT, STILL]
    green = dataclasses.replace(LEFT, colour="green")
    chosen = assign(objects[:2], Description((green, LEFT), ("above",)))
    assert chosen[1] is not None
    assert chosen[1].figure == LEFT


def test_a_score_can_be_given_what_was_seen_and_a_description() -> None:
    seen = observe(render(TWO))
    assert score_video(seen, TWO.description) == score_video(seen.clip, TWO.caption)


def test_a_clip_of_another_size_and_a_foreign_caption_are_refused() -> None:
    with pytest.raises(ValueError, match="a clip has the shape"):
        score_video(np.zeros((9, 48, 48, 3), np.float32), TWO.caption)
    with pytest.raises(ValueError, match="'pink' is not a colour"):
        score_video(render(TWO), "a pink circle moving left")
