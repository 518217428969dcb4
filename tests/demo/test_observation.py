"""What is found in clips whose content is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sraccel.demo.captions import COLOURS, MOTIONS, PATTERNS, SHAPES, Description, Figure
from sraccel.demo.observation import (
    MIN_AREA,
    classify_motion,
    nearest_colour,
    observe,
    opacity,
    pattern_waves,
    pixels_of,
    sighting,
)
from sraccel.demo.shapes import (
    NUM_FRAMES,
    PATTERN_CONTRAST,
    SIZE,
    SPEED,
    Clip,
    Placement,
    Scene,
    background,
    coverage,
    held_out_scenes,
    render,
    track,
    training_scenes,
)

BLUE = Figure("blue", "square", "moving right")


def alone(figure: Figure, x: float = 30.4, y: float = 33.7, radius: float = 6.5) -> Scene:
    return Scene(Description((figure,)), (Placement(x, y, radius, (0.4, 2.0)),))


def empty(num_frames: int = NUM_FRAMES) -> Clip:
    return np.repeat(background()[None], num_frames, axis=0)


def draw(clip: Clip, frame: int, x: float, y: float, radius: float = 6.0) -> None:
    """Add a yellow circle to one frame."""
    mask = coverage("circle", x, y, radius)[..., None]
    clip[frame] += mask * (np.array(COLOURS["yellow"], np.float32) - clip[frame])


@pytest.mark.parametrize("scenes", [training_scenes(40, seed=11), held_out_scenes(40, seed=12)])
def test_every_figure_of_a_scene_is_found_where_it_is(scenes: list[Scene]) -> None:
    for scene in scenes:
        objects = {seen.figure.colour: seen for seen in observe(render(scene)).objects}
        assert len(objects) == len(scene.placements)
        for figure, placement in zip(scene.description.figures, scene.placements, strict=True):
            seen = objects[figure.colour]
            assert seen.figure == figure
            path = track(figure, placement)[seen.detections.frames]
            assert np.hypot(*(seen.detections.centres - path).T).mean() < 0.25
            assert seen.detections.areas.std() < 0.05 * seen.area


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [5.0, 6.2, 8.0])
def test_shapes_are_told_apart_at_any_radius(shape: str, radius: float) -> None:
    figure = Figure("cyan", shape, "moving down")
    (seen,) = observe(render(alone(figure, radius=radius))).objects
    assert seen.figure == figure


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_changes_neither_colour_nor_area(colour: str, pattern: str) -> None:
    figure = Figure(colour, "circle", "staying still", pattern)
    (seen,) = observe(render(alone(figure))).objects
    assert seen.figure == figure
    (plain,) = observe(render(alone(dataclasses.replace(figure, pattern="plain")))).objects
    assert seen.area == pytest.approx(plain.area, rel=0.04)


def test_every_pixel_goes_to_its_nearest_colour_lighter_or_darker() -> None:
    colours = np.array(list(COLOURS.values()), np.float32)
    clip = empty(1)
    for lift in (-PATTERN_CONTRAST, 0, PATTERN_CONTRAST):
        clip[0, 10, :6] = colours + np.float32(lift)
        labels = nearest_colour(clip)
        np.testing.assert_array_equal(labels[0, 10, :6], 1 + np.arange(6))
        labels[0, 10, :6] = 0
        assert not labels.any()


@settings(deadline=None, max_examples=20)
@given(st.sampled_from([*COLOURS]), st.floats(20, 40), st.floats(20, 40), st.floats(4, 9))
def test_opacity_is_what_a_figure_covers(colour: str, x: float, y: float, radius: float) -> None:
    for pattern in PATTERNS:
        figure = Figure(colour, "circle", "staying still", pattern)
        clip = render(alone(figure, x, y, radius), num_frames=1)
        drawn = opacity(clip, pixels_of(nearest_colour(clip), colour), colour)
        covered = coverage("circle", x, y, radius)
        assert abs(drawn[0] - covered).max() < 0.3
        assert abs(drawn[0] - covered).mean() < 0.003


@pytest.mark.parametrize("motion", MOTIONS)
def test_motion_comes_from_the_fitted_velocity(motion: str) -> None:
    frames = np.arange(NUM_FRAMES)
    steps = frames[:, None] * SPEED * 0.8 * np.array(MOTIONS[motion])
    wobble = np.random.default_rng(1).normal(0, 0.3, (NUM_FRAMES, 2))
    assert classify_motion(frames, 20 + steps + wobble) == motion


def test_motion_is_measured_over_the_frames_that_show_the_object() -> None:
    frames = np.array([0, 3, 8])
    slow = 0.4 * SPEED * frames[:, None] * np.array(MOTIONS["moving up"])
    assert classify_motion(frames, 30 + slow) == "staying still"


def test_the_waves_of_a_pattern_have_its_contrast_and_phase() -> None:
    figure = dataclasses.replace(BLUE, pattern="striped")
    scene = alone(figure)
    clip = render(scene)
    (seen,) = observe(clip).objects
    centres = track(figure, scene.placements[0])
    stripes, *_ = pattern_waves(clip, seen.detections, centres)
    assert abs(stripes) == pytest.approx(PATTERN_CONTRAST, rel=0.15)
    assert np.angle(stripes) == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize(("share", "found"), [(1.0, "dotted"), (0.6, "dotted"), (0.2, "plain")])
def test_a_faint_pattern_is_none(share: float, found: str) -> None:
    dotted, plain = (render(alone(dataclasses.replace(BLUE, pattern=p))) for p in PATTERNS[2::-2])
    (seen,) = observe(plain + np.float32(share) * (dotted - plain)).objects
    assert seen.figure.pattern == found


def test_an_object_is_there_if_most_frames_show_it() -> None:
    scene = alone(BLUE)
    for missing, number in ((0, 1), (3, 1), (4, 0)):
        clip = render(scene)
        clip[2 : 2 + missing] = background()
        objects = observe(clip).objects
        assert len(objects) == number
        for seen in objects:
            assert seen.figure == BLUE
            assert len(seen.detections.frames) == NUM_FRAMES - missing


def test_specks_are_no_objects() -> None:
    clip = empty()
    rows, columns = divmod(np.arange(MIN_AREA - 1), 6)
    clip[:, 20 + rows, 20 + columns] = COLOURS["yellow"]
    assert not observe(clip).objects
    clip[:, 30:36, 20:26] = COLOURS["yellow"]
    assert len(observe(clip).objects) == 1


def test_regions_are_connected_by_edges_within_a_frame_and_not_by_corners() -> None:
    clip = empty()
    clip[:, 20:27, 20:27] = COLOURS["green"]
    clip[:, 27:34, 27:34] = COLOURS["green"]
    assert [seen.figure.shape for seen in observe(clip).objects] == ["square", "square"]


def test_two_objects_of_one_colour_are_followed_by_place_though_their_sizes_change() -> None:
    clip = empty()
    for frame in range(NUM_FRAMES):
        pulse = 0.4 * (-1) ** frame  # now one is larger, now the other
        draw(clip, frame, 18 + SPEED * frame, 14, radius=6 + pulse)
        draw(clip, frame, 44 - SPEED * frame, 48, radius=6 - pulse)
    first, second = sorted(observe(clip).objects, key=lambda seen: seen.centre[1])
    assert first.figure == Figure("yellow", "circle", "moving right")
    assert second.figure == Figure("yellow", "circle", "moving left")


def test_an_empty_clip_has_no_objects_and_noise_none_that_lasts() -> None:
    assert observe(empty()).objects == ()
    noise = np.random.default_rng(0).random(empty().shape, np.float32)
    assert len(observe(noise).objects) < 3


@pytest.mark.parametrize("num_frames", [1, 4, 15])
def test_a_clip_may_have_any_number_of_frames(num_frames: int) -> None:
    figure = Figure("purple", "triangle", "staying still", "striped")
    (seen,) = observe(render(alone(figure), num_frames)).objects
    assert seen.figure == figure


@pytest.mark.parametrize("shape", [(9, 48, 48, 3), (9, 64, 48, 3), (9, 64, 64), (0, 64, 64, 3)])
def test_a_clip_of_another_size_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"\(frames, {SIZE}, {SIZE}, 3\), not \({shape[0]}, "):
        observe(np.zeros(shape, np.float32))


def test_a_clip_is_observed_once() -> None:
    seen = observe(render(alone(BLUE)))
    assert sighting(seen) is seen
    assert sighting(seen.clip).clip is seen.clip
