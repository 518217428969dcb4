"""`sraccel tune`: what it prints, and what it refuses before a model is loaded."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

PROMPTS = [f"a {colour} square moving left" for colour in ("red", "blue", "green", "yellow")]
RECIPE = {"model": "demo", "accelerators": [{"use": "teacache", "threshold": 0.1}]}
SMALL = ("--height", 32, "--width", 32, "--frames", 5, "--steps", 6, "--trials", 1)

Sraccel = Callable[..., Result]


@pytest.fixture
def command(sraccel: Sraccel, tmp_path: Path) -> Callable[..., Result]:
    """Runs it on a small recipe and a few prompts."""
    (tmp_path / "one.yaml").write_text(json.dumps(RECIPE))
    (tmp_path / "prompts.txt").write_text("\n".join(PROMPTS))
    files = (tmp_path / "one.yaml", "--prompts", tmp_path / "prompts.txt")
    return lambda *more: sraccel(
        *("tune", *files, "-o", tmp_path / "out", "--held-out", 3, *SMALL, *more)
    )


@pytest.mark.slow
def test_it_prints_the_front_beside_fewer_steps_and_names_the_files(
    command: Callable[..., Result], tmp_path: Path
) -> None:
    pytest.importorskip("optuna", reason="takes the extra tune")
    result = command("--quality", "psnr_db>=10", "--budget", "90s")
    assert result.exit_code == 0, result.stderr
    for part in ("on held-out prompts", "fewer steps", "tuned-1.yaml", "front.json", "front.png"):
        assert part in result.stdout
    assert "searching " in result.stderr
    assert (tmp_path / "out" / "tuned-1.yaml").is_file()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--memory", "lots"), "24GB"),
        (("--budget", "soon"), "1h30m"),
        (("--quality", "beauty>=1"), "no metric is called 'beauty'"),
        (("--held-out", 4), "3 or more that confirm"),
        (("--workers", 2), "--workers goes with --executor ray"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_write(
    command: Callable[..., Result], given: tuple[object, ...], said: str
) -> None:
    pytest.importorskip("optuna", reason="takes the extra tune")
    result = command(*given)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_without_optuna_it_says_how_to_get_it(
    command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    result = command()
    assert result.exit_code == 1
    assert "pip install 'sraccel[tune]'" in result.stderr


def test_without_ray_it_says_how_to_get_it_before_anything_is_written(
    command: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna", reason="takes the extra tune")
    monkeypatch.setitem(sys.modules, "ray", None)
    result = command("--executor", "ray")
    assert result.exit_code == 2
    assert "pip install 'sraccel[ray]'" in result.stderr
    assert not (tmp_path / "out").exists()
