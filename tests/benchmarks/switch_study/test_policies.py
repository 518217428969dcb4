"""The arithmetic of policies, on made-up tables: equal costs, bounds, and what can be learned."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sraccel.accelerators.srdiffusion.switching import PaperRule
from sraccel.errors import OutputError

Load = Callable[[str], ModuleType]
SPEEDUPS = (2.0, 3.0, 4.0)


@pytest.fixture
def table(load: Load, tmp_path: Path) -> Any:
    """60 prompts, of which one feature tells all that there is to know."""
    made = load("made_table")
    return load("tables").read_table(made.write(tmp_path / "made", made.lines(60)))


@pytest.fixture
def rows(load: Load, table: Any) -> list[dict[str, Any]]:
    comparison = load("comparison")
    return comparison.compare(*table.halves(), "score", SPEEDUPS, [*load("lines").POLICIES])


def of(rows: list[dict[str, Any]], policy: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["policy"] == policy]


def test_every_policy_has_the_wanted_mean_cost_on_the_training_prompts(
    load: Load, table: Any
) -> None:
    comparison, names = load("comparison"), [*load("lines").POLICIES]
    train, _ = table.halves()
    trained = comparison.Trained(train, "score", names)
    reached = 0
    for name in names:
        for speedup in SPEEDUPS:
            mixture = trained.mixture(name, 1 / speedup)
            if mixture is not None:
                outcome = comparison.Outcome.of(mixture.of(train), "score")
                assert outcome.cost.mean() == pytest.approx(1 / speedup), name
                reached += 1
    assert reached > 2 * len(names)


def test_no_policy_on_the_full_grid_beats_the_oracle_at_its_own_cost(
    load: Load, rows: list[dict[str, Any]]
) -> None:
    others = load("lines").ON_OTHER_GRIDS
    compared = [row for row in rows if row["policy"] not in others]
    assert len(compared) > 30
    for row in compared:
        assert row["gain"][0] <= row["gap"][0] + 1e-9, row["policy"]


def test_the_fixed_step_has_no_gain_over_itself(rows: list[dict[str, Any]]) -> None:
    for row in of(rows, "fixed step"):
        assert row["gain"] == pytest.approx((0, 0, 0), abs=1e-12)


def test_a_feature_that_tells_all_is_learned_and_recovers_most_of_the_gap(
    rows: list[dict[str, Any]],
) -> None:
    overall = of(rows, "learned")[-1]
    assert overall["wanted"] is None
    assert overall["gain"][1] > 0
    assert overall["share"][0] > 0.6
    assert overall["share"][0] > of(rows, "two fixed steps, at random")[-1]["share"][0] + 0.2


def test_nothing_is_learned_from_features_that_tell_nothing(load: Load, tmp_path: Path) -> None:
    made, mixing = load("made_table"), "two fixed steps, at random"
    folder = made.write(tmp_path, made.lines(120, tells=0.0))
    train, test = load("tables").read_table(folder).halves()
    rows = load("comparison").compare(train, test, "score", SPEEDUPS, ["learned", mixing])
    learned, mixed = (of(rows, name)[-1]["share"][0] for name in ("learned", mixing))
    assert learned == pytest.approx(mixed, abs=0.15)


def test_the_hull_holds_what_no_mixture_is_better_than(load: Load) -> None:
    hull = load("lines").hull
    assert hull(np.array([0.0, 0.1, 0.9, 0.5, 1.0])) == [0, 2, 4]
    assert hull(np.array([0.0, 0.5, 0.8, 0.9])) == [0, 1, 2, 3]


def test_figures_are_the_same_every_time(load: Load, table: Any, rows: Any) -> None:
    compare = load("comparison").compare
    assert rows == compare(*table.halves(), "score", SPEEDUPS, [*load("lines").POLICIES])


def test_the_oracle_is_the_best_of_all_choices_at_its_cost(load: Load) -> None:
    oracle = load("oracle").oracle
    rng = np.random.default_rng(3)
    quality, cost = rng.random((3, 4)), np.array([0.1, 0.3, 0.6, 1.0])
    every = np.stack(np.meshgrid(*[range(4)] * 3), axis=-1).reshape(-1, 3)
    for wanted in (0.1, 0.2, 0.4, 0.7, 1.0):
        found = oracle(quality, cost, wanted)
        spent = found.mean_of(np.tile(cost, (3, 1))).mean()
        best = max(
            quality[range(3), choice].mean()
            for choice in every
            if cost[choice].mean() <= wanted + 1e-12
        )
        assert spent <= wanted + 1e-9
        assert found.mean_of(quality).mean() >= best - 1e-9


def test_the_oracle_by_the_neighbours_never_looks_at_the_value_that_it_takes(load: Load) -> None:
    around = load("oracle").from_neighbours(np.array([[1.0, 2.0, 9.0, 4.0]]))
    assert around.tolist() == [[2.0, 5.0, 3.0, 9.0]]


@pytest.mark.parametrize("threshold", [0.005, 0.02, 0.1])
@pytest.mark.parametrize("min_step", [0, 4])
def test_the_papers_rule_is_that_of_sraccel(
    load: Load, table: Any, threshold: float, min_step: int
) -> None:
    settings = load("settings")
    setting = settings.when_fall_stops(settings.feature("d"), threshold, min_step)
    for row, switch in zip(table.features["d"], setting(table).switch, strict=True):
        rule, expected = PaperRule(threshold), table.num_steps
        for step, d in enumerate(row[1:], start=1):
            if rule.hit(float(d)) and step >= min_step:
                expected = step + 1
                break
        assert switch == expected


def test_a_level_is_seen_one_step_before_the_switch_and_a_question_at_it(load: Load) -> None:
    settings = load("settings")
    assert settings.after_first(np.array([[False, True, True], [False] * 3])).tolist() == [2, 3]
    made = SimpleNamespace(
        features={"disagreement": np.array([[0.9, 0.4, 0.1], [0.9, 0.8, np.nan]])},
        num_steps=3,
        ratio=0.25,
        full=None,
        cost=lambda switch: switch / 3,
    )
    choice = settings.when_models_agree(0.5, -1)(made)
    assert choice.switch.tolist() == [1, 3]
    assert choice.cost == pytest.approx([1 / 3 + 0.25 / 3, 1 + 0.25])


def test_one_noise_level_is_another_step_on_another_grid(load: Load, tmp_path: Path) -> None:
    made, settings = load("made_table"), load("settings")
    steps = []
    for count in (20, 40):
        folder = made.write(tmp_path / str(count), made.lines(4, count), steps=count)
        found = load("tables").read_table(folder)
        switch = settings.fixed_sigma(0.7)(found).switch[0]
        assert found.sigmas[switch] <= 0.7 < found.sigmas[switch - 1]
        steps.append(switch)
    assert steps[1] == pytest.approx(2 * steps[0], abs=1)


def test_a_policy_that_was_chosen_on_one_table_is_tried_on_another(
    load: Load, tmp_path: Path
) -> None:
    made = load("made_table")
    for name, steps in (("a", 20), ("b", 30)):
        made.write(tmp_path / name, made.lines(30, steps), steps=steps)
    load("policies").main([str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "switching.json").read_text())["rows"]
    across = [row for row in rows if (row["trained"], row["tested"]) == ("a", "b")]
    assert {"learned", "fixed sigma"} <= {row["policy"] for row in across}
    assert "fewer placed steps" not in {row["policy"] for row in across}
    assert (tmp_path / "switching.png").stat().st_size > 10_000


def test_between_steps_that_were_run_quality_is_interpolated(load: Load) -> None:
    curve = load("tables").Curve(4, np.array([0, 2, 4]), {"score": np.array([[0.0, 1.0, 0.5]])})
    assert curve.at_every_step("score").tolist() == [[0.0, 0.5, 1.0, 0.75, 0.5]]


def test_shards_are_one_table_and_halves_share_no_prompt(load: Load, tmp_path: Path) -> None:
    made = load("made_table")
    every = made.lines(9)
    table = load("tables").read_table(made.write(tmp_path, every[5:], every[:5]))
    assert table.prompts.tolist() == [*range(9)]
    assert [half.prompts.tolist() for half in table.halves()] == [[0, 2, 4, 6, 8], [1, 3, 5, 7]]
    assert table.ratio == pytest.approx(0.1)
    assert table.cost(np.array([0, 20])) == pytest.approx([0.1, 1.0])


def test_journals_of_different_runs_are_refused(load: Load, tmp_path: Path) -> None:
    made, tables = load("made_table"), load("tables")
    every = made.lines(4)
    made.write(tmp_path, every[:2], every[2:])
    path = tmp_path / "prompts-1-of-2.jsonl"
    path.write_text(path.read_text().replace('"steps": 20, "sigmas"', '"steps": 21, "sigmas"'))
    with pytest.raises(OutputError, match="different runs"):
        tables.read_table(tmp_path)
    with pytest.raises(OutputError, match="another run"):
        tables.finished_prompts(tmp_path, made.header())
    with pytest.raises(OutputError, match="no prompts"):
        tables.read_table(tmp_path / "nothing")
