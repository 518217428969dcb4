"""docs/explanation/how-it-works.md follows a call through the code: its names must be there."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from types import FrameType

import pytest
import torch
from tiny_models import IDENTITY, call_arguments, tiny_pipeline
from torch import nn

import sraccel
from sraccel.loop.seams.block_stack import BlockStackSeam
from sraccel.loop.seams.denoiser_call import DenoiserCallSeam

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "how-it-works.md").read_text(encoding="utf-8")
STATIONS = re.findall(r"^\| (\d+) \| `([\w/]+\.py)` \| `([\w.]+)` \|", PAGE, re.MULTILINE)
FILES = [path for _, path, _ in STATIONS]
TOOLS = set(re.findall(r"`(sraccel/(?:loop|noise)/(?:seams/)?\w+\.py)`", PAGE)) - set(FILES)
OWN = {ROOT / "sraccel" / room for room in ("accelerators", "denoisers")}
"""Of the accelerators and the families, which say themselves what they do."""


def defined_in(path: Path) -> set[str]:
    """Classes and functions of a file, and methods as `Class.method`."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{item.name}"
                for item in node.body
                if isinstance(item, ast.FunctionDef)
            }
    return names


def test_a_call_passes_at_most_eight_files_and_none_twice() -> None:
    assert [int(number) for number, _, _ in STATIONS] == list(range(1, len(STATIONS) + 1))
    assert 0 < len(FILES) <= 8
    assert len(set(FILES)) == len(FILES)


def test_every_name_on_the_page_is_in_the_code() -> None:
    for _, path, name in STATIONS:
        assert name in defined_in(ROOT / path)
    defined = set().union(*map(defined_in, (ROOT / "sraccel/loop").rglob("*.py")))
    classes = {*re.findall(r"`([A-Z][a-z]\w+)`", PAGE), *re.findall(r" as (\w+)<br>", PAGE)}
    assert {*classes, "call_sibling"} <= defined
    assert {station for *_, station in STATIONS if "." not in station} <= classes
    picture = PAGE.partition("```mermaid")[2].partition("```")[0]
    methods = {name.rpartition(".")[2] for name in defined}
    assert set(re.findall(r"\b(\w+)\(", picture)) - {"transformer"} <= methods
    assert set(re.findall(r"\b([a-z]+_[a-z_]+)\b(?!\.py)", picture)) <= methods
    for path in re.findall(r"[\w/]+\.py", picture):
        assert (ROOT / "sraccel/loop" / path).is_file()
    assert all((ROOT / path).is_file() for path in TOOLS)


class Followed:
    """The files of sraccel that each denoiser call enters, until its blocks run or are skipped."""

    def __init__(self, block: nn.Module) -> None:
        self.calls: list[list[str]] = []
        self._on = False
        self._begin = DenoiserCallSeam._layer.__code__
        self._end = {type(block).forward.__code__, BlockStackSeam._skip.__code__}

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call":
            return
        if frame.f_code is self._begin and not self._on:
            self._on = True
            self.calls.append([])
        if frame.f_code in self._end:
            self._on = False
        file = Path(frame.f_code.co_filename)
        if self._on and ROOT / "sraccel" in file.parents and not OWN & set(file.parents):
            self.calls[-1].append(file.relative_to(ROOT).as_posix())


@pytest.fixture(scope="module")
def followed() -> list[list[str]]:
    """The calls of a run with a cache, two guidance branches a step."""
    pipe = tiny_pipeline()
    cache = {"use": "teacache", "threshold": 5.0, "coefficients": IDENTITY}
    follow = Followed(pipe.transformer.blocks[0])
    with torch.no_grad(), sraccel.compose(pipe, [cache]) as stack:
        sys.setprofile(follow)
        try:
            pipe(**call_arguments())
        finally:
            sys.setprofile(None)
    assert {call.reused for step in stack.report.steps for call in step.calls} == {True, False}
    assert len(follow.calls) == sum(len(step.calls) for step in stack.report.steps)
    return follow.calls


def test_a_call_enters_no_file_that_the_page_does_not_name(
    followed: list[list[str]],
) -> None:
    for entered in followed[1:]:  # the first one opens the run
        assert set(entered) <= {*FILES, *TOOLS}


def test_the_stations_come_in_the_order_of_the_page(followed: list[list[str]]) -> None:
    for entered in followed[1::2]:  # of a step's second branch: the step is open
        first_seen = [file for file in dict.fromkeys(entered) if file in FILES]
        assert first_seen == sorted(first_seen, key=FILES.index)
