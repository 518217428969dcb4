"""The loop's hooks: validated signatures and documentation; errors are in `test_errors.py`."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from diffusers import WanPipeline
from misbehaving import made

import sraccel
from sraccel.loop.hookspecs import Discovery, Loop
from sraccel.plugin import Accelerator, Column, hookimpl
from sraccel.report.page.timeline import timeline

PACKAGE = Path(sraccel.__file__).parent


def hooks_of(spec: type) -> list[str]:
    return [name for name in vars(spec) if not name.startswith("_")]


@pytest.mark.parametrize("spec", [Discovery, Loop])
def test_every_hook_says_what_it_is_for(spec: type) -> None:
    for hook in hooks_of(spec):
        assert inspect.getdoc(getattr(spec, hook)), hook


def generates(self: Accelerator, call: Any) -> Any:
    return (yield)


@pytest.mark.parametrize(
    ("hook", "implementation", "named"),
    [
        ("step_finished", hookimpl(lambda self, stp: None), "step_finished.*stp"),
        ("skip_blockss", hookimpl(lambda self, call: None), "skip_blockss"),
        ("skip_blocks", hookimpl(generates), "is a generator"),
        ("skip_blocks", hookimpl(generates, wrapper=True), "hooks cannot be wrapped"),
    ],
)
def test_a_hook_that_could_not_be_asked_is_refused_with_what_is_wrong(
    hook: str, implementation: Any, named: str, pipe: WanPipeline
) -> None:
    with pytest.raises(sraccel.PluginError, match=f"(?s)'wrong'.*{named}"):
        sraccel.compose(pipe, [made("wrong", **{hook: implementation}).Options()])


def measuring(**values: Any) -> type[Accelerator]:
    """An accelerator with one column that measures these at each step."""
    return made(
        "gauge",
        columns={"level": Column("level", "the step's own noise level")},
        step_finished=hookimpl(lambda self, step: step.measure(self, **values)),
    )


def test_what_any_accelerator_measures_is_in_the_report_and_on_the_page(
    pipe: WanPipeline, generate: Callable[..., Any]
) -> None:
    with sraccel.compose(pipe, [measuring(level=0.25).Options()]) as stack:
        generate(pipe)
    report = sraccel.Report.from_json(stack.report.to_json())
    assert report.columns["gauge.level"].label == "level"
    assert {step.measured["gauge.level"] for step in report.steps} == {0.25}
    drawing = timeline(report)
    assert drawing is not None
    assert [panel.name for panel in drawing.measured] == ["gauge"]


def test_a_column_that_is_not_declared_is_refused_by_name(
    pipe: WanPipeline, generate: Callable[..., Any]
) -> None:
    with sraccel.compose(pipe, [measuring(depth=1.0).Options()]):
        with pytest.raises(sraccel.PluginError, match=r"'gauge' measures 'depth'.*\(level\)"):
            generate(pipe)


def imported_modules(path: Path) -> set[str]:
    """Absolute names of what a module imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("folder", ["accelerators", "denoisers"])
def test_built_ins_import_only_what_a_third_party_may(folder: str) -> None:
    for path in (PACKAGE / folder).rglob("*.py"):
        own = ".".join(path.relative_to(PACKAGE.parent).parent.parts[:3])
        for name in imported_modules(path):
            if name.startswith("sraccel"):
                assert name == "sraccel.plugin" or name.startswith(own), f"{path} imports {name}"


def test_what_sraccel_promises_to_export_is_there() -> None:
    for name in sraccel.__all__:
        assert getattr(sraccel, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = sraccel.nonsense
