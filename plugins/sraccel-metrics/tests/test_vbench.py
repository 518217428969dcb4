"""VBench runs in its own environment: files in, numbers out, and words where there are none."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sraccel_metrics import sraccel_metrics
from sraccel_metrics.cli import app
from sraccel_metrics.vbench import ASKED, DIMENSIONS, ENVIRONMENT, VBenchError, evaluate, judged
from typer.testing import CliRunner

from sraccel.plugin import save_video
from sraccel.video.mp4 import load_video

HERE = Path(sys.prefix)
"""An environment without VBench: the one that the tests run in."""
with_vbench = pytest.mark.skipif(
    not os.environ.get("SRACCEL_TEST_VBENCH"),
    reason="SRACCEL_TEST_VBENCH names no environment that `sraccel-vbench install` made",
)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    frames = np.random.default_rng(0).random((5, 64, 64, 3))
    return save_video(frames, tmp_path / "noise.mp4", min_side=0)


def names() -> list[str]:
    return [one.name for one in sraccel_metrics()]


def test_scores_are_those_that_the_variables_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    assert names() == ["lpips"]
    monkeypatch.setenv(ENVIRONMENT, str(HERE))
    assert names() == ["lpips", *(f"vbench_{name}" for name in DIMENSIONS)]
    monkeypatch.setenv(ASKED, "imaging_quality, temporal_flickering")
    assert names() == ["lpips", "vbench_imaging_quality", "vbench_temporal_flickering"]
    monkeypatch.setenv(ASKED, "imagin_quality")
    with pytest.raises(VBenchError, match="did you mean 'imaging_quality'"):
        names()


def test_an_environment_without_vbench_says_so(video: Path) -> None:
    with pytest.raises(VBenchError, match=r"vbench is not installed in .*sraccel-vbench install"):
        evaluate({video: "noise"}, ["temporal_flickering"], HERE)


def test_no_environment_says_how_to_make_one(video: Path, tmp_path: Path) -> None:
    asked = ["score", str(video), "--environment", str(tmp_path / "none")]
    ran = CliRunner().invoke(app, asked)
    assert ran.exit_code == 2
    assert "is no environment: make one by `sraccel-vbench install" in ran.output


def test_prompts_are_one_for_all_or_one_for_each(video: Path) -> None:
    prompts = ["--prompt", "one", "--prompt", "two"]
    ran = CliRunner().invoke(app, ["score", str(video), *prompts, "--environment", str(HERE)])
    assert ran.exit_code == 2
    assert "2 prompts for 1 videos" in ran.output


def test_an_interpreter_that_vbench_cannot_use_is_refused(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["install", str(tmp_path / "env"), "--python", "no-python"])
    assert ran.exit_code == 2
    assert "no-python is no interpreter" in ran.output
    assert not (tmp_path / "env").exists()


@with_vbench
class TestVBench:
    def test_a_still_video_does_not_flicker(
        self, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        environment = os.environ["SRACCEL_TEST_VBENCH"]
        still = save_video(np.full((5, 64, 64, 3), 0.4), tmp_path / "still.mp4", min_side=0)
        out = tmp_path / "scores.json"
        ran = CliRunner().invoke(
            app,
            [
                *("score", str(video), str(still), "--environment", environment),
                *("--dimension", "temporal_flickering", "--prompt", "noise", "--out", str(out)),
            ],
        )
        assert ran.exit_code == 0, ran.output
        found = json.loads(out.read_text(encoding="utf-8"))
        noisy, calm = found["dimensions"]["temporal_flickering"]["values"]
        assert found["videos"] == [str(video), str(still)]
        assert noisy < 0.9 < calm == 1.0
        monkeypatch.setenv(ENVIRONMENT, environment)
        monkeypatch.setenv("VBENCH_CACHE_DIR", str(tmp_path / "no weights"))
        for proxy in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # nobody answers there
        lacking = evaluate({video: "noise"}, ["motion_smoothness"], Path(environment))
        assert "(it needs the weights of AMT-S)" in lacking["motion_smoothness"]["error"]
        frames = torch.from_numpy(load_video(video)).permute(0, 3, 1, 2) / 255
        assert judged("temporal_flickering", frames, "noise") == pytest.approx(noisy, abs=0.05)
