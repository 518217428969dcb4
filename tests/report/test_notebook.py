"""What recipes, stacks, runs and reports look like at a prompt and in a notebook."""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from parsed_page import Page

import sraccel
from sraccel.errors import Problem
from sraccel.report.model import AcceleratorRecord, Report, Speedup

if TYPE_CHECKING:
    import torch
    from diffusers import WanPipeline

STRANGE = '<script>alert("&")</script>'
PACKAGE = Path(sraccel.__file__).parent


def shown(item: Any) -> str:
    """The words of its HTML."""
    return " ".join(unescape(re.sub("<[^>]*>", " ", item._repr_html_())).split())


@pytest.fixture
def stack(pipe: WanPipeline, render: Any, generate: Callable[..., torch.Tensor]) -> sraccel.Stack:
    """After a run; its names are made to be escaped."""
    recipe = sraccel.Recipe(
        name=STRANGE,
        description=STRANGE,
        accelerators=[{"use": "srdiffusion", "render": render, "switch_step": 2}],
    )
    with sraccel.compose(pipe, recipe) as stack:
        generate(pipe, steps=4)
    stack.report.warnings.append(STRANGE)
    return stack


def test_everything_in_a_notebooks_html_is_escaped_and_needs_nothing_else(
    stack: sraccel.Stack,
) -> None:
    for item in (stack.recipe, stack, stack.report):
        html = Page(item._repr_html_())
        assert STRANGE in shown(item)
        assert html.tags <= {"div", "strong", "table", "thead", "tbody", "tr", "th", "td"}
        attributes = {name for element in html.elements for name in element} - {"tag", "text"}
        assert attributes <= {"style", "scope"}


def test_html_leaves_the_colour_of_text_and_paper_to_the_notebook(stack: sraccel.Stack) -> None:
    """In light and in dark, text has the contrast that the notebook gives it."""
    for item in (stack.recipe, stack, stack.report):
        colours = re.findall(r"(?<![\w-])(?:color|background):([^;\"]+)", item._repr_html_())
        assert set(colours) <= {"inherit", "transparent"}


def test_html_says_what_a_stack_holds_and_did(stack: sraccel.Stack) -> None:
    recipe, report = shown(stack.recipe), shown(stack.report)
    assert "srdiffusion render: WanTransformer3DModel, switch_step: 2" in recipe
    assert "on WanPipeline, detached" in shown(stack)
    assert "4 of 4 steps, switch at step 2" in shown(stack)
    for text in (
        "srdiffusion: finished",
        "not measured",
        "at step 2, where srdiffusion chose render",
        "4 calls",
    ):
        assert text in report
    assert "the pipeline runs bare" in shown(sraccel.Recipe())


def test_reprs_are_one_short_line(
    stack: sraccel.Stack, pipe: WanPipeline, generate: Callable[..., torch.Tensor]
) -> None:
    runs: list[str] = []

    def look(pipe: Any, step: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        runs.append(repr(plain.current_run))
        return {}

    plain = sraccel.compose(pipe, [{"use": "sageattention", "kernel": "emulated"}])
    with plain:
        assert repr(plain) == "Stack(Recipe(sageattention) on WanPipeline, attached, 0 runs)"
        generate(pipe, steps=2, callback_on_step_end=look)
    assert runs[0] == "Run(running, 1 of 2 steps)"
    assert repr(plain.recipe) == "Recipe(sageattention)"
    assert repr(plain.report) == "Report(sageattention: finished, 2 of 2 steps)"
    assert repr(stack.report) == "Report(srdiffusion: finished, 4 of 4 steps, switch at step 2)"
    assert repr(stack.denoisers["transformer"]) == "Denoiser(transformer, WanTransformer3DModel)"


def test_the_repr_of_a_report_says_what_was_measured_and_how_it_failed() -> None:
    report = Report(
        outcome="failed: ValueError: two\nlines",
        num_inference_steps=4,
        speedup=Speedup(measured=1.234),
        accelerators=[AcceleratorRecord(name="teacache")],
    )
    expected = "Report(teacache: failed: ValueError, 0 of 4 steps, 1.23x measured)"
    assert repr(report) == expected
    assert repr(Report(outcome="finished", num_inference_steps=1)).startswith("Report(empty: ")


@pytest.mark.parametrize(
    "error",
    [
        sraccel.PluginError("no", accelerator="a", hook="run_started", step=3),
        sraccel.ConflictError("no", accelerators=["a", "b"]),
        sraccel.ModelError("no", model="demo", differences={"VAE z_dim": (4, 16)}),
        sraccel.NonFiniteError("no", step=2, role="render", model="WanTransformer3DModel"),
        sraccel.OutputError("no", path="out/video.mp4", errno=28, reason="No space left"),
        sraccel.RecipeError([Problem("accelerators[0]", "no", "1", "a.yaml", 2, 3)]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_keeps_its_message_and_its_fields_across_processes(
    error: sraccel.SraccelError,
) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_every_error_is_of_one_tree_and_can_be_raised_with_a_message_alone() -> None:
    kinds = [getattr(sraccel, name) for name in sraccel.__all__ if name.endswith("Error")]
    assert len(kinds) == 10
    for kind in kinds:
        assert issubclass(kind, sraccel.SraccelError)
        assert str(kind("what is wrong")) == "what is wrong"


def test_the_library_logs_to_its_own_logger_and_never_prints(
    stack: sraccel.Stack, pipe: WanPipeline, caplog: Any, capfd: Any, generate: Any
) -> None:
    with caplog.at_level(logging.DEBUG, "sraccel"), sraccel.compose(pipe, []) as bare:
        generate(pipe, steps=2)
    logged = [record for record in caplog.records if record.name == "sraccel"]
    assert [record.getMessage() for record in logged] == bare.report.warnings
    assert capfd.readouterr() == ("", "")
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name != "cli":
            code = path.read_text(encoding="utf-8")
            assert not re.search(r"^\s*print\(", code, re.MULTILINE), f"{path} prints"


def test_type_hints_are_shipped() -> None:
    assert (PACKAGE / "py.typed").is_file()
