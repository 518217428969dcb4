"""What a tuning says of runs: which recipe is better, a cliff, too much memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_tuning import PROMPTS, made, made_bench

from sraccel.loop.tunable import Tunable
from sraccel.tuning.cliffs import Cliffs
from sraccel.tuning.confirming import Confirming
from sraccel.tuning.search import Search
from sraccel.tuning.space import Alternative, Slot, Space
from sraccel.tuning.verdict import rival_ahead, verdict_of

SPACE = Space(
    (Slot("rule", 0, (Alternative("tea", {"use": "tea"}, {"t": Tunable(0.1, 0.9)}),)),), 50, {}
)


@pytest.mark.parametrize(
    ("tuned", "shipped", "verdict", "said"),
    [
        ((1.0, 35.0), (2.0, 33.0), "tuned", "the tuned one is better"),
        ((2.0, 33.0), (1.0, 35.0), "shipped", "keep the shipped recipe"),
        ((1.0, 33.0), (2.0, 35.0), "trade", "the other one is better in quality"),
        ((2.0, 33.0), (1.0, 25.0), "tuned", "the shipped recipe misses the quality"),
        ((1.0, 25.0), (2.0, 33.0), "shipped", "the tuned one misses the quality"),
    ],
)
def test_a_tuning_says_which_is_better_on_held_out_prompts_the_tuned_or_the_shipped_recipe(
    tmp_path: Path,
    tuned: tuple[float, float],
    shipped: tuple[float, float],
    verdict: str,
    said: str,
) -> None:
    with made_bench(tmp_path, "psnr_db>=30") as bench:
        confirming = Confirming(bench, PROMPTS, SPACE)
        one, other = (
            confirming.measured(made(bench, name, *figures), name, None)
            for name, figures in (("tea", tuned), ("old", shipped))
        )
        found, words = verdict_of(confirming, one, other)
    assert found == verdict
    assert said in words
    assert f"{8 / tuned[0]:.2f}x" in words
    assert f"{8 / shipped[0]:.2f}x" in words


@pytest.mark.parametrize(
    ("tuned", "rival", "ahead"),
    [
        ((2.0, 33.0), (1.0, 31.0), True),
        ((2.0, 33.0), (4.0, 35.0), False),
        ((2.0, 33.0), (1.0, 25.0), False),
        ((1.0, 25.0), (2.0, 33.0), True),
    ],
)
def test_where_fewer_steps_alone_do_better_it_says_so(
    tmp_path: Path, tuned: tuple[float, float], rival: tuple[float, float], ahead: bool
) -> None:
    with made_bench(tmp_path, "psnr_db>=30") as bench:
        confirming = Confirming(bench, PROMPTS, SPACE)
        best = confirming.measured(made(bench, "tea", *tuned), "tuned-1", None)
        other = confirming.measured(made(bench, "steps", *rival, kind="rival"), "steps", None)
    assert best is not None
    assert other is not None
    said = rival_ahead(best, [best, other])
    assert (said is not None) == ahead
    assert said is None or f"steps, do better than tuned-1: {8 / rival[0]:.2f}x" in said


def test_what_needs_too_much_memory_is_on_no_front_and_misses_what_was_asked_for(
    tmp_path: Path,
) -> None:
    with made_bench(tmp_path, "psnr_db>=30") as bench:
        small = made(bench, "tea", 2.0, 33.0, peak_memory=10)
        large = made(bench, "old", 1.0, 35.0, peak_memory=30)
        search = Search(bench, SPACE, PROMPTS, 20, {one.key: one for one in (small, large)})
        assert [point.candidate for point in search.front(5)] == [small]
        confirming = Confirming(bench, PROMPTS, SPACE, 20)
        one, other = (confirming.measured(item, "", None) for item in (small, large))
        assert one is not None
        assert other is not None
        assert (one.meets, other.meets) == (True, False)
        found, words = verdict_of(confirming, one, other)
    assert found == "tuned"
    assert "the shipped recipe misses what is asked for" in words


def test_where_the_next_value_of_an_option_costs_a_tenth_of_the_quality_there_is_a_cliff(
    tmp_path: Path,
) -> None:
    with made_bench(tmp_path, "psnr_db>=30") as bench:
        point = made(bench, "tea", 2.0, 40.0, t=0.2)
        made(bench, "tea", 2.5, 41.0, t=0.18)
        made(bench, "tea", 1.5, 30.0, t=0.22)
        (cliff,) = Cliffs(bench, SPACE, PROMPTS[:2]).beside(point)
    assert (cliff.option, cliff.value, cliff.beside, cliff.prompts) == ("tea.t", 0.2, 0.22, 2)
    assert cliff.quality - cliff.beside_quality == pytest.approx(10)
