"""The demo world: seeded scenes, rendering."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from sraccel.demo.captions import (
    COLOURS,
    MOTIONS,
    PATTERNS,
    RELATIONS,
    SHAPES,
    Description,
    Figure,
)
from sraccel.demo.observation import UNIT_AREA
from sraccel.demo.shapes import (
    MIN_DISTANCE,
    NUM_FRAMES,
    PATTERN_CONTRAST,
    PATTERN_PERIOD,
    SIZE,
    SPEED,
    Centres,
    Placement,
    Scene,
    background,
    coverage,
    held_out_scenes,
    pattern,
    render,
    track,
    training_scenes,
)


def tracks(scene: Scene) -> list[Centres]:
    parts = zip(scene.description.figures, scene.placements, strict=True)
    return [track(*part) for part in parts]


def test_training_and_held_out_captions_never_meet() -> None:
    assert not any(scene.description.held_out for scene in training_scenes(300))
    held_out = held_out_scenes(300)
    assert all(scene.description.held_out for scene in held_out)
    assert len({scene.caption for scene in held_out}) == 300


@pytest.mark.parametrize("draw", [training_scenes, held_out_scenes])
def test_scenes_have_one_two_or_three_figures_of_different_colours(draw) -> None:
    drawn = [scene.description for scene in draw(200)]
    numbers = [len(description.figures) for description in drawn]
    assert all(numbers.count(number) >= 25 for number in (1, 2, 3))
    for description in drawn:
        colours = [figure.colour for figure in description.figures]
        assert len(set(colours)) == len(colours)


@pytest.mark.parametrize("draw", [training_scenes, held_out_scenes])
def test_scenes_depend_on_the_seed_and_a_longer_draw_continues_a_shorter_one(draw) -> None:
    assert draw(5, seed=3) == draw(8, seed=3)[:5]
    assert draw(5, seed=3) != draw(5, seed=4)


def test_figures_stay_inside_the_frame_and_apart() -> None:
    for scene in [*training_scenes(150), *held_out_scenes(150)]:
        centres = tracks(scene)
        parts = zip(scene.description.figures, scene.placements, centres, strict=True)
        for figure, placement, (x, y) in (
            (*part, path.T[..., None, None]) for *part, path in parts
        ):
            areas = coverage(figure.shape, x, y, placement.radius).sum((1, 2))
            whole = UNIT_AREA[figure.shape] * placement.radius**2
            assert areas.min() > 0.98 * whole  # the tip of a triangle may reach the border
        for one, other in combinations(centres, 2):
            assert np.abs(one - other).max(axis=1).min() >= MIN_DISTANCE


def test_a_scene_shows_the_relations_of_its_caption() -> None:
    for scene in [*training_scenes(150), *held_out_scenes(150)]:
        for relation, (one, other) in zip(
            scene.description.relations, pairwise(tracks(scene)), strict=True
        ):
            offset = (one - other).mean(axis=0)
            along = offset @ RELATIONS[relation]
            assert along >= MIN_DISTANCE
            assert along > 1.25 * abs(offset @ RELATIONS[relation][::-1])


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_figure_moves_where_its_caption_says(motion: str) -> None:
    centres = track(Figure("red", "circle", motion), Placement(24, 25, 6))
    assert centres.shape == (NUM_FRAMES, 2)
    moved = SPEED * (NUM_FRAMES - 1) * np.array(MOTIONS[motion])
    np.testing.assert_allclose(centres[-1] - centres[0], moved)
    np.testing.assert_allclose(centres.mean(axis=0), (24, 25))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_centred_on_its_centre_of_mass(shape: str) -> None:
    mask = coverage(shape, 20.3, 25.6, 6)
    grid = np.arange(SIZE) + 0.5
    centre = (mask.sum(0) @ grid / mask.sum(), mask.sum(1) @ grid / mask.sum())
    np.testing.assert_allclose(centre, (20.3, 25.6), atol=0.2)


@pytest.mark.parametrize("shape", SHAPES)
def test_many_masks_are_drawn_at_once_as_one_by_one(shape: str) -> None:
    x, y, radii = np.random.default_rng(0).uniform(10, 30, (3, 4, 1, 1))
    together = coverage(shape, x, y, radii)
    for mask, *given_ in zip(together, x.flat, y.flat, radii.flat, strict=True):
        np.testing.assert_array_equal(mask, coverage(shape, *given_))


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_adds_nothing_on_average_and_repeats_after_its_period(name: str) -> None:
    placement = Placement(20, 20, 6, phase=(0.7, 2.1))
    light = pattern(name, placement, 20, 20, size=60)  # whole periods
    assert abs(light.mean()) < 1e-6
    for axis in (0, 1):
        np.testing.assert_allclose(np.roll(light, int(PATTERN_PERIOD), axis), light, atol=1e-6)
    if name == "striped":
        assert light.std(axis=1).max() < 1e-6  # stripes lie along x
    highest = 0.0 if name == "plain" else PATTERN_CONTRAST
    finely = [pattern(name, placement, 20 + step / 8, 20 + step / 8) for step in range(40)]
    assert np.max(finely) == pytest.approx(highest, abs=0.02)


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_moves_with_its_figure(name: str) -> None:
    figure = Figure("green", "square", "moving right", name)
    clip = render(Scene(Description((figure,)), (Placement(32, 30, 7, (0.3, 1.9)),)))
    moved = SPEED * 5
    assert moved == int(moved)  # whole pixels after five frames
    inside = slice(26, 35), slice(22, 29)
    later = inside[0], slice(22 + int(moved), 29 + int(moved))
    np.testing.assert_allclose(clip[0][inside], clip[5][later], atol=1e-5)


@pytest.mark.parametrize("num_frames", [3, NUM_FRAMES, 12])
def test_a_clip_shows_colour_on_the_sky(num_frames: int) -> None:
    figure = Figure("green", "square", "staying still")
    clip = render(Scene(Description((figure,)), (Placement(24, 24, 6),)), num_frames)
    assert clip.shape == (num_frames, SIZE, SIZE, 3)
    assert clip.dtype == np.float32
    np.testing.assert_allclose(clip[0, 24, 24], COLOURS["green"], atol=1e-6)
    np.testing.assert_array_equal(clip[:, :, 0], [background()[:, 0]] * num_frames)
    np.testing.assert_array_equal(clip[0], clip[-1])


def test_the_values_of_a_clip_lie_between_zero_and_one() -> None:
    for scene in training_scenes(40, seed=6):
        clip = render(scene)
        assert 0 <= clip.min() < clip.max() <= 1
