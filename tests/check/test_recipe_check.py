"""What accelerators of other packages can say to `sraccel check`, and what they cannot break."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field, field_validator

from sraccel.check.model_check import _ModelCheck, check_model
from sraccel.check.pipeline_outline import outline_of
from sraccel.check.recipe_check import check_recipe
from sraccel.errors import ConflictError, PluginError, Problem, RecipeError
from sraccel.loop.accelerator import Accelerator, AcceleratorOptions
from sraccel.loop.finding import Finding
from sraccel.loop.hookspecs import hookimpl
from sraccel.models.source import ModelSource
from sraccel.recipe.catalogue import Plugin, installed
from sraccel.recipe.recipe import Recipe, gather
from sraccel.recipe.sampling import Sampling

Register = Callable[[type[Accelerator]], None]


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Register:
    def add(accelerator: type[Accelerator]) -> None:
        monkeypatch.setitem(installed().accelerators, accelerator.name, accelerator)

    return add


def found_in(recipe: Any) -> list[Finding]:
    return check_model(Recipe.load(recipe), "demo", "float32")


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


def test_doubts_and_outlook_of_any_accelerator_are_reported(register: Register) -> None:
    register(Doubtful)
    given = {"accelerators": [{"use": "doubtful"}], "sampling": {"num_inference_steps": 3}}
    (warning,) = check_recipe(Recipe.load(given), gather(given))
    assert (warning.level, warning.about) == ("warning", "doubtful")
    assert warning.message == "wants an even number of steps"
    found = found_in([{"use": "srdiffusion", "render": "demo"}, {"use": "doubtful"}])
    assert Finding("note", "sees transformer, render", "doubtful") in found
    assert Finding("error", "cannot work here", "doubtful") in found


def test_an_accelerator_that_would_load_models_is_left_out_with_a_note(
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
    found = found_in([{"use": "loads"}, {"use": "teacache"}])
    assert any(one.about == "loads" and "not checked" in one.message for one in found)
    assert not [one for one in found if one.level == "error"]


def test_contradictions_that_show_only_together_are_reported(register: Register) -> None:
    class Other(Accelerator):
        """Skips blocks, too."""

        name = "other"

        @hookimpl
        def skip_blocks(self, call: Any) -> None: ...

    register(Other)
    found = found_in([{"use": "other"}, {"use": "teacache"}])
    (error,) = [one for one in found if one.level == "error"]
    assert "'other' and 'teacache' both decide when to skip" in error.message


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


def test_a_problem_names_the_distribution_that_brings_the_accelerator(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Halver(Accelerator):
        """Halves."""

        name = "halver"

        class Options(AcceleratorOptions):
            by: int

    register(Halver)
    monkeypatch.setitem(installed()._origin, ("accelerator", "halver"), "halver-package 2.0")
    with pytest.raises(RecipeError) as refused:
        Recipe(accelerators=[{"use": "halver"}])
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
            st.sampled_from(
                ["threshold", "render.dtype", "coefficients.transformer", "height", "0"]
            ),
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
    problems: list[Problem] = []
    try:
        Recipe.load(path, overrides)
    except RecipeError as error:
        problems = error.problems
        assert problems
    for problem in problems:
        assert str(problem)
        assert problem.file is not None
        assert problem.file.startswith("--set ") or problem.line is not None


@pytest.mark.parametrize("where", ["doubts", "__init__", "outlook", "without_weights"])
def test_what_an_accelerator_raises_is_reported_as_its_own_and_hides_nothing_else(
    register: Register, where: str
) -> None:
    class Raises(Accelerator):
        """Raises where it is asked."""

        name = "raises"

        class Options(AcceleratorOptions): ...

    def raises(*_: Any) -> Any:
        raise KeyError("lost")

    in_options = where in ("doubts", "without_weights")
    setattr(Raises.Options if in_options else Raises, where, raises)
    register(Raises)
    given = {"accelerators": [{"use": "raises"}, {"use": "teacache", "threshold": 0}]}
    of_recipe, of_model = check_recipe(Recipe.load(given), gather(given)), found_in(given)
    assert any("never skips" in one.message for one in of_recipe)
    assert any(one.about == "teacache" for one in of_model)
    errors = [one for one in (*of_recipe, *of_model) if one.level == "error"]
    assert {one.about for one in errors} == {"raises"}
    for error in errors:
        assert f"'raises' (this program) raised in {where}: KeyError: 'lost'" in error.message


def test_options_whose_validator_raises_are_the_plugins_fault_and_other_problems_stay(
    register: Register,
) -> None:
    class Breaks(Accelerator):
        """Its options break."""

        name = "breaks"

        class Options(AcceleratorOptions):
            by: int = 1

            @field_validator("by")
            @classmethod
            def _half(cls, by: int) -> int:
                return 1 // (by - by)

    register(Breaks)
    with pytest.raises(PluginError, match=r"'breaks' .* raised in Options: ZeroDiv") as refused:
        Recipe(accelerators=[{"use": "breaks", "by": 2}])
    assert (refused.value.accelerator, refused.value.hook) == ("breaks", "Options")
    assert isinstance(refused.value.__cause__, ZeroDivisionError)
    with pytest.raises(RecipeError) as several:
        Recipe(accelerators=[{"use": "breaks", "by": 2}, {"use": "teacash"}])
    first, second = several.value.problems
    assert "raised in Options: ZeroDivisionError" in first.message
    assert second.suggestion == "teacache"


def test_a_boolean_is_no_number_unless_the_option_takes_it(
    register: Register,
) -> None:
    class Numbers(Accelerator):
        """Takes numbers, and others."""

        name = "numbers"

        class Options(AcceleratorOptions):
            whole: int = 1
            some: Annotated[float, Field(ge=0)] | None = None
            named: int | Literal["auto"] = "auto"
            switch: bool | int = False
            flag: bool = False
            any_: Any = None

    register(Numbers)
    for name in ("whole", "some", "named"):
        with pytest.raises(RecipeError, match=rf"{name}: true is not a number \(given: True\)"):
            Recipe(accelerators=[{"use": "numbers", name: True}])
    with pytest.raises(RecipeError, match=r"height: true is not a number \(given: True\)"):
        Recipe(sampling={"height": True})
    kept = {"switch": True, "flag": True, "any_": True}
    options = Recipe(accelerators=[{"use": "numbers", **kept}]).accelerators[0].model_dump()
    assert {name: options[name] for name in kept} == kept


GPU, CPU = torch.device("cuda"), torch.device("cpu")
MIB = 2**20


def memory(
    monkeypatch: pytest.MonkeyPatch,
    recipe: Any,
    device: torch.device = GPU,
    free: float = 1e12,
    dtype: torch.dtype = torch.float32,
) -> Finding:
    monkeypatch.setattr("sraccel.check.memory_check.free_bytes", lambda device: int(free))
    found = _ModelCheck(Recipe.load(recipe), "demo", outline_of("demo")).run(dtype, device)
    return next(one for one in found if one.about == "memory" and "weights" in one.message)


def at_once(finding: Finding) -> float:
    return float(re.findall(r"(?:together|has it,) ([\d.]+) MiB", finding.message)[0])


def with_render(dtype: str = "auto", residency: str = "both", **others: Any) -> dict[str, Any]:
    render = {"model": "demo", "dtype": dtype}
    return {
        "accelerators": [{"use": "srdiffusion", "render": render, "residency": residency}],
        **others,
    }


def test_models_that_take_turns_are_not_added_up_nor_advised_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = memory(monkeypatch, with_render())
    swap = memory(monkeypatch, with_render(residency="swap"), free=1)
    assert at_once(both) - at_once(swap) == pytest.approx(2.7, abs=0.11)  # the smaller one's
    assert swap.level == "warning"
    assert "or `residency: swap`" not in swap.message
    assert "or `residency: swap`" in memory(monkeypatch, with_render(), free=1).message
    larger = with_render("float32", "swap")
    larger["accelerators"][0]["render"]["subfolder"] = "transformer"
    half = memory(monkeypatch, larger, dtype=torch.bfloat16)  # the pipeline's own is the smaller
    assert "transformer 11.7 MiB, render 23.5 MiB" in half.message
    assert at_once(half) == pytest.approx(23.5 + 14.1 + 0.2, abs=0.2)
    in_main_memory = memory(monkeypatch, with_render(residency="swap"), CPU)
    assert at_once(in_main_memory) == at_once(both)  # there, both are in it all the time


def test_the_dtype_that_the_recipe_gives_the_render_model_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "render 2.7 MiB" in memory(monkeypatch, with_render()).message
    assert re.search(r"render 1\.3\d MiB", memory(monkeypatch, with_render("float16")).message)


def test_what_a_cache_keeps_is_held_against_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    size = {"num_frames": 9, "height": 512, "width": 512}
    caching = {"accelerators": [{"use": "teacache"}], "sampling": size}
    without = at_once(memory(monkeypatch, {**caching, "accelerators": []}))
    found = memory(monkeypatch, caching)
    assert "with what the cache keeps" in found.message
    assert at_once(found) > without + 1
    tight = memory(monkeypatch, caching, free=(without + 0.5) * MIB)
    assert tight.level == "warning"
    elsewhere = [{"use": "teacache", "cache_device": "cpu"}]
    kept = memory(monkeypatch, {**caching, "accelerators": elsewhere})
    assert at_once(kept) == without
