"""Recipes are checked whole, from every source, and errors say where, what and what is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import sraccel

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


def test_every_error_of_a_recipe_made_in_python_is_reported_at_once() -> None:
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
    assert {(one.file, one.line, one.place) for one in refused.value.problems} == {(None, None, "")}
    assert [one.path for one in refused.value.problems] == [
        "accelerators[0].threshold",
        "accelerators[1].use",
        "accelerators[2].render",
        "accelerators[2].rendr",
        "accelerators[3]",
        "nam",
    ]
    text = str(refused.value)
    assert "accelerators[0].threshold: " in text
    assert "must be 0 or more (given: -1)" in text
    assert "no accelerator is called 'teacash'; did you mean 'teacache'?" in text
    assert "srdiffusion has no 'rendr'; did you mean 'render'?" in text


def test_a_missing_file_lists_the_shipped_recipes() -> None:
    with pytest.raises(sraccel.RecipeError, match=r"no file 'nowhere.yaml'.*shipped: .*demo"):
        sraccel.Recipe.load("nowhere.yaml")


def test_recipes_are_immutable_and_short_to_look_at() -> None:
    recipe = sraccel.Recipe(name="mine", accelerators=ACCELERATORS)
    assert repr(recipe) == "Recipe(mine: srdiffusion + teacache)"
    with pytest.raises(Exception, match="frozen"):
        recipe.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("content", [5, None, "demo", [{"use": "teacache"}], b"x"])
def test_what_is_no_mapping_is_refused_as_a_recipe(content: Any) -> None:
    with pytest.raises(sraccel.RecipeError, match="a recipe is a mapping"):
        sraccel.Recipe.model_validate(content)


def test_a_file_that_holds_no_mapping_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(sraccel.RecipeError, match=r"list\.yaml:1:1: a recipe is a mapping"):
        sraccel.Recipe.load(tmp_path / "list.yaml")
