"""Values from the shell (`--set`) go over a recipe's, and are checked like a file's."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sraccel.errors import Problem, RecipeError
from sraccel.recipe.recipe import Recipe, gather
from sraccel.text import nearest


def problems(*overrides: str, recipe: object = "demo") -> list[Problem]:
    with pytest.raises(RecipeError) as refused:
        Recipe.load(recipe, overrides)
    return refused.value.problems


def options(recipe: Recipe, use: str) -> dict[str, object]:
    return next(item for item in recipe.accelerators if item.use == use).model_dump()


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 10), st.integers(1, 1000))
def test_options_and_sampling_are_set(threshold: float, steps: int) -> None:
    overrides = [f"teacache.threshold={threshold}", f"sampling.num_inference_steps={steps}"]
    recipe = Recipe.load("demo", overrides)
    assert options(recipe, "teacache")["threshold"] == threshold
    assert recipe.sampling.num_inference_steps == steps
    assert options(recipe, "srdiffusion") == options(Recipe.load("demo"), "srdiffusion")


def test_values_are_yaml_and_null_is_the_default() -> None:
    recipe = Recipe.load(
        "demo",
        [
            "teacache.retention=true",
            "teacache.coefficients={transformer: [1, 2, 3, 4, 5], render: auto}",
            "sampling.negative_prompt='a, b=c'",
            "model=some/model",
            "srdiffusion.render={model: demo}",
            "srdiffusion.render.dtype=float16",
            "srdiffusion.min_step=null",
        ],
    )
    assert options(recipe, "teacache")["retention"] is True
    assert options(recipe, "teacache")["coefficients"] == {
        "transformer": [1, 2, 3, 4, 5],
        "render": "auto",
    }
    assert recipe.sampling.negative_prompt == "a, b=c"
    assert recipe.model == "some/model"
    assert options(recipe, "srdiffusion")["render"] == {"model": "demo", "dtype": "float16"}
    assert "min_step" not in recipe.model_dump(exclude_unset=True)["accelerators"][0]


def test_the_last_of_several_wins_and_an_override_goes_over_an_include() -> None:
    recipe = Recipe.load(
        {"include": "demo", "accelerators": [{"use": "teacache", "threshold": 1}]},
        ["teacache.threshold=2", "teacache.threshold=3"],
    )
    assert options(recipe, "teacache")["threshold"] == 3


def test_a_loaded_recipe_takes_overrides_too_and_stays_what_it_was() -> None:
    recipe = Recipe.load("demo")
    assert options(Recipe.load(recipe, ["teacache.threshold=2"]), "teacache")["threshold"] == 2
    assert recipe == Recipe.load("demo")


def test_a_mapping_that_is_given_is_not_changed(tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    base.write_text("study: {repeats: 2}\naccelerators: [{use: teacache}]\n")
    given = {
        "include": str(base),
        "accelerators": [{"use": "teacache", "threshold": 1}],
        "sampling": {"height": 8},
        "study": {"sweep": {"teacache.threshold": [1, 2]}},
    }
    before = copy.deepcopy(given)
    overrides = ["teacache.threshold=2", "sampling.height=9", "study.sweep.sampling.width=[8]"]
    assert not gather(given, overrides).problems
    assert given == before


@pytest.mark.parametrize(
    ("override", "message", "suggestion"),
    [
        ("teacash.threshold=1", "no accelerator 'teacash'; did you mean 'teacache'?", "teacache"),
        ("smpling.height=1", "did you mean 'sampling'?", "sampling"),
        ("teacache.treshold=1", "teacache has no 'treshold'; did you mean", "threshold"),
        ("sampling.hight=1", "sampling has no 'hight'; did you mean 'height'?", "height"),
        ("teacache.threshold=high", "must be a number", None),
        ("teacache.start=alway", "did you mean 'always'?", "always"),
        ("sampling.num_inference_steps=0", "must be 1 or more", None),
        ("teacache.threshold", "give NAME.OPTION=VALUE", None),
        ("teacache.threshold=", "give NAME.OPTION=VALUE", None),
        ("=3", "give NAME.OPTION=VALUE", None),
        ("teacache..x=3", "give NAME.OPTION=VALUE", None),
        ("teacache=3", "which option of 'teacache'?", None),
        ("sampling=3", "which part of 'sampling'? give NAME.OPTION=VALUE", None),
        ("name.x=1", "name is one value, which has no 'x': give name=VALUE", None),
        (
            "sampling.num_inference_steps.foo=1",
            "sampling.num_inference_steps is one value, which has no 'foo'",
            None,
        ),
        ("teacache.use=srdiffusion", "it cannot be overridden", None),
        ("srdiffusion.render={model: a, model: b}", "the key 'model' is given twice", None),
        ("teacache.threshold=2024-13-45", "is no possible timestamp: month must be in", None),
        ("teacache.threshold=[1", "the value is not YAML", None),
        ("teacache.threshold=!!python/name:os.system x", "the value is not YAML", None),
        ("srdiffusion.render.dtype=float16", "is 'demo', which has no 'dtype'", None),
        ("teacache.threshold.x=1", "is 0.08, which has no 'x'", None),
    ],
)
def test_what_makes_no_sense_is_refused_naming_the_override(
    override: str, message: str, suggestion: str | None
) -> None:
    (problem,) = problems(override)
    assert message in problem.message
    assert problem.suggestion == suggestion
    assert problem.file == f"--set {override}"
    assert str(problem).startswith(f"--set {override}: ")


def test_an_accelerator_that_is_installed_but_not_listed_says_so() -> None:
    (problem,) = problems("sageattention.kernel=auto", recipe=[{"use": "teacache"}])
    assert "installed, but an override changes only what the recipe lists" in problem.message


def test_wrong_overrides_and_a_files_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("accelerators:\n  - {use: teacache, threshold: -1, start: x}\n")
    overrides = ["teacache.retention=3", "teacash.a=1", "sampling.width=x"]
    with pytest.raises(RecipeError) as refused:
        Recipe.load(path, overrides)
    assert {one.place for one in refused.value.problems} == {
        *(f"--set {one}" for one in overrides),
        f"{path}:2:32",
        f"{path}:2:43",
    }


@pytest.mark.parametrize("listed", ["5", "teacache", "{use: teacache}", "[5, [teacache], null]"])
def test_an_override_of_a_wrong_list_is_reported_beside_it(tmp_path: Path, listed: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"accelerators: {listed}\n")
    with pytest.raises(RecipeError) as refused:
        Recipe.load(path, ["teacache.threshold=1"])
    own, *others = sorted(refused.value.problems, key=lambda one: one.file or "")
    assert own.file == "--set teacache.threshold=1"
    assert "no accelerator 'teacache'" in own.message
    assert {(one.file, one.line) for one in others} == {(str(path), 1)}


@given(st.lists(st.text(max_size=4)), st.text(max_size=4))
def test_what_was_given_is_never_the_hint(known: list[str], name: str) -> None:
    assert nearest(name, [*known, name]) is None
    assert nearest(name, known) != name
