"""What accelerators of other packages can say to `sraccel check`, and what they cannot break."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sraccel.accelerator import Accelerator, AcceleratorOptions
from sraccel.catalogue import Plugin, installed
from sraccel.check.finding import Finding
from sraccel.check.model_check import check_model
from sraccel.check.recipe_check import check_recipe
from sraccel.errors import ConflictError, PluginError, Problem, RecipeError
from sraccel.hookspecs import hookimpl
from sraccel.model_source import ModelSource
from sraccel.recipe import Recipe, gather
from sraccel.sampling import Sampling

Register = Callable[[type[Accelerator]], None]


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Register:
    def add(accelerator: type[Accelerator]) -> None:
        monkeypatch.setitem(installed().accelerators, accelerator.name, accelerator)

    return add


def said(recipe: Any) -> list[tuple[str, str, str]]:
    found = check_model(Recipe.load(recipe), "demo", "float32")
    return [(one.level, one.about, one.message) for one in found]


class Doubtful(Accelerator):
    """Needs an even number of steps, and knows its stack."""

    name = "doubtful"

    class Options(AcceleratorOptions):
        def doubts(self, sampling: Sampling) -> Iterable[str]:
            if (sampling.num_inference_steps or 0) % 2:
                yield "wants an even number of steps"

    def outlook(self, stack: Any) -> Iterable[Finding]:
        yield Finding("note", f"sees {', '.join(stack.denoisers)}")
        raise ConflictError("doubtful: cannot work here")


def test_doubts_and_outlook_of_any_accelerator_are_told(register: Register) -> None:
    register(Doubtful)
    given = {"accelerators": [{"use": "doubtful"}], "sampling": {"num_inference_steps": 3}}
    (warning,) = check_recipe(Recipe.load(given), gather(given))
    assert (warning.level, warning.about) == ("warning", "doubtful")
    assert warning.message == "wants an even number of steps"
    found = said([{"use": "srdiffusion", "render": "demo"}, {"use": "doubtful"}])
    assert ("note", "doubtful", "sees sketch, render") in found
    assert ("error", "doubtful", "cannot work here") in found


def test_an_accelerator_that_would_load_models_is_left_out_and_said_to_be(
    register: Register,
) -> None:
    class Loads(Accelerator):
        """Would load a model when composed."""

        name = "loads"

        class Options(AcceleratorOptions):
            def models(self) -> list[ModelSource]:
                return [ModelSource(model="demo")]

        @hookimpl
        def contribute_denoisers(self) -> Any:
            raise AssertionError("composed")

    register(Loads)
    found = said([{"use": "loads"}, {"use": "teacache"}])
    assert any(about == "loads" and "not checked" in text for _, about, text in found)
    assert not [one for one in found if one[0] == "error"]


def test_contradictions_that_show_only_together_are_told(register: Register) -> None:
    class Other(Accelerator):
        """Predicts residuals, too."""

        name = "other"

        @hookimpl
        def reuse_residual(self, call: Any) -> None: ...

    register(Other)
    (error,) = [one for one in said([{"use": "other"}, {"use": "teacache"}]) if one[0] == "error"]
    assert "'other' and 'teacache' both predict" in error[2]


def test_a_plugin_that_cannot_be_imported_is_one_problem_among_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = Plugin("broken", "broken 1.2", ImportError("no such thing"))
    monkeypatch.setattr(installed(), "plugins", [*installed().plugins, broken])
    with pytest.raises(PluginError, match=r"broken 1.2.*no such thing"):
        Recipe(accelerators=[{"use": "broken"}])
    with pytest.raises(RecipeError) as refused:
        Recipe(accelerators=[{"use": "broken"}, {"use": "teacash"}])
    first, second = refused.value.problems
    assert "is installed but cannot be imported" in first.message
    assert second.suggestion == "teacache"


def test_a_problem_is_told_by_the_distribution_that_brings_the_accelerator(
    register: Register,
) -> None:
    class Halver(Accelerator):
        """Halves."""

        name = "halver"

        class Options(AcceleratorOptions):
            by: int

    register(Halver)
    installed()._origin["halver"] = "halver-package 2.0"
    try:
        with pytest.raises(RecipeError) as refused:
            Recipe(accelerators=[{"use": "halver"}])
    finally:
        del installed()._origin["halver"]
    (problem,) = refused.value.problems
    assert (problem.path, problem.plugin) == ("accelerators[0].by", "halver-package 2.0")
    assert problem.given is None


NAMES = st.sampled_from(
    [
        *("name", "model", "include", "sampling", "accelerators", "use", "teacache"),
        *("threshold", "render", "coefficients", "height", "demo", "$schema", "<<", "x"),
    ]
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), NAMES, st.dates()
)
CONTENT = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(NAMES, st.integers(), st.none()), inner, max_size=5),
    ),
    max_leaves=25,
)
ACCELERATORS = st.lists(
    st.one_of(
        CONTENT,
        st.fixed_dictionaries(
            {"use": st.sampled_from(["teacache", "srdiffusion", "sageattention", "teacash"])},
            optional=dict.fromkeys(("threshold", "render", "coefficients", "kernel"), CONTENT),
        ),
    ),
    max_size=4,
)
RECIPES = st.one_of(
    CONTENT,
    st.fixed_dictionaries(
        {"accelerators": ACCELERATORS},
        optional={"include": st.one_of(st.just("demo"), CONTENT), "sampling": CONTENT},
    ),
)
OVERRIDES = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.builds(
            "{}.{}={}".format,
            st.sampled_from(["teacache", "srdiffusion", "sampling", "teacash", "include"]),
            st.sampled_from(["threshold", "render.dtype", "coefficients.sketch", "height", "0"]),
            st.sampled_from(["1", "null", "{a: b}", "[1", "x", "!!python/name:os.system"]),
        ),
    ),
    max_size=3,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(RECIPES, OVERRIDES, st.sampled_from(["yaml", "json"]))
def test_whatever_a_file_holds_it_is_a_recipe_or_a_list_of_problems(
    tmp_path_factory: pytest.TempPathFactory, content: Any, overrides: list[str], suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any.{suffix}"
    writers = {"yaml": yaml.safe_dump, "json": lambda given: json.dumps(given, default=str)}
    path.write_text(writers[suffix](content), encoding="utf-8")
    problems = problems_of(path, overrides)
    assert problems is None or problems
    for problem in problems or []:
        assert str(problem)
        assert problem.file is not None
        assert problem.file.startswith("--set ") or problem.line is not None


def problems_of(path: Path, overrides: list[str]) -> list[Problem] | None:
    try:
        Recipe.load(path, overrides)
    except RecipeError as error:
        return error.problems
    return None
