"""The studies of examples/studies are valid, run on the demo pair, and are what their page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from small_study import CALL

import sraccel
from sraccel.demo.captions import parse_caption
from sraccel.models.shared import shared_loading
from sraccel.recipe.prompts import read_prompts
from sraccel.study.measure import run_study
from sraccel.study.plan.design import cells_of
from sraccel.study.plan.study import Study
from sraccel.study.report.outputs import FILES
from sraccel.study.runs.store import Store
from sraccel.testing import load_demo_pipeline

FOLDER = Path(__file__).parents[2] / "examples" / "studies"
STUDIES = sorted(FOLDER.glob("*.yaml"))
SWEEPS = {
    "fixed-switch": ("switch_step", [0, 2, 4, 6, 8, 10, 15, 20]),
    "threshold-sweep": ("threshold", [0.005, 0.01, 0.02, 0.03]),
}
every_study = pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def pipe() -> Any:
    made = load_demo_pipeline("transformer")
    made.set_progress_bar_config(disable=True)
    return made


@every_study
def test_every_cell_composes_on_the_demo_pair(path: Path, pipe: Any) -> None:
    study = Study.load(path)
    assert study.model == "demo"
    with shared_loading():
        for cell in cells_of(study):
            stack = sraccel.compose(pipe, cell.accelerators)
            assert [item.name for item in stack.accelerators] == list(cell.uses)


@every_study
def test_it_compares_with_fewer_plain_steps_and_shows_the_shared_prompts(path: Path) -> None:
    plan = Study.load(path).study
    assert plan.plain_steps
    assert plan.prompts == read_prompts(FOLDER / "demo-prompts.txt")
    for prompt in plan.prompts:
        assert parse_caption(prompt).held_out


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_has_a_cell_for_each_value(name: str) -> None:
    option, values = SWEEPS[name]
    cells = [cell for cell in cells_of(Study.load(FOLDER / f"{name}.yaml")) if cell.settings]
    assert [cell.settings for cell in cells] == [{f"srdiffusion.{option}": one} for one in values]
    assert [getattr(cell.accelerators[0], option) for cell in cells] == values


def test_a_sweep_runs_and_leaves_what_the_page_names(pipe: Any, tmp_path: Path) -> None:
    study = Study.load(
        FOLDER / "fixed-switch.yaml",
        ["srdiffusion.switch_step=0,2"],
        prompts=read_prompts(FOLDER / "demo-prompts.txt")[:2],
        plain_steps="2",
        repeats=1,
    )
    report = run_study(pipe, study, tmp_path, **CALL)
    assert (report.done, report.planned) == (8, 8)
    with Store.read(tmp_path) as store:
        switched = {run.cell: run.switch_step for run in store.records().values()}
    assert switched["srdiffusion.switch_step=0"] == 0
    assert switched["srdiffusion.switch_step=2"] == 2
    named = re.findall(r"`([\w.]+\.(?:html|md|json|csv|sqlite)|videos/)`", page())
    assert {*named} == {*FILES, "study.sqlite", "videos/"}
    assert all((tmp_path / name).exists() for name in named)


def test_the_page_names_every_study_and_no_other() -> None:
    names = {path.name for path in STUDIES}
    assert set(re.findall(r"[\w-]+\.yaml", page())) == names
    assert all((FOLDER / name).exists() for name in re.findall(r"\]\(([^)]+)\)", page()))
    for path in STUDIES:
        command = f"sraccel study examples/studies/{path.name} -o runs/{path.stem}\n"
        assert command in page()
        assert f"#   {command}" in path.read_text("utf-8")


def page() -> str:
    return (FOLDER / "README.md").read_text("utf-8")
