"""Videos are written as MP4 files that play everywhere, and read back."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from sraccel.errors import OutputError
from sraccel.video.mp4 import as_uint8, load_video, save_video


@pytest.fixture
def clip() -> np.ndarray:
    """A white square that moves over a blue ground; (10, 48, 48, 3), float32 in [0, 1]."""
    frames = np.zeros((10, 48, 48, 3), np.float32)
    frames[..., 2] = 0.8
    for index in range(10):
        frames[index, 16:32, 4 * index : 4 * index + 8] = 1.0
    return frames


def test_a_video_comes_back_as_it_was_but_for_the_codec(clip: np.ndarray, tmp_path: Path):
    path = save_video(clip, tmp_path / "a.mp4", fps=8, min_side=0)
    back = load_video(path)
    assert back.shape == clip.shape
    assert np.abs(back / 255.0 - clip).mean() < 0.02


def test_a_tiny_video_is_enlarged_by_whole_pixels_without_smoothing(
    clip: np.ndarray, tmp_path: Path
):
    back = load_video(save_video(clip, tmp_path / "a.mp4"))
    assert back.shape == (10, 288, 288, 3)
    assert np.abs(back[:, 3::6, 3::6] / 255.0 - clip).mean() < 0.02
    edge = back[0, 144, 20:28, 0].astype(int)  # the square's right edge is at 8 * 6 = 48
    assert edge.min() > 230
    assert back[0, 144, 50, 0] < 30


@pytest.mark.parametrize(("size", "kept"), [((256, 320), (256, 320)), ((257, 301), (256, 300))])
def test_a_large_video_keeps_its_size_but_for_odd_rows_and_columns(
    tmp_path: Path, size: tuple[int, int], kept: tuple[int, int]
):
    frames = np.zeros((2, *size, 3), np.uint8)
    assert load_video(save_video(frames, tmp_path / "a.mp4")).shape == (2, *kept, 3)


def test_the_file_plays_everywhere(clip: np.ndarray, tmp_path: Path):
    path = save_video(clip, tmp_path / "a.mp4", fps=12.5, metadata={"comment": "seed 3"})
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 12.5
        assert container.metadata["comment"] == "seed 3"
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # starts before it is fully read


def test_arrays_tensors_and_images_give_the_same_pixels(clip: np.ndarray):
    expected = as_uint8(clip)
    tensor = torch.from_numpy(clip)
    images = [Image.fromarray(frame) for frame in expected]
    assert np.array_equal(as_uint8(tensor), expected)
    assert np.array_equal(as_uint8(images), expected)
    assert np.array_equal(as_uint8(expected), expected)
    assert np.abs(as_uint8(tensor.bfloat16()).astype(int) - expected).max() <= 1


def test_values_outside_the_range_are_clipped_and_not_wrapped():
    frames = np.array([-1.0, 0.5, 2.0], np.float32).repeat(3).reshape(1, 1, 3, 3)
    assert as_uint8(frames)[0, 0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (4, 8, 8), (2, 3, 8, 8), (2, 8, 8, 1)])
def test_frames_of_another_shape_are_refused(shape: tuple[int, ...], tmp_path: Path):
    with pytest.raises(ValueError, match="frames of shape"):
        save_video(np.zeros(shape), tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_an_output_error(clip: np.ndarray, tmp_path: Path):
    with pytest.raises(OutputError, match=r"nowhere/a\.mp4"):
        save_video(clip, tmp_path / "nowhere" / "a.mp4")


def test_a_file_that_is_no_video_is_refused(tmp_path: Path):
    (tmp_path / "a.mp4").write_text("not a video")
    with pytest.raises(ValueError, match="not a video"):
        load_video(tmp_path / "a.mp4")
    with pytest.raises(FileNotFoundError):
        load_video(tmp_path / "b.mp4")
