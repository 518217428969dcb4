"""LPIPS is that of torchmetrics, without torchvision; missing weights say where they come from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from sraccel_metrics import lpips as metric
from sraccel_metrics.alexnet import ENDS, PerceptualDistance, alexnet_features, channel_weights
from sraccel_metrics.lpips import FILE, FRAMES, URL, WEIGHTS
from torch import nn
from torchmetrics.functional.image.lpips import _LPIPS, ScalingLayer


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in torchvision's format, with the classifier that LPIPS does not need."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / FILE
    named = {f"features.{name}": value for name, value in alexnet_features().state_dict().items()}
    torch.save({**named, "classifier.6.bias": torch.zeros(1000)}, path)
    return path


@pytest.fixture(autouse=True)
def _named(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WEIGHTS, str(weights))


def videos(frames: int = 3, side: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.rand(2, frames, 3, side, side, generator=generator))  # type: ignore[return-value]


def of_torchmetrics(path: Path) -> Any:
    """torchmetrics' network; only its way to torchvision is left out."""
    net: Any = object.__new__(_LPIPS)
    nn.Module.__init__(net)
    features = PerceptualDistance.load(path).features
    starts = (0, *ENDS[:-1])
    slices = [features[start:end] for start, end in zip(starts, ENDS, strict=True)]

    def activations(images: torch.Tensor) -> list[torch.Tensor]:
        found = [images]
        for part in slices:
            found.append(part(found[-1]))
        return found[1:]

    net.scaling_layer, net.resize, net.spatial, net.L = ScalingLayer(), None, False, len(ENDS)
    net.net = SimpleNamespace(forward=activations)
    heads = [nn.Conv2d(weight.shape[1], 1, 1, bias=False) for weight in channel_weights()]
    for head, weight in zip(heads, channel_weights(), strict=True):
        head.weight.data = weight
    net.lins = nn.ModuleList(heads)
    return net.requires_grad_(False)


def test_it_is_the_distance_that_torchmetrics_computes(weights: Path) -> None:
    one, other = videos()
    expected = of_torchmetrics(weights)(one, other, normalize=True)
    assert metric(one, other) == pytest.approx(float(expected.mean()), rel=1e-4)
    assert metric(one, other) == pytest.approx(metric(other, one))


def test_the_same_video_has_no_distance_and_a_little_noise_a_small_one() -> None:
    one, other = videos()
    assert metric(one, one) == 0.0
    assert 0 < metric((one + 0.02 * other).clamp(0, 1), one) < metric(other, one)


def test_a_long_video_is_the_mean_of_its_frames() -> None:
    one, other = videos(frames=FRAMES + 1)
    each = [metric(one[[frame]], other[[frame]]) for frame in range(len(one))]
    assert metric(one, other) == pytest.approx(sum(each) / len(each), rel=1e-4)


def test_missing_weights_say_what_to_download_and_where_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(WEIGHTS)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError) as error:
        metric(*videos())
    for part in (str(tmp_path), FILE, URL, WEIGHTS):
        assert part in str(error.value)


@pytest.mark.parametrize("content", [b"no weights", None])
def test_another_file_is_refused(
    content: bytes | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "other.pth"
    torch.save({"features.0.weight": torch.zeros(1)}, path)
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv(WEIGHTS, str(path))
    with pytest.raises(ValueError, match="does not hold torchvision's AlexNet"):
        metric(*videos())


def test_videos_that_it_cannot_compare_are_refused() -> None:
    one, other = videos()
    with pytest.raises(ValueError, match="different shapes"):
        metric(one, other[:2])
    with pytest.raises(ValueError, match="at least 31 x 31 pixels, and these are of 3 and 16 x 16"):
        metric(*videos(side=16))
    with pytest.raises(ValueError, match="NaN or infinity"):
        metric(one * torch.nan, other)
    assert metric(*videos(side=31)) > 0
