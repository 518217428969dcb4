"""Which sizes of video a pipeline makes, and which it can take."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from two_pipelines import Pipes

from sraccel.errors import ModelError
from sraccel.reencode.video_size import check_size, planned_size


@pytest.mark.parametrize(
    ("frames", "height", "problem"),
    [(5, 64, None), (None, None, None), (6, 64, "6 frames"), (5, 48, "height 48"), (1, 64, None)],
)
def test_only_whole_patches_of_latents_are_taken(
    pipes: Pipes, frames: int | None, height: int | None, problem: str | None
):
    if problem is None:
        check_size(pipes[1], frames, height, 32)
    else:
        with pytest.raises(ModelError, match=problem):
            check_size(pipes[1], frames, height, 32)


def test_frames_of_patches_in_time():
    vae = SimpleNamespace(vae_scale_factor_spatial=8, vae_scale_factor_temporal=4)
    vae.transformer = SimpleNamespace(config={"patch_size": (2, 1, 1)})
    check_size(vae, 13, 8, 8)
    with pytest.raises(ModelError, match=r"9 frames \(possible: 5, 13\)"):
        check_size(vae, 9, 8, 8)


def test_planned_sizes_are_the_pipeline_s(pipes: Pipes):
    assert planned_size(pipes[0], {}) == (81, 480, 832)
    assert planned_size(pipes[0], {"num_frames": 6, "height": 16}) == (5, 16, 832)
