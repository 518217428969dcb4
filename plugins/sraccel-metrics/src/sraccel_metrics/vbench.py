"""VBench's dimensions (Huang et al. 2023, arXiv 2311.17982), computed in another environment.

VBench asks for transformers 4.33.2 and numpy below 2, which no current diffusers goes with. So it
has an environment of its own; videos go in as files, and numbers come out as a file.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.plugin import Obstacle, Score, SraccelError, did_you_mean, save_video

if TYPE_CHECKING:
    import torch

ENVIRONMENT, ASKED = "SRACCEL_VBENCH", "SRACCEL_VBENCH_DIMENSIONS"
"""Variables: the folder of the environment, and the dimensions to score in each report."""
DRIVER = Path(__file__).with_name("vbench_driver.py")
WEIGHTS = {
    "subject_consistency": "DINO, ViT-B/16",
    "background_consistency": "CLIP, ViT-B/32",
    "temporal_flickering": None,
    "motion_smoothness": "AMT-S",
    "dynamic_degree": "RAFT",
    "aesthetic_quality": "CLIP, ViT-L/14, and LAION's predictor",
    "imaging_quality": "MUSIQ",
    "human_action": "UMT",
    "temporal_style": "ViCLIP",
    "overall_consistency": "ViCLIP",
}
"""The models whose weights a dimension downloads when it is first used."""
DIMENSIONS = tuple(WEIGHTS)
"""Those that judge any video. VBench's other six are for its own prompts only."""


class VBenchError(SraccelError):
    """VBench cannot be run, or has no number for a dimension."""


def python_of(environment: Path) -> Path:
    """The interpreter of VBench's environment.

    Raises:
        VBenchError: there is none.
    """
    for path in (environment / "bin/python", environment / "Scripts/python.exe"):
        if path.is_file():
            return path
    raise VBenchError(
        f"{environment} is no environment: make one by `sraccel-vbench install {environment}`"
    )


def checked(dimensions: Iterable[str]) -> list[str]:
    """The dimensions, each once.

    Raises:
        VBenchError: one is not known.
    """
    found = list(dict.fromkeys(dimensions))
    for name in found:
        if name not in DIMENSIONS:
            raise VBenchError(
                f"VBench has no dimension {name!r} for any video{did_you_mean(name, DIMENSIONS)} "
                f"(known: {', '.join(DIMENSIONS)})"
            )
    return found


def evaluate(
    videos: Mapping[Path, str],
    dimensions: Iterable[str],
    environment: Path,
    device: str = "cpu",
) -> dict[str, dict[str, Any]]:
    """Judge videos by VBench, in its environment.

    Args:
        videos: the prompt of each file.
        dimensions: some of `DIMENSIONS`.
        environment: the folder that `sraccel-vbench install` made.
        device: where VBench's models run.

    Returns:
        For each dimension `values`, a number for each video in their order, or `error`: why there
        are none (most often weights that could not be downloaded).

    Raises:
        VBenchError: it cannot be run at all.
    """
    with tempfile.TemporaryDirectory(prefix="sraccel-vbench-") as name:
        folder = Path(name)
        (folder / "videos").mkdir()
        prompts = {}
        for number, (video, prompt) in enumerate(videos.items()):
            copy = f"{number:05}{video.suffix}"
            shutil.copyfile(video, folder / "videos" / copy)
            prompts[copy] = prompt
        asked = {"prompts": prompts, "dimensions": checked(dimensions), "device": device}
        (folder / "request.json").write_text(json.dumps(asked), encoding="utf-8")
        _run([str(python_of(environment)), "-I", str(DRIVER), str(folder)])
        answer: dict[str, dict[str, Any]] = json.loads(
            (folder / "response.json").read_text(encoding="utf-8")
        )
    for name, found in answer.items():
        if "error" in found and WEIGHTS[name] is not None:
            found["error"] += f" (it needs the weights of {WEIGHTS[name]})"
    return answer


def _run(command: list[str]) -> None:
    """The driver, isolated from this package and its paths; its words are shown where it fails."""
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise VBenchError(f"VBench failed in {command[0]}: {last}")


def vbench_scores() -> list[Score]:
    """A score for each dimension that the variables ask for; none without an environment."""
    if not os.environ.get(ENVIRONMENT):
        return []
    asked = os.environ.get(ASKED, ",".join(DIMENSIONS)).split(",")
    names = checked(name.strip() for name in asked if name.strip())
    return [Score(f"vbench_{name}", partial(judged, name), obstacles=missing) for name in names]


def missing() -> Iterator[Obstacle]:
    """That there is no environment where the variable says; weights are seen when it runs."""
    environment = os.environ[ENVIRONMENT]
    try:
        python_of(Path(environment))
    except VBenchError as error:
        yield Obstacle(str(error))


def judged(dimension: str, video: torch.Tensor, prompt: str) -> float:
    """VBench's number for one video, in the environment that `SRACCEL_VBENCH` names.

    Args:
        dimension: one of `DIMENSIONS`.
        video: float32 in [0, 1], shape (frames, 3, height, width).
        prompt: what it is to show.

    Raises:
        VBenchError: VBench has none; the message says why.
    """
    device = os.environ.get("SRACCEL_VBENCH_DEVICE", "cpu")
    with tempfile.TemporaryDirectory(prefix="sraccel-vbench-") as name:
        path = save_video(video.permute(0, 2, 3, 1), Path(name) / "video.mp4", min_side=0)
        environment = Path(os.environ[ENVIRONMENT])
        found = evaluate({path: prompt}, [dimension], environment, device)[dimension]
    if "error" in found:
        raise VBenchError(f"VBench has no {dimension}: {found['error']}")
    return float(found["values"][0])
