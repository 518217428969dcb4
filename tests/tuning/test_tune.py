"""A tuning of the trained demo pair, small: its files, its interrupt, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_tuning import PROMPTS, RECIPE, SMALL, WANTED, Runs

from sraccel.demo.pair import DEMO_WEIGHTS
from sraccel.errors import ConflictError, ModelError, RecipeError
from sraccel.recipe.recipe import Recipe
from sraccel.tuning.candidate import shipped
from sraccel.tuning.goal import Goal
from sraccel.tuning.outcome import Outcome
from sraccel.tuning.store import FILE
from sraccel.tuning.survey import Survey
from sraccel.tuning.tune import tune
from sraccel.tuning.wanted import Wanted, split
from sraccel.tuning.writing import PICTURE, RESULT

pytest.importorskip("optuna", reason="takes the extra tune")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pair() -> Any:
    """The demo pair's pipeline."""
    from sraccel.testing import load_demo_pipeline

    pipe = load_demo_pipeline()
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def interrupted(pair: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder whose tuning was interrupted amid the search; labels of what was run."""
    out = tmp_path_factory.mktemp("tuning")
    runs = Runs(interrupt_after=2)
    with pytest.raises(KeyboardInterrupt):
        tune(pair, RECIPE, out, WANTED, watcher=runs, **SMALL)
    return out, runs.labels


@pytest.fixture(scope="module")
def done(pair: Any, interrupted: tuple[Path, list[str]]) -> tuple[Path, Outcome, list[str]]:
    """The same folder after the same call again."""
    runs = Runs()
    outcome = tune(pair, RECIPE, interrupted[0], WANTED, watcher=runs, **SMALL)
    return interrupted[0], outcome, runs.labels


def test_an_interrupt_keeps_what_is_there_and_the_same_call_goes_on(
    pair: Any, interrupted: tuple[Path, list[str]], done: tuple[Path, Outcome, list[str]]
) -> None:
    out, outcome, later = done
    broken_off = interrupted[1][-1]
    assert broken_off in [one.label for one in outcome.tried], "the third trial is taken up again"
    assert later.count("bare") <= len(PROMPTS) - interrupted[1].count("bare") + 1
    assert outcome.complete
    again = Runs()
    same = tune(pair, RECIPE, out, WANTED, watcher=again, **SMALL)
    assert again.labels == [], "all was measured"
    assert same.points == outcome.points


def test_the_front_is_written_as_recipes_that_load_and_say_how_they_came_about(
    done: tuple[Path, Outcome, list[str]],
) -> None:
    out, outcome, _ = done
    tuned = [one for one in outcome.points if one.kind == "tuned"]
    assert tuned
    assert (out / PICTURE).read_bytes().startswith(b"\x89PNG")
    text = (out / RESULT).read_text()
    assert Outcome.model_validate_json(text).model_dump_json(indent=1) + "\n" == text
    assert text == outcome.model_dump_json(indent=1) + "\n"
    for one in tuned:
        text = (out / f"{one.name}.yaml").read_text()
        loaded = Recipe.load(out / f"{one.name}.yaml")
        assert [item.use for item in loaded.accelerators] == [i["use"] for i in one.accelerators]
        assert loaded.model == "demo"
        for fact in (outcome.date, "Worst prompt", "weights", "Versions", "held-out", *PROMPTS):
            assert fact in text
        assert one.cliffs is not None
        assert ("# Cliff: " in text) == bool(one.cliffs)
        assert ("# Cliffs: none one notch beside" in text) != bool(one.cliffs)


def test_the_shipped_recipe_and_fewer_steps_stand_beside_the_front_on_prompts_that_chose_nothing(
    done: tuple[Path, Outcome, list[str]],
) -> None:
    _, outcome, _ = done
    assert {"shipped", "rival", "tuned"} <= {one.kind for one in outcome.points}
    assert {one.held_out for one in outcome.points} == {3}
    assert not {*outcome.tuning_prompts} & {*outcome.held_out_prompts}
    assert {one.worst.prompt for one in outcome.points} <= {*outcome.held_out_prompts}
    assert outcome.verdict in ("tuned", "shipped", "trade", "no difference")
    assert "two gives" in outcome.said or "itself the best" in outcome.said
    shipped = next(one for one in outcome.points if one.kind == "shipped")
    assert shipped.accelerators == RECIPE["accelerators"]


def test_rules_predictors_steps_and_switch_are_searched(
    done: tuple[Path, Outcome, list[str]],
) -> None:
    searched = " ".join(done[1].searched)
    for part in (
        *("steps, uniform (number", "steps, calibrated (number", "srdiffusion, fixed (switch_step"),
        *("srdiffusion, adaptive (threshold", "teacache (threshold", "schedule, budget (budget"),
        *("feedback (tolerance, max_gap", "forecast (kind, order"),
    ):
        assert part in searched


def test_a_way_is_tuned_without_the_recipes_options_that_it_excludes(pair: Any) -> None:
    best = Recipe.load("demo-best")
    space = Survey(pair, shipped(best), 50, memory=False).space()
    assert {"steps, as given", "steps, calibrated (number)"} <= {*space.tuned}
    assert "srdiffusion, adaptive (threshold)" in space.tuned
    (steps,) = [slot for slot in space.slots if slot.name == "steps"]
    calibrated = next(one for one in steps.alternatives if one.label == "steps, calibrated")
    assert calibrated.item == {"use": "steps"}, "positions exclude a number"
    known = set(json.loads((DEMO_WEIGHTS / "steps.json").read_text())["budgets"])
    assert set(map(str, calibrated.tunables["number"].choices)) == known


def test_a_folder_of_another_tuning_is_refused_with_what_differs(
    pair: Any, done: tuple[Path, Outcome, list[str]]
) -> None:
    other = Wanted(Goal("ssim", ">=", 0.5), WANTED.tuning, WANTED.held_out, 600.0)
    with pytest.raises(ConflictError, match=r"goal: psnr_db>=15 there, ssim>=0\.5 now"):
        tune(pair, RECIPE, done[0], other, **SMALL)


def test_a_candidate_that_one_prompt_shows_to_be_hopeless_is_not_run_on_all(
    pair: Any, tmp_path: Path
) -> None:
    goal = Goal("psnr_db", ">=", 150.0)
    wanted = Wanted(goal, PROMPTS[:3], PROMPTS[3:], budget=600.0, trials=2)
    outcome = tune(pair, RECIPE, tmp_path, wanted, **SMALL)
    assert {one.prompts for one in outcome.tried} == {2}
    assert outcome.verdict == "not compared"


def test_what_cannot_be_tuned_is_refused_before_anything_is_written(
    pair: Any, tmp_path: Path
) -> None:
    memory = Wanted(WANTED.goal, PROMPTS[:3], PROMPTS[3:], 60.0, memory=10**9)
    with pytest.raises(ModelError, match="CUDA"):
        tune(pair, RECIPE, tmp_path, memory, **SMALL)
    held = [{"use": "srdiffusion", "render": pair.transformer}]
    with pytest.raises(RecipeError, match="holds what no file can hold"):
        tune(pair, held, tmp_path, WANTED, **SMALL)
    with pytest.raises(RecipeError, match="3 or more that confirm"):
        split(PROMPTS[:3])
    assert not (tmp_path / FILE).exists()


def test_a_budget_that_is_spent_tries_nothing_new_and_a_larger_one_goes_further(
    pair: Any, tmp_path: Path
) -> None:
    short = Wanted(WANTED.goal, PROMPTS[:3], PROMPTS[3:], budget=0.01)
    outcome = tune(pair, RECIPE, tmp_path, short, **SMALL)
    assert [one.label for one in outcome.tried] == [shipped(Recipe.load(RECIPE)).label]
    assert {one.held_out for one in outcome.points} == {3}, "for an interval, three are run"
    more = replace(short, budget=600.0, trials=1)
    assert len(tune(pair, RECIPE, tmp_path, more, **SMALL).tried) > 1
