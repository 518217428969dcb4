"""The metrics and scores that come with sraccel."""

from __future__ import annotations

import json
import math

import pytest
import torch

from sraccel.demo.captions import Description, Figure
from sraccel.demo.shapes import Placement, Scene, render
from sraccel.video.metric import Metric
from sraccel.video.metrics import (
    PSNR_CAP,
    figure_iou,
    psnr_db,
    psnr_to_rmse,
    semantic,
    sraccel_metrics,
    ssim,
    window_sigma,
)
from sraccel.video.score import Score


@pytest.fixture
def video() -> torch.Tensor:
    return torch.rand(5, 3, 24, 20, generator=torch.Generator().manual_seed(0))


def test_psnr_is_the_logarithm_of_the_mean_squared_error(video: torch.Tensor):
    noisy = (video + 0.1 * torch.randn_like(video)).clamp(0, 1)
    expected = -10 * math.log10((noisy - video).square().mean().item())
    assert psnr_db(noisy, video) == pytest.approx(expected, abs=1e-3)


def test_identical_videos_have_a_psnr_that_json_can_hold(video: torch.Tensor):
    assert psnr_db(video, video.clone()) == PSNR_CAP
    assert json.loads(json.dumps(psnr_db(video, video), allow_nan=False)) == PSNR_CAP


def test_ssim_is_one_for_identical_videos_and_falls_with_noise(video: torch.Tensor):
    slight, strong = (video + sigma * torch.randn_like(video) for sigma in (0.05, 0.5))
    assert ssim(video, video.clone()) == pytest.approx(1)
    assert 1 > ssim(slight, video) > ssim(strong, video)


@pytest.mark.parametrize("side", [3, 4, 7, 10, 11, 12, 48])
def test_ssim_s_window_fits_into_small_frames(side: int):
    video = torch.rand(2, 3, side, side + 3, generator=torch.Generator().manual_seed(1))
    assert ssim(video, video.clone()) == pytest.approx(1)
    assert math.isfinite(ssim(1 - video, video))
    assert 2 * int(3.5 * window_sigma(side) + 0.5) + 1 <= min(side, 11)


def test_frames_too_small_for_any_window_are_refused():
    with pytest.raises(ValueError, match="at least 3 x 3"):
        ssim(torch.rand(1, 3, 2, 9), torch.rand(1, 3, 2, 9))


@pytest.mark.parametrize("compare", [psnr_db, ssim])
def test_videos_that_cannot_be_compared_are_refused(compare, video: torch.Tensor):
    with pytest.raises(ValueError, match="different shapes"):
        compare(video[1:], video)
    with pytest.raises(ValueError, match="accelerated video holds NaN"):
        compare(torch.full_like(video, torch.nan), video)


def test_what_a_psnr_says_is_lost_is_the_root_mean_square_error(video: torch.Tensor):
    noisy = (video + 0.1 * torch.randn_like(video)).clamp(0, 1)
    rmse = (noisy - video).square().mean().sqrt().item()
    assert psnr_to_rmse(psnr_db(noisy, video)) == pytest.approx(rmse, rel=1e-4)
    assert psnr_to_rmse(psnr_db(video, video)) == 0
    assert 0 < psnr_to_rmse(60) < psnr_to_rmse(20) < psnr_to_rmse(0) == 1


FIGURE = Figure("red", "circle", "moving left", "striped")
SCENE = Scene(Description((FIGURE,)), (Placement(30, 34, 6.2),))


@pytest.fixture
def shapes() -> torch.Tensor:
    """A clip of the demo world, as a score gets it."""
    return torch.from_numpy(render(SCENE)).permute(0, 3, 1, 2)


def test_the_semantic_score_is_the_share_of_the_caption_s_attributes(shapes: torch.Tensor):
    assert semantic(shapes, SCENE.caption) == 1
    # Of colour, pattern, shape, motion and count.
    assert semantic(shapes, "a striped red circle moving right") == 0.8
    assert semantic(shapes, "a dotted blue square moving right") == 0.2
    assert semantic(torch.full_like(shapes, 0.08), SCENE.caption) == 0


def test_the_figure_iou_sees_what_the_attributes_do_not(shapes: torch.Tensor):
    whole = figure_iou(shapes, SCENE.caption)
    ragged = shapes.clone()
    ragged[4, :, 30:34] = ragged[4, :, :1]  # a gap in one frame
    assert semantic(ragged, SCENE.caption) == 1
    assert whole == pytest.approx(1, abs=0.05)
    assert figure_iou(ragged, SCENE.caption) < whole - 0.01
    assert figure_iou(torch.full_like(shapes, 0.08), SCENE.caption) == 0


judges = pytest.mark.parametrize("judge", [semantic, figure_iou])


@judges
@pytest.mark.parametrize("prompt", ["", "a fox in the snow", "a pink circle moving left"])
def test_a_score_does_not_judge_what_is_no_caption(judge, shapes: torch.Tensor, prompt: str):
    assert judge(shapes, prompt) is None


@judges
@pytest.mark.parametrize(
    "shape", [(9, 3, 96, 64), (9, 3, 64, 96), (9, 1, 64, 64), (9, 3, 48, 48), (9, 3, 96, 96)]
)
def test_a_score_does_not_judge_another_model_s_video(judge, shape: tuple[int, ...]):
    assert judge(torch.rand(shape), SCENE.caption) is None


@judges
def test_a_score_refuses_what_is_not_finite(judge, shapes: torch.Tensor):
    with pytest.raises(ValueError, match="judged video holds NaN"):
        judge(torch.full_like(shapes, torch.nan), SCENE.caption)


def test_all_register_under_the_report_s_keys():
    assert list(sraccel_metrics()) == [
        Metric("psnr_db", psnr_db, loss=psnr_to_rmse, limits=(-math.inf, 100.0)),
        Metric("ssim", ssim, limits=(-1.0, 1.0)),
        Score("semantic", semantic, limits=(0.0, 1.0)),
        Score("figure_iou", figure_iou, limits=(0.0, 1.0)),
    ]
