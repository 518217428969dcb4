from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from sraccel.report.model import Report
from sraccel.video.mp4 import load_video

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [name, str(folder)])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_quickstart_accelerates_and_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    run("quickstart.py", tmp_path, monkeypatch)
    report = Report.from_json((tmp_path / "report.json").read_text())
    assert report.speedup.measured is not None
    assert load_video(tmp_path / "accelerated.mp4").ndim == 4
    assert "srdiffusion" in capsys.readouterr().out


def test_own_loop_drives_a_denoiser_without_a_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    run("own_loop.py", tmp_path, monkeypatch)
    assert "at step 12, where srdiffusion chose render" in capsys.readouterr().out
    assert load_video(tmp_path / "own_loop.mp4").ndim == 4
