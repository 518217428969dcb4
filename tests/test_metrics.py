from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
import torch

from sraccel.metrics import PSNR_CAP, psnr_db, sraccel_metrics, ssim, window_sigma


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


def test_both_register_under_the_report_s_keys():
    assert {metric.name: metric.compare for metric in sraccel_metrics()} == {
        "psnr_db": psnr_db,
        "ssim": ssim,
    }


def test_importing_the_plugin_does_not_import_torch():
    code = "import sys, sraccel.metrics as m; m.sraccel_metrics(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
