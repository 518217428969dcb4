"""The experiments of examples/srdiffusion run, resume, and refuse to mix what does not belong."""

from __future__ import annotations

import functools
import importlib
import json
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

import sraccel
from sraccel.errors import ModelError, OutputError
from sraccel.models import loading
from sraccel.plugin import weights_checksum

FOLDER = Path(__file__).parents[2] / "examples" / "srdiffusion"
STEPS = 4
SCRIPTS = [
    ("latent_consistency", ["--switch", "2"], ["switch at 2"]),
    ("latent_consistency", ["--threshold", "9"], ["threshold 9"]),
    ("perturbation", ["--windows", "2"], ["steps 0 to 1", "steps 2 to 3"]),
]
Load = Callable[[str], ModuleType]
demo_pipeline = functools.cache(loading.load_pipeline)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Import a module of the examples' folder; the demo pair is loaded once for all tests."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr("sraccel.models.loading.load_pipeline", demo_pipeline)
    before = set(sys.modules)
    yield importlib.import_module
    for name in {path.stem for path in FOLDER.glob("*.py")} - before:
        sys.modules.pop(name, None)


def arguments(out: Path, *more: str) -> list[str]:
    return ["--count", "1", "--steps", str(STEPS), "--out", str(out), *more]


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines()]


def made(out: Path) -> list[str]:
    """The settings of the finished runs."""
    return [line["setting"] for line in lines(out)[1:]]


def experiment(load: Load, out: Path, *more: str) -> None:
    """The cheaper of both: three settings, of which one is the render model alone."""
    load("latent_consistency").main(arguments(out, "--switch", "2", *more))


@pytest.mark.parametrize(("name", "options", "expected"), SCRIPTS)
def test_an_experiment_makes_table_picture_and_figures(
    name: str,
    options: list[str],
    expected: list[str],
    load: Load,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    load(name).main(arguments(tmp_path, *options))
    content = json.loads((tmp_path / "results.json").read_text())
    printed = capsys.readouterr().out
    assert {"sketch only", *expected} <= set(content["settings"]) == set(made(tmp_path))
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")
    for row in content["rows"]:
        assert row["setting"] in printed
        assert 0 <= row["score"] <= 1
        assert row["low_error"][0] >= 0


def test_a_second_start_runs_nothing(
    load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment(load, tmp_path)
    before = (tmp_path / "runs.jsonl").read_bytes()
    table = capsys.readouterr().out
    experiment(load, tmp_path)
    again = capsys.readouterr()
    assert "0 of 3 runs to do" in again.err
    assert again.out == table
    assert (tmp_path / "runs.jsonl").read_bytes() == before


def test_an_interrupted_experiment_goes_on(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_by = load("experiment").Experiment
    run, calls = made_by._run, []

    def interrupted(*given: object) -> None:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(run(*given))

    with monkeypatch.context() as patched:
        patched.setattr(made_by, "_run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            experiment(load, tmp_path)
    kept = lines(tmp_path)
    assert len(kept) == 3
    experiment(load, tmp_path)
    assert lines(tmp_path)[:3] == kept
    assert len(made(tmp_path)) == len(set(made(tmp_path))) == 3


def test_a_half_written_last_line_is_run_again(
    load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment(load, tmp_path)
    path = tmp_path / "runs.jsonl"
    whole = lines(tmp_path)
    path.write_bytes(path.read_bytes()[:-40])
    capsys.readouterr()
    experiment(load, tmp_path)
    assert "1 of 3 runs to do" in capsys.readouterr().err
    assert lines(tmp_path) == whole


def test_more_prompts_can_be_added(load: Load, tmp_path: Path) -> None:
    experiment(load, tmp_path)
    kept = lines(tmp_path)
    experiment(load, tmp_path, "--count", "2")
    assert lines(tmp_path)[: len(kept)] == kept
    assert len(made(tmp_path)) == 6


def test_runs_of_other_settings_are_refused(load: Load, tmp_path: Path) -> None:
    experiment(load, tmp_path)
    for options, what in ((["--steps", "5"], "steps"), (["--switch", "3"], "settings")):
        with pytest.raises(OutputError, match=f"runs with other {what}"):
            experiment(load, tmp_path, *options)


def test_runs_of_other_weights_and_a_damaged_file_are_refused(load: Load, tmp_path: Path) -> None:
    journal, path = load("journal"), tmp_path / "runs.jsonl"
    one, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    header, changed = ({"weights": weights_checksum(each)} for each in (one, other))
    journal.Journal(path, header)
    with pytest.raises(OutputError, match="runs with other weights"):
        journal.Journal(path, changed)
    path.write_text('{"steps": 4}\n{"seed": \n{"seed": 1}\n')
    with pytest.raises(OutputError, match="is damaged"):
        journal.Journal(path, {"steps": 4})


def test_prompts_beyond_the_demo_world_have_no_score(
    load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("# one prompt\n\ntwo cats boxing\n")
    options = ["--windows", "1", "--prompts", str(prompts)]
    load("perturbation").main(arguments(tmp_path / "out", *options))
    content = json.loads((tmp_path / "out" / "results.json").read_text())
    assert content["prompts"] == ["two cats boxing"]
    assert content["rows"][0]["score"] is None
    assert "score, %" not in capsys.readouterr().out
    with pytest.raises(ModelError, match="give --prompts"):  # another model has none of its own
        experiment(load, tmp_path, "--model", "someone/a-model")


@pytest.mark.usefixtures("load")
def test_the_command_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs.jsonl").write_text('{"experiment": "another"}\n')
    script = str(FOLDER / "latent_consistency.py")
    monkeypatch.setattr("sys.argv", [script, *arguments(tmp_path)])
    with pytest.raises(SystemExit, match="holds runs with other"):
        runpy.run_path(script, run_name="__main__")


def test_bands_add_up_and_tell_layout_from_detail(load: Load) -> None:
    quality = load("quality")
    place = torch.arange(48) / 48
    coarse, fine = (0.2 * torch.sin(2 * torch.pi * cycles * place) for cycles in (3, 12))
    video = (0.5 + coarse[:, None] + fine).expand(2, 3, 48, 48)
    low, high = quality.bands(video)
    torch.testing.assert_close(low + high, video)
    torch.testing.assert_close(high, fine.expand(2, 3, 48, 48), atol=1e-5, rtol=0)
    blank = torch.full_like(video, 0.5)
    errors = quality.band_errors(blank, video)
    assert errors == pytest.approx({"low_error": 1, "high_error": 1}, abs=1e-4)
    assert quality.low_share(blank, video) == pytest.approx(0.5, abs=1e-4)
    assert quality.low_share(video, video) == 0


def test_a_perturbation_acts_in_its_window_only(load: Load, pipe, generate) -> None:
    perturbation = load("perturbation")

    def latents(start: int, stop: int) -> torch.Tensor:
        recipe = list(perturbation.perturbed(start, stop, 0.5).accelerators)
        with sraccel.compose(pipe, recipe):
            return generate(pipe)

    bare = generate(pipe)
    assert torch.equal(latents(90, 99), bare)
    assert not torch.equal(latents(0, 1), bare)
    assert not torch.equal(latents(0, 1), latents(1, 2))
