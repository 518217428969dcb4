"""The continuous measures, on clips that are spoilt little by little."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from sraccel.demo.captions import Description, Figure
from sraccel.demo.fidelity import MISSING_PATH, Fidelity, fidelity, ideal_scene
from sraccel.demo.observation import observe
from sraccel.demo.score import score_video
from sraccel.demo.shapes import (
    NUM_FRAMES,
    SIZE,
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
PLACES = (
    Placement(34, 14, 6.2, (0.4, 1.0)),
    Placement(28, 50, 6.4),
    Placement(50, 48, 6.9, (1.3, 5.0)),
)
SCENE = Scene(Description((LEFT, RIGHT, STILL), ("above", "left of")), PLACES)


def spoilt(spoil: Callable[[float], Clip], amounts: Sequence[float]) -> list[Fidelity]:
    """Of the same caption, with more and more of one fault."""
    return [fidelity(spoil(amount), SCENE.caption) for amount in amounts]


def falls(values: Sequence[float]) -> bool:
    return all(later < earlier for earlier, later in pairwise(values))


@pytest.mark.parametrize("seed", [5, 4321])
@pytest.mark.parametrize("draw", [training_scenes, held_out_scenes])
def test_ground_truth_is_nearly_its_own_ideal(draw, seed: int) -> None:
    for scene in draw(30, seed=seed):
        found = fidelity(render(scene), scene.caption)
        assert found.iou > 0.95
        assert found.path < 0.1
        assert found.psnr_db > 42


def test_the_ideal_scene_lies_as_the_clip_does() -> None:
    for scene in held_out_scenes(30, seed=9):
        ideal = ideal_scene(render(scene), scene.caption)
        assert ideal.description == scene.description
        for found, placed in zip(ideal.placements, scene.placements, strict=True):
            assert np.hypot(found.x - placed.x, found.y - placed.y) < 0.2
            assert found.radius == pytest.approx(placed.radius, abs=0.2)


def test_the_ideal_scene_shows_what_the_caption_says() -> None:
    up = dataclasses.replace(LEFT, motion="moving up", shape="square")
    wanted = dataclasses.replace(SCENE.description, figures=(up, RIGHT, STILL))
    ideal = ideal_scene(render(SCENE), wanted)
    assert ideal.description == wanted
    assert ideal.placements[0].x == pytest.approx(34, abs=0.1)
    found = fidelity(render(SCENE), wanted)
    assert 1 < found.path < 3  # one of three: 1.6 * sqrt(2) pixels a frame, over 9 frames
    assert found.iou < 0.9


def test_blur_costs_little_by_little() -> None:
    def blurred(sigma: float) -> Clip:
        return ndimage.gaussian_filter(render(SCENE), (0, sigma, sigma, 0))

    found = spoilt(blurred, [0, 0.4, 0.8, 1.2, 1.6, 2.0])
    assert falls([one.psnr_db for one in found])
    assert falls([one.iou for one in found[2:]])
    assert found[0].iou - found[-1].iou > 0.1


def test_one_frame_out_of_place_costs_little_by_little() -> None:
    def shifted(pixels: float) -> Clip:
        clip = render(SCENE)
        clip[4] = ndimage.shift(clip[4], (0, pixels, 0), order=1, mode="nearest")
        return clip

    found = spoilt(shifted, [0, 0.5, 1, 2, 3, 4])
    assert falls([-one.path for one in found])
    assert falls([one.iou for one in found])
    assert falls([one.psnr_db for one in found])
    assert found[-1].path == pytest.approx(4 * 2 * 8 / 81, rel=0.2)  # the mean follows a little


def test_a_double_costs_by_its_size() -> None:
    def doubled(radius: float) -> Clip:
        clip = render(SCENE)
        if not radius:
            return clip
        double = Scene(Description((dataclasses.replace(RIGHT, motion="staying still"),)), ())
        extra = render(dataclasses.replace(double, placements=(Placement(10, 30, radius),)))
        changed = (extra != background()).any(-1)
        clip[changed] = extra[changed]
        return clip

    found = spoilt(doubled, [0, 1.5, 2.5, 4, 5.5])
    assert falls([one.iou for one in found])
    assert falls([one.psnr_db for one in found])
    assert found[-1].path == pytest.approx(found[0].path, abs=0.02)


def test_each_missing_figure_costs_its_share() -> None:
    def shown(kept: int) -> Clip:
        parts = SCENE.description
        return render(
            Scene(Description(parts.figures[:kept], parts.relations[: kept - 1]), PLACES[:kept])
        )

    found = [fidelity(shown(kept), SCENE.caption) for kept in (3, 2, 1)]
    assert falls([one.psnr_db for one in found])
    for missing, one in enumerate(found):
        assert one.iou == pytest.approx((3 - missing) / 3, abs=0.03)
        assert one.path == pytest.approx(missing / 3 * MISSING_PATH, abs=0.1)
    nothing = fidelity(np.repeat(background()[None], NUM_FRAMES, axis=0), SCENE.caption)
    assert (nothing.iou, nothing.path) == (0.0, MISSING_PATH)
    assert nothing.psnr_db < found[-1].psnr_db


def test_a_fading_pattern_costs_little_by_little_and_no_iou() -> None:
    plain = [dataclasses.replace(figure, pattern="plain") for figure in SCENE.description.figures]
    without = render(
        dataclasses.replace(SCENE, description=Description((*plain,), SCENE.description.relations))
    )

    def faded(share: float) -> Clip:
        return (1 - np.float32(share)) * render(SCENE) + np.float32(share) * without

    found = spoilt(faded, [0, 0.2, 0.4, 0.6, 0.8])
    assert falls([one.psnr_db for one in found])
    assert found[-1].iou == pytest.approx(found[0].iou, abs=0.02)


def test_what_leaves_every_attribute_right_is_seen_and_without_a_jump() -> None:
    values = []
    for sigma in np.linspace(0, 0.06, 7):
        clip = render(SCENE)
        clip += sigma * np.random.default_rng(0).normal(size=clip.shape).astype(np.float32)
        seen = observe(clip)
        assert score_video(seen, SCENE.caption).whole
        values.append(fidelity(seen, SCENE.caption))
    assert falls([one.psnr_db for one in values])
    assert falls([one.iou for one in values])
    steps = np.diff([one.iou for one in values])
    assert abs(steps).max() < 0.05


def test_a_fidelity_can_be_given_what_was_seen_and_a_description() -> None:
    seen = observe(render(SCENE))
    assert fidelity(seen, SCENE.description) == fidelity(seen.clip, SCENE.caption)
    assert ideal_scene(seen, SCENE.description) == ideal_scene(seen.clip, SCENE.caption)


def test_a_clip_may_be_longer_or_shorter_than_the_trained_ones() -> None:
    scene = Scene(Description((LEFT,)), (Placement(34, 30, 6.2, (0.4, 1.0)),))
    for num_frames in (4, 12):
        found = fidelity(render(scene, num_frames), scene.caption)
        assert found.iou > 0.95
        assert found.path < 0.1


@pytest.mark.parametrize("side", [48, 2 * SIZE])
def test_a_clip_of_another_size_is_refused(side: int) -> None:
    with pytest.raises(ValueError, match="a clip has the shape"):
        fidelity(np.zeros((NUM_FRAMES, side, side, 3), np.float32), SCENE.caption)
