"""The loop of `examples/demo_pair`: the same as the pipeline's, and what it may leave out."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from sraccel.demo.pair import DEMO_WEIGHTS
from sraccel.testing import load_demo_pipeline

FOLDER = Path(__file__).parents[2] / "examples" / "demo_pair"
CAPTION = "a striped red circle moving left"


@pytest.fixture(scope="module")
def sampling() -> Iterator[ModuleType]:
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module("sampling")
    sys.path.remove(str(FOLDER))
    del sys.modules["sampling"]


@pytest.fixture(scope="module")
def pair(sampling: ModuleType):
    return sampling.load_pair(DEMO_WEIGHTS)


def start(sampling: ModuleType, pair, *steps):
    pipeline = pair.pipeline
    noise = sampling.initial_latents(pipeline, [0])
    return sampling.Denoising(
        pipeline.scheduler, noise, sampling.embed(pipeline, [CAPTION]), *steps
    )


def test_it_makes_the_pipeline_s_own_video(sampling: ModuleType, pair) -> None:
    run = start(sampling, pair, 3).advance(sampling.forward_of(pair.sketch))
    made = sampling.decode(pair.pipeline, run.latents)
    pipe = load_demo_pipeline("transformer")
    theirs = pipe(
        CAPTION,
        num_inference_steps=3,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    ).frames
    np.testing.assert_allclose(made, theirs, atol=1e-4)


def test_kept_steps_stand_at_the_noise_levels_of_the_whole_schedule(
    sampling: ModuleType, pair
) -> None:
    whole, some = start(sampling, pair, 50), start(sampling, pair, 50, (0, 2, 9))
    assert torch.equal(some.scheduler.timesteps, whole.scheduler.timesteps[[0, 2, 9]])
    assert torch.equal(some.scheduler.sigmas, whole.scheduler.sigmas[[0, 2, 9, 50]])


def test_keeping_every_step_changes_nothing(sampling: ModuleType, pair) -> None:
    forward = sampling.forward_of(pair.render)
    whole = start(sampling, pair, 4).advance(forward)
    kept = start(sampling, pair, 4, range(4)).advance(forward)
    assert torch.equal(whole.latents, kept.latents)


def test_a_fork_goes_on_by_itself(sampling: ModuleType, pair) -> None:
    forward = sampling.forward_of(pair.render)
    run = start(sampling, pair, 4).advance(forward, 2)
    other = run.fork().advance(forward)
    assert not torch.equal(other.latents, run.latents)
    assert torch.equal(run.advance(forward).latents, other.latents)
