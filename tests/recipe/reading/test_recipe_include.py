"""A recipe may include another: options of accelerators of one name override, others are added."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sraccel.errors import Problem, RecipeError
from sraccel.loop.accelerator import Accelerator, AcceleratorOptions
from sraccel.recipe.catalogue import installed
from sraccel.recipe.recipe import Recipe

BASE = """\
name: base
description: what others build on
model: demo
sampling: {num_inference_steps: 50, guidance_scale: 3}
accelerators:
  - {use: srdiffusion, render: demo, threshold: 0.02, min_step: 4}
  - {use: teacache, threshold: 0.1}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE)
    return tmp_path


def load(folder: Path, text: str, name: str = "own.yaml") -> Recipe:
    (folder / name).write_text(text)
    return Recipe.load(folder / name)


def problems(folder: Path, text: str, name: str = "own.yaml") -> list[Problem]:
    with pytest.raises(RecipeError) as refused:
        load(folder, text, name)
    return refused.value.problems


def uses(recipe: Recipe) -> list[str]:
    return [item.use for item in recipe.accelerators]


def test_options_of_the_same_accelerator_override_and_new_accelerators_come_last(
    folder: Path,
) -> None:
    recipe = load(
        folder,
        "include: base.yaml\n"
        "accelerators:\n"
        "  - {use: sageattention}\n"
        "  - {use: teacache, start: after_switch}\n"
        "  - {use: srdiffusion, threshold: 0.03}\n",
    )
    assert uses(recipe) == ["srdiffusion", "teacache", "sageattention"]
    srdiffusion, teacache, _ = (item.model_dump() for item in recipe.accelerators)
    assert (srdiffusion["threshold"], srdiffusion["min_step"]) == (0.03, 4)
    assert (teacache["threshold"], teacache["start"]) == (0.1, "after_switch")


def test_model_and_sampling_are_inherited_and_overridden_name_and_description_are_not(
    folder: Path,
) -> None:
    recipe = load(folder, "include: base.yaml\nsampling: {num_inference_steps: 20}\n")
    assert recipe.model == "demo"
    assert recipe.sampling.arguments() == {"num_inference_steps": 20, "guidance_scale": 3}
    assert (recipe.name, recipe.description) == ("", "")
    assert load(folder, "include: base.yaml\nmodel: other\n").model == "other"


def test_null_takes_an_option_back_to_its_default(folder: Path) -> None:
    recipe = load(
        folder,
        "include: base.yaml\naccelerators:\n"
        "  - {use: srdiffusion, threshold: null, min_step: null, switch_step: 8}\n",
    )
    srdiffusion = recipe.accelerators[0].model_dump()
    assert (srdiffusion["switch_step"], srdiffusion["threshold"]) == (8, 0.01)


def test_null_stays_a_value_where_an_option_takes_it_and_has_another_default(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Limits(Accelerator):
        """Has a limit, which null lifts."""

        name = "limits"

        class Options(AcceleratorOptions):
            limit: int | None = 5

    monkeypatch.setitem(installed().accelerators, "limits", Limits)
    (folder / "limits.yaml").write_text("accelerators: [{use: limits, limit: 3}]")
    recipe = load(folder, "include: limits.yaml\naccelerators: [{use: limits, limit: null}]\n")
    assert recipe.accelerators[0].model_dump()["limit"] is None


def test_a_file_is_sought_beside_the_including_one_and_then_among_the_shipped(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "deeper").mkdir()
    shutil.copy(folder / "base.yaml", folder / "deeper" / "first.yaml")
    monkeypatch.chdir(folder)
    assert uses(load(folder, "include: deeper/first.yaml")) == ["srdiffusion", "teacache"]
    assert uses(load(folder, "include: demo")) == uses(Recipe.load("demo"))
    (folder / "demo").write_text("accelerators: [{use: teacache}]")
    assert uses(load(folder, "include: demo")) == ["teacache"]


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_the_formats_can_include_each_other(folder: Path, suffix: str) -> None:
    texts = {"toml": 'include = "base.yaml"\n', "json": '{"include": "base.yaml"}'}
    assert uses(load(folder, texts[suffix], f"own.{suffix}")) == ["srdiffusion", "teacache"]


def test_includes_go_several_files_deep_the_last_word_wins(folder: Path) -> None:
    load(folder, "include: base.yaml\naccelerators: [{use: teacache, threshold: 0.2}]", "a.yaml")
    recipe = load(folder, "include: a.yaml\naccelerators: [{use: srdiffusion, threshold: 0.03}]")
    thresholds = [item.model_dump()["threshold"] for item in recipe.accelerators]
    assert thresholds == [0.03, 0.2]


@pytest.mark.parametrize("length", [1, 2, 5])
def test_circles_are_refused_with_their_way_round(tmp_path: Path, length: int) -> None:
    names = [f"r{number}.yaml" for number in range(length)]
    for name, following in zip(names, [*names[1:], names[0]], strict=True):
        (tmp_path / name).write_text(f"# a comment\ninclude: {following}\n")
    with pytest.raises(RecipeError) as refused:
        Recipe.load(tmp_path / names[0])
    (problem,) = refused.value.problems
    assert "in a circle: " + " -> ".join([*names, names[0]]) in problem.message
    assert (problem.line, problem.column) == (2, 10)
    assert problem.file == str(tmp_path / names[-1])


def test_a_missing_include_says_what_there_is(folder: Path) -> None:
    (problem,) = problems(folder, "include: dmo\n")
    assert (problem.path, problem.line, problem.suggestion) == ("include", 1, "demo")
    assert "no file 'dmo' beside this one" in problem.message
    (problem,) = problems(folder, "include: [a, b]\n")
    assert "one recipe: a file" in problem.message
    (problem,) = problems(folder, f"include: {'x' * 5000}\n")
    assert "beside this one" in problem.message


def test_each_problem_names_the_file_that_it_is_in(folder: Path) -> None:
    (folder / "base.yaml").write_text(BASE.replace("0.02", "high").replace("teacache", "teacash"))
    found = problems(
        folder,
        "include: base.yaml\naccelerators:\n"
        "  - {use: srdiffusion, min_step: -1}\n  - {use: sageattention, kernel: x}\n",
    )
    own, base = str(folder / "own.yaml"), str(folder / "base.yaml")
    assert [(one.file, one.path, one.line) for one in found] == [
        (base, "accelerators[0].threshold", 6),
        (base, "accelerators[1].use", 7),
        (own, "accelerators[0].min_step", 3),
        (own, "accelerators[2].kernel", 4),
    ]
    assert f"{base}:6:" in str(RecipeError(found))


def test_a_malformed_include_is_reported_beside_the_recipes_own_mistakes(folder: Path) -> None:
    (folder / "base.yaml").write_text("accelerators: [\n")
    found = problems(folder, "include: base.yaml\naccelerators: [{use: teacash}]\n")
    assert [Path(str(one.file)).name for one in found] == ["base.yaml", "own.yaml"]


@pytest.mark.parametrize("base", ["accelerators: [\n", "[]", None])
def test_what_a_broken_include_may_have_given_is_not_said_to_be_missing(
    folder: Path, base: str | None
) -> None:
    if base is None:
        (folder / "base.yaml").unlink()
    else:
        (folder / "base.yaml").write_text(base)
    (folder / "own.yaml").write_text(
        "include: base.yaml\naccelerators: [{use: srdiffusion, threshold: 0.03}]\n"
    )
    with pytest.raises(RecipeError) as refused:
        Recipe.load(folder / "own.yaml", ["teacache.threshold=1", "sampling.height=x"])
    paths = [one.path for one in refused.value.problems]
    assert len(paths) == 2
    assert "sampling.height" in paths


def test_options_made_in_python_go_over_an_include_and_take_overrides() -> None:
    options = installed().accelerator("teacache").Options(threshold=0.3)
    base = Recipe.load("demo")
    for given in ([options], (options,)):
        recipe = Recipe.load({"include": "demo", "accelerators": given})
        assert uses(recipe) == uses(base)
        (cache,) = [entry for entry in recipe.accelerators if entry.use == "teacache"]
        assert cache.model_dump()["threshold"] == 0.3
        changed = Recipe.load(given, ["teacache.start=always", "teacache.threshold=0.4"])
        assert changed.accelerators[0].model_dump()["threshold"] == 0.4
    assert options.model_dump()["threshold"] == 0.3


def test_a_missing_file_is_hinted_at_by_one_beside_it(folder: Path) -> None:
    (problem,) = problems(folder, "include: bse.yaml\n")
    assert problem.suggestion == "base.yaml"
    with pytest.raises(RecipeError, match=r"did you mean .*base\.yaml") as refused:
        Recipe.load(folder / "bas.yaml")
    assert refused.value.problems[0].suggestion == str(folder / "base.yaml")
