"""A design takes a recipe apart into cells: all of them, each once, in the recipe's order."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sraccel.errors import RecipeError
from sraccel.loop.accelerator import Accelerator
from sraccel.recipe.catalogue import installed
from sraccel.recipe.recipe import Recipe
from sraccel.study.cell import Cell
from sraccel.study.plan.design import cells_of, full_stack, showcase_cells, singles
from sraccel.study.plan.study import Study

KNOWN: dict[str, dict[str, Any]] = {
    "srdiffusion": {"render": "demo"},
    "teacache": {},
    "sageattention": {"kernel": "emulated"},
    "skip-schedule": {},
}
DESIGNS = ["full", "one-at-a-time", "pairs", "order"]
RECIPES = st.permutations(list(KNOWN)).flatmap(
    lambda names: st.integers(1, len(names)).map(lambda count: names[:count])
)
PLAIN = st.lists(st.integers(1, 49), max_size=3)


def study(names: list[str], **plan: Any) -> Study:
    accelerators = [{"use": name, **KNOWN.get(name, {})} for name in names]
    return Study.load({"accelerators": accelerators, "study": plan})


def stacks(cells: list[Cell]) -> list[tuple[str, ...]]:
    return [cell.uses for cell in cells if cell.kind == "stack"]


@given(RECIPES, st.sampled_from(DESIGNS), PLAIN)
def test_every_design_begins_bare_and_ends_with_plain_steps_fastest_last(
    names: list[str], design: str, plain: list[int]
) -> None:
    cells = cells_of(study(names, design=design, plain_steps=plain))
    assert (cells[0].name, cells[0].kind, cells[0].accelerators) == ("bare", "bare", [])
    assert len({cell.name for cell in cells}) == len(cells)
    kinds = [cell.kind for cell in cells]
    assert kinds == sorted(kinds, key=["bare", "stack", "plain_steps"].index)
    steps = [cell.sampling["num_inference_steps"] for cell in cells if cell.kind == "plain_steps"]
    assert steps == sorted(set(plain), reverse=True)
    for cell in cells:
        assert cell.settings == {}
        assert bool(cell.sampling) == (cell.kind == "plain_steps")


@given(RECIPES, PLAIN)
def test_full_is_every_subset_once_small_ones_first(names: list[str], plain: list[int]) -> None:
    cells = cells_of(study(names, design="full", plain_steps=plain))
    assert len(cells) == 2 ** len(names) + len(set(plain))
    counts = range(1, len(names) + 1)
    assert stacks(cells) == [
        some for count in counts for some in itertools.combinations(names, count)
    ]


@given(RECIPES)
def test_one_at_a_time_is_each_alone_and_all(names: list[str]) -> None:
    alone = [(name,) for name in names]
    whole = [tuple(names)] if len(names) > 1 else []
    assert stacks(cells_of(study(names, design="one-at-a-time"))) == alone + whole


@given(RECIPES)
def test_pairs_are_each_alone_all_pairs_and_all(names: list[str]) -> None:
    pairs = list(itertools.combinations(names, 2))
    whole = [tuple(names)] if len(names) > 2 else []
    found = stacks(cells_of(study(names, design="pairs")))
    assert found == [*((name,) for name in names), *pairs, *whole]


@given(RECIPES)
def test_order_is_every_permutation_the_recipes_own_first(names: list[str]) -> None:
    cells = cells_of(study(names, design="order"))
    found = stacks(cells)
    assert len(cells) == 1 + math.factorial(len(names))
    assert set(found) == set(itertools.permutations(names))
    assert found[0] == tuple(names)
    assert [cell.name for cell in cells[1:]] == [" then ".join(uses) for uses in found]


def test_cells_are_named_after_what_is_in_them() -> None:
    cells = cells_of(study(["srdiffusion", "teacache"], plain_steps=[1, 17]))
    assert [cell.name for cell in cells] == [
        *("bare", "srdiffusion", "teacache", "srdiffusion + teacache"),
        *("17 plain steps", "1 plain step"),
    ]


def test_cells_have_the_recipes_own_options() -> None:
    demo = Recipe.load("demo")
    made = Study.load("demo")
    assert full_stack(cells_of(made)).accelerators == demo.accelerators  # type: ignore[union-attr]
    for cell in singles(cells_of(made)):
        assert cell.accelerators[0] in demo.accelerators


THRESHOLDS = st.lists(st.floats(0.001, 2), min_size=1, max_size=3, unique=True)


@settings(max_examples=30)
@given(
    THRESHOLDS,
    THRESHOLDS,
    st.lists(st.integers(1, 99), min_size=1, max_size=2, unique=True),
    PLAIN,
)
def test_a_sweep_is_the_whole_recipe_with_every_combination(
    switch: list[float], cache: list[float], steps: list[int], plain: list[int]
) -> None:
    sweep = {
        "srdiffusion.threshold": switch,
        "sampling.num_inference_steps": steps,
        "teacache.threshold": cache,
    }
    content = {"include": "demo", "study": {"sweep": sweep, "plain_steps": plain}}
    cells = cells_of(Study.load(content))
    swept = [cell for cell in cells if cell.kind == "stack"]
    assert len(cells) == 1 + len(swept) + len(set(plain))
    found = [tuple(cell.settings.values()) for cell in swept]
    assert found == list(itertools.product(switch, steps, cache))
    demo = Recipe.load("demo")
    for cell in swept:
        by_name = {item.use: item.model_dump() for item in cell.accelerators}
        assert cell.uses == tuple(item.use for item in demo.accelerators)
        assert by_name["srdiffusion"]["threshold"] == cell.settings["srdiffusion.threshold"]
        assert by_name["sageattention"]["kernel"] == "emulated"
        assert by_name["teacache"]["threshold"] == cell.settings["teacache.threshold"]
        steps_of_cell = cell.settings["sampling.num_inference_steps"]
        assert cell.sampling == {"num_inference_steps": steps_of_cell}
    assert len({cell.name for cell in cells}) == len(cells)


def test_cells_of_a_sweep_are_named_after_their_values() -> None:
    overrides = [
        "srdiffusion.threshold=0.01,0.02",
        "srdiffusion.min_step=null, 3",
        "sampling.negative_prompt='a, b', 'true'",
        "srdiffusion.render={model: demo, dtype: float32}, demo",
        "teacache.retention=yes,no",
    ]
    names = [cell.name for cell in cells_of(Study.load("demo", overrides))]
    assert len(set(names)) == 33
    assert names[1] == (
        'srdiffusion.threshold=0.01, srdiffusion.min_step=null, sampling.negative_prompt="a, b", '
        'srdiffusion.render={"model": "demo", "dtype": "float32"}, teacache.retention=true'
    )
    assert names[-1] == (
        'srdiffusion.threshold=0.02, srdiffusion.min_step=3, sampling.negative_prompt="true", '
        "srdiffusion.render=demo, teacache.retention=false"
    )


def test_values_that_mean_the_same_are_one_cell() -> None:
    overrides = ["srdiffusion.min_step=null,0,3,3", "srdiffusion.threshold=0.02,0.020"]
    found = [cell.settings for cell in cells_of(Study.load("demo", overrides))][1:]
    assert found == [
        {"srdiffusion.min_step": None, "srdiffusion.threshold": 0.02},
        {"srdiffusion.min_step": 3, "srdiffusion.threshold": 0.02},
    ]


def test_a_part_of_an_option_can_be_swept() -> None:
    content = {
        "accelerators": [{"use": "srdiffusion", "render": {"model": "demo", "dtype": "bfloat16"}}],
        "study": {"sweep": {"srdiffusion.render.dtype": ["float16", "float32"]}},
    }
    cells = cells_of(Study.load(content))
    renders = [cell.accelerators[0].model_dump()["render"] for cell in cells[1:]]
    assert renders == [{"model": "demo", "dtype": name} for name in ("float16", "float32")]


def test_a_study_of_fewer_steps_alone_has_no_stack() -> None:
    for design in DESIGNS:
        cells = cells_of(study([], design=design, plain_steps=[9]))
        assert [cell.name for cell in cells] == ["bare", "9 plain steps"]
        assert full_stack(cells) is None
        assert showcase_cells(cells) == ["bare", "9 plain steps"]


@pytest.mark.parametrize(
    ("design", "most", "runs"), [("full", 8, "2^9 subsets"), ("order", 5, "6! orders")]
)
def test_designs_of_too_many_runs_are_refused_naming_how_many(
    design: str, most: int, runs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [type(f"Some{n}", (Accelerator,), {"name": f"some{n}"}) for n in range(most + 1)]
    for one in made:
        monkeypatch.setitem(installed().accelerators, one.name, one)
    names = [one.name for one in made]
    with pytest.raises(RecipeError, match=rf"study\.design: {most + 1} acc") as refused:
        study(names, design=design)
    assert f"make {runs}" in str(refused.value).replace("\n", " ")
    assert "take `pairs` or `one-at-a-time`" in str(refused.value)
    assert len(cells_of(study(names[:most], design=design))) >= 2 ** (most - 1)
    assert len(cells_of(study(names, design="pairs"))) == 3 + most + math.comb(most + 1, 2)


@given(RECIPES, st.sampled_from(DESIGNS), PLAIN)
def test_what_is_shown_are_cells_and_few_of_them(
    names: list[str], design: str, plain: list[int]
) -> None:
    cells = cells_of(study(names, design=design, plain_steps=plain))
    shown = showcase_cells(cells)
    assert shown[0] == "bare"
    assert len(set(shown)) == len(shown) <= 8
    assert set(shown) <= {cell.name for cell in cells}
    if design != "order" or len(names) == 1:
        whole = full_stack(cells)
        assert whole is not None
        assert whole.uses == tuple(names)
        assert {whole.name, *(cell.name for cell in singles(cells))} <= set(shown)
    count = len(set(plain))
    assert sum("plain" in name for name in shown) in (0, count)


def test_of_a_long_sweep_its_ends_and_some_between_are_shown() -> None:
    values = [round(0.01 * index, 2) for index in range(1, 31)]
    content = {
        "include": "demo",
        "study": {"sweep": {"srdiffusion.threshold": values}, "plain_steps": [9]},
    }
    cells = cells_of(Study.load(content))
    shown = showcase_cells(cells)
    assert len(shown) == 8
    assert shown[:2] == ["bare", "srdiffusion.threshold=0.01"]
    assert shown[-2:] == ["srdiffusion.threshold=0.3", "9 plain steps"]
    assert full_stack(cells) is None
    assert singles(cells) == []


def test_a_cell_describes_all_that_it_computes_as_json() -> None:
    cells = cells_of(Study.load("demo", ["teacache.threshold=0.1,0.2"], plain_steps="9"))
    described = [json.dumps(cell.describe(), sort_keys=True) for cell in cells]
    assert len(set(described)) == len(cells) == 4
