"""Recipes are checked whole, from every source, and errors say where, what and what is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import sraccel
from sraccel.recipe.catalogue import installed

ACCELERATORS = [
    {"use": "srdiffusion", "render": "demo", "threshold": 0.02},
    {"use": "teacache", "threshold": 0.2},
]
FILES = {
    "recipe.json": json.dumps({"accelerators": ACCELERATORS}),
    "recipe.yaml": "accelerators:\n  - {use: srdiffusion, render: demo, threshold: 0.02}\n"
    "  - {use: teacache, threshold: 0.2}\n",
    "recipe.toml": '[[accelerators]]\nuse = "srdiffusion"\nrender = "demo"\nthreshold = 0.02\n'
    '[[accelerators]]\nuse = "teacache"\nthreshold = 0.2\n',
}


def test_all_sources_give_the_same_recipe(tmp_path: Path) -> None:
    expected = sraccel.Recipe(accelerators=ACCELERATORS)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
        assert sraccel.Recipe.load(tmp_path / name) == expected
    assert sraccel.Recipe.load(ACCELERATORS) == expected
    assert sraccel.Recipe.load({"accelerators": ACCELERATORS}) == expected
    assert sraccel.Recipe.load(expected) is expected


def test_a_recipe_survives_json_unchanged() -> None:
    recipe = sraccel.Recipe(name="mine", accelerators=ACCELERATORS)
    assert sraccel.Recipe(**json.loads(recipe.model_dump_json())) == recipe


def test_every_error_is_told_at_once_with_its_place() -> None:
    with pytest.raises(sraccel.RecipeError) as refused:
        sraccel.Recipe(
            accelerators=[
                {"use": "teacache", "threshold": -1},
                {"use": "teacash"},
                {"use": "srdiffusion", "rendr": "demo"},
                "teacache",
            ],
            nam="typo",
        )
    places = [problem.path for problem in refused.value.problems]
    assert places == [
        "accelerators[0].threshold",
        "accelerators[1].use",
        "accelerators[2].render",
        "accelerators[2].rendr",
        "accelerators[3]",
        "nam",
    ]
    text = str(refused.value)
    assert "greater than or equal to 0 (given: -1)" in text
    assert "no accelerator is called 'teacash'; did you mean 'teacache'?" in text
    assert "srdiffusion has no 'rendr'; did you mean 'render'?" in text


def test_a_name_listed_twice_is_refused() -> None:
    with pytest.raises(sraccel.RecipeError, match="'teacache' is listed 2 times"):
        sraccel.Recipe(accelerators=[{"use": "teacache"}, {"use": "teacache", "threshold": 0.3}])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("broken.yaml", "accelerators: [", "cannot be read as a recipe"),
        ("broken.json", "{", "cannot be read as a recipe"),
        ("broken.toml", "= 3", "cannot be read as a recipe"),
        ("list.yaml", "- 1\n", "a recipe is a mapping"),
        ("code.yaml", "!!python/object/apply:os.system ['true']\n", "cannot be read as a recipe"),
        ("wrong.yaml", "accelerators: [{use: teacache, threshold: x}]", r"\[0\].threshold"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(sraccel.RecipeError, match=message) as refused:
        sraccel.Recipe.load(tmp_path / name)
    assert name in str(refused.value)


def test_a_missing_file_lists_the_shipped_recipes() -> None:
    with pytest.raises(sraccel.RecipeError, match=r"no file 'nowhere.yaml'.*shipped: .*demo"):
        sraccel.Recipe.load("nowhere.yaml")


def test_every_shipped_recipe_is_valid_and_named_as_its_file() -> None:
    assert "demo" in installed().recipes
    for name in installed().recipes:
        recipe = sraccel.Recipe.load(name)
        assert recipe.name == name
        assert recipe.description


def test_recipes_are_immutable_and_short_to_look_at() -> None:
    recipe = sraccel.Recipe(name="mine", accelerators=ACCELERATORS)
    assert repr(recipe) == "Recipe(mine: srdiffusion + teacache)"
    with pytest.raises(Exception, match="frozen"):
        recipe.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", sorted(installed().accelerators))
def test_every_option_of_every_accelerator_is_described(name: str) -> None:
    options: Any = installed().accelerators[name].Options
    for field, info in options.model_fields.items():
        assert field == "use" or info.description, f"{name}.{field} has no description"


@pytest.mark.parametrize("content", [5, None, "demo", [{"use": "teacache"}], b"x"])
def test_what_is_no_mapping_is_refused_as_a_recipe(content: Any) -> None:
    with pytest.raises(sraccel.RecipeError, match="a recipe is a mapping"):
        sraccel.Recipe.model_validate(content)
