"""What is thrown at sraccel, and what it must make of it: accept it, or refuse it in its own words.

A target takes one input as bytes. It returns `accepted` or `refused`; anything else that it raises,
and more than `CPU_SECONDS`, is a find.
"""

from __future__ import annotations

import copy
import functools
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError

from sraccel.accelerators.teacache.calibration_file import CalibrationFile
from sraccel.comparison.verification import verify
from sraccel.errors import SraccelError
from sraccel.models.configurations import check_folder
from sraccel.recipe.prompts import PromptsError, read_prompts
from sraccel.recipe.recipe import Recipe
from sraccel.report.model import (
    AcceleratorRecord,
    CallRecord,
    CostRecord,
    Report,
    Speedup,
    StepRecord,
    Timing,
)
from sraccel.report.page import render_page
from sraccel.report.repetition import read_repetition
from sraccel.report.side_by_side import side_by_side, side_of
from sraccel.study.plan.study import Study
from sraccel.study.runs.store import FILE, Store

CPU_SECONDS = 20.0
"""For one input, on a slow machine."""
RECIPES = Path(__file__).parents[2] / "sraccel" / "recipes"
STUDIES = Path(__file__).parents[2] / "examples" / "studies"

Target = Callable[[bytes], str]


def _in_file(name: str, content: bytes, use: Callable[[Path], object]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            use(path)
        except (SraccelError, PromptsError):
            return "refused"
    return "accepted"


def recipe_yaml(content: bytes) -> str:
    return _in_file("recipe.yaml", content, Recipe.load)


def recipe_toml(content: bytes) -> str:
    return _in_file("recipe.toml", content, Recipe.load)


def recipe_json(content: bytes) -> str:
    return _in_file("recipe.json", content, Recipe.load)


def study_yaml(content: bytes) -> str:
    return _in_file("study.yaml", content, Study.load)


def prompts(content: bytes) -> str:
    return _in_file("prompts.txt", content, read_prompts)


def repetition(content: bytes) -> str:
    return _in_file("report.json", content, read_repetition)


def calibration(content: bytes) -> str:
    return _in_file("coefficients.json", content, CalibrationFile.load)


def configuration(content: bytes) -> str:
    def use(path: Path) -> None:
        try:
            check_folder(path.parent)
        except (ValueError, OSError):
            raise SraccelError("refused") from None

    return _in_file("config.json", content, use)


def report(content: bytes) -> str:
    """Read, shown in each way, verified, and put beside another."""
    try:
        read = Report.from_json(content.decode("utf-8", "replace"))
    except (ValidationError, RecursionError):
        return "refused"
    str(read), repr(read), read._repr_html_()
    render_page(read, {})
    [check.agrees for check in verify(read)]
    side_by_side(side_of(read, "one"), side_of(made_report(), "other"))
    return "accepted"


def store(content: bytes) -> str:
    def use(path: Path) -> None:
        with Store.read(path.parent) as opened:
            opened.records()
            opened.lacks()

    return _in_file(FILE, content, use)


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        recipe_yaml,
        recipe_toml,
        recipe_json,
        study_yaml,
        prompts,
        repetition,
        calibration,
        configuration,
        report,
        store,
    )
}


def tried(name: str, content: bytes) -> str:
    """What a target made of an input.

    Raises:
        AssertionError: it took too long; else whatever the target should not have raised.
    """
    began = time.process_time()
    outcome = TARGETS[name](content)
    spent = time.process_time() - began
    assert spent < CPU_SECONDS, f"{name}: {spent:.0f} s for {len(content)} bytes"
    return outcome


@functools.cache
def made_report() -> Report:
    """A comparison, as a run leaves it."""
    calls = [CallRecord(branch="cond", requested="transformer", denoiser="render", seconds=0.1)]
    steps = [StepRecord(index=n, denoiser="render", seconds=0.1, calls=calls) for n in range(4)]
    timing = Timing(seconds=0.4, repeats=[0.4, 0.5], call_repeats=[0.5, 0.6])
    return Report(
        outcome="finished",
        num_inference_steps=4,
        call={"prompt": "a red circle", "seed": 0, "num_inference_steps": 4},
        speedup=Speedup(measured=2.0, measured_range=(1.8, 2.2), predicted=2.1, rest=0.95),
        baseline=timing,
        accelerated=timing.model_copy(update={"shown": 0}),
        quality={"psnr_db": 31.0},
        accelerators=[AcceleratorRecord(name="srdiffusion", factor=2.0, notes={"rule": [1, 2]})],
        costs=[CostRecord(denoiser="render", skipped=None, call_seconds=[0.1] * 9)],
        steps=steps,
    )


@functools.cache
def sound(name: str) -> list[bytes]:
    """Inputs of a target that are right, to begin from."""
    if name in ("recipe_yaml", "recipe_toml", "recipe_json"):
        texts = [path.read_bytes() for path in sorted(RECIPES.glob("*.yaml"))]
        if name == "recipe_yaml":
            return texts
        return [b'{"accelerators": [{"use": "srdiffusion", "render": "demo"}]}'] * (
            name == "recipe_json"
        ) or [b'[[accelerators]]\nuse = "srdiffusion"\nrender = "demo"\n']
    if name == "study_yaml":
        return [path.read_bytes() for path in sorted(STUDIES.glob("*.yaml"))]
    if name in ("report", "repetition"):
        return [made_report().to_json().encode()]
    if name == "configuration":
        return [b'{"_class_name": "WanTransformer3DModel", "num_layers": 4}']
    return [b"a red circle moving left\n# a comment\n", b"{}", b""]


AWKWARD = (
    *(b"", b"\0", b"\xff\xfe", b"null", b"1e999", b"NaN", b"-1", b"9" * 5000, b"[", b"{", b"]"),
    *(b"<<: *a", b"&a [*a]", b"!!python/object:os.system x", b"---\n", b"\t", b"a.b.c = 1\n"),
    *(b"include: /etc/passwd\n", b"include: ../x.yaml\n", b'"', b"'", b"\\ud800", b"\x1b[2J"),
    *(b"true", b"2001-13-40", b"0x", b"!!int x", b": ", b"- ", b"\n", b"." * 200, b"k: 1\n" * 999),
)


def mutated(content: bytes, choices: random.Random) -> bytes:
    """A sound input with a few places changed."""
    for _ in range(choices.randint(1, 4)):
        at, length = choices.randint(0, len(content)), choices.choice((0, 1, 4, 20))
        piece = choices.choice((*AWKWARD, content[at // 2 : at // 2 + 30]))
        content = content[:at] + piece + content[at + length :]
    return content


def in_json(content: bytes, choices: random.Random) -> bytes:
    """A sound JSON with values exchanged for awkward ones."""
    tree: Any = json.loads(content)
    strange = (None, -1, 0, 1e308, 10**30, "", "x" * 999, [], {}, True, "\ud800", [[]] * 9, "<b>")
    for _ in range(choices.randint(1, 4)):
        here = tree
        while isinstance(here, (dict, list)) and here:
            key: Any = choices.choice(list(here) if isinstance(here, dict) else range(len(here)))
            if choices.random() < 0.3 or not isinstance(here[key], (dict, list)):
                # A copy: two changes at the same list would otherwise put it into itself.
                here[key] = copy.deepcopy(choices.choice(strange))
                break
            here = here[key]
    return json.dumps(tree).encode()


@st.composite
def inputs(draw: st.DrawFn, name: str) -> bytes:
    """Anything; a sound input that is changed; or a sound JSON whose values are."""
    kind = draw(st.sampled_from(("anything", "mutated", "mutated", "in json")))
    if kind == "anything":
        return draw(st.binary(max_size=400))
    content = draw(st.sampled_from(sound(name)))
    choices = draw(st.randoms(use_true_random=False))
    if kind == "in json" and content.startswith(b"{"):
        return in_json(content, choices)
    return mutated(content, choices)
