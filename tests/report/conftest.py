"""Reports as runs make them, written out by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from made_video import video

from sraccel.report.model import (
    AcceleratorRecord,
    CallRecord,
    ColumnRecord,
    Report,
    Speedup,
    StepRecord,
    Timing,
)

SECONDS = {("transformer", False): 0.018, ("transformer", True): 0.002}
SECONDS |= {("render", False): 0.0026, ("render", True): 0.0007}


def call(branch: str, denoiser: str, *, reused: bool) -> CallRecord:
    return CallRecord(
        branch=branch,
        requested="transformer",
        denoiser=denoiser,
        chosen_by="srdiffusion",
        reused=reused,
        reused_by="teacache" if reused else None,
        seconds=SECONDS[denoiser, reused],
    )


def step(index: int, count: int, switch: int) -> StepRecord:
    denoiser = "transformer" if index < switch else "render"
    cached = index not in (0, switch) and index % 3 != 0
    calls = [
        call("cond", denoiser, reused=cached),
        call("uncond", denoiser, reused=cached and index % 5 != 1),
    ]
    return StepRecord(
        index=index,
        timestep=1000 * (1 - index / count),
        sigma=1 - index / count,
        denoiser=denoiser,
        measured={} if index == 0 or cached else {"srdiffusion.d": 0.05 + 0.3 / (index + 1)},
        seconds=sum(item.seconds or 0 for item in calls) + 0.0002,
        calls=calls,
    )


def full(count: int = 50, switch: int = 18) -> Report:
    """A comparison of a stack of three with bare runs."""
    return Report(
        outcome="finished",
        call={"prompt": "a red circle moving left above a blue square moving right", "seed": 0},
        num_inference_steps=count,
        speedup=Speedup(
            measured=3.42, measured_range=(3.31, 3.47), whole_call=2.9, predicted=3.37, rest=1.015
        ),
        baseline=Timing(seconds=1.81, call_seconds=1.95, repeats=[1.79, 1.81, 1.84]),
        accelerated=Timing(seconds=0.529, call_seconds=0.67, repeats=[0.52, 0.529, 0.54]),
        quality={"psnr_db": 31.24, "ssim": 0.9531},
        switch_step=switch,
        columns={
            "srdiffusion.d": ColumnRecord(label="D", description="change of the prediction"),
            "srdiffusion.rate": ColumnRecord(label="D per step", description="the same per step"),
        },
        accelerators=[
            AcceleratorRecord(
                name="sageattention",
                overhead=0.94,
                notes={"kernel": "emulated", "attention_calls": 1312},
            ),
            AcceleratorRecord(
                name="srdiffusion", factor=1.98, chosen_calls=100, notes={"switch_rule": "per_step"}
            ),
            AcceleratorRecord(
                name="teacache",
                factor=1.81,
                estimated=True,
                reused_calls=58,
                notes={"reused": {"cond": 32, "uncond": 26}, "coefficients": "demo-transformer"},
            ),
        ],
        steps=[step(index, count, switch) for index in range(count)],
        peak_memory_bytes=871_000_000,
        warnings=["sageattention: emulated kernel; its quality is real, its speed is not"],
    )


@pytest.fixture
def make_report() -> Callable[..., Report]:
    """Makes the report of a comparison: a stack of three, two branches, one switch."""
    return full


@pytest.fixture
def bare_minimum() -> Report:
    """A run under an empty stack: nothing measured but its steps."""
    call = CallRecord(branch="cond", requested="transformer", denoiser="transformer")
    steps = [StepRecord(index=index, denoiser="transformer", calls=[call]) for index in range(4)]
    return Report(outcome="finished", num_inference_steps=4, steps=steps)


@pytest.fixture(scope="session")
def two_videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bare and an accelerated MP4 that differ: 16 frames at 8 per second, a moving square."""
    folder = tmp_path_factory.mktemp("videos")
    videos = {way: folder / f"{way}.mp4" for way in ("bare", "accelerated")}
    for place, path in enumerate(videos.values()):
        path.write_bytes(video(0, 3 * place))
    return videos
