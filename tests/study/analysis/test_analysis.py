"""What is computed of a study: exact on data without noise, null where the data do not say."""

import itertools
import math
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from synthetic import LOSSES, cell, factorial, runs_of, subsets, world_of_two

from sraccel.study.analysis import analyse
from sraccel.study.analysis.resampling import Resampling, interval
from sraccel.study.cell import Cell, CellRun
from sraccel.study.results import Analysis, CellResult, Effect, Effects

Table = dict[str, float]

CLOSE = 1e-9
NAMES = "abcd"


@st.composite
def tables(draw: st.DrawFn, least: int = 1) -> tuple[str, Table]:
    """Accelerators, and a log speedup for every combination of them."""
    names = NAMES[: draw(st.integers(least, len(NAMES)))]
    cells = [" + ".join(uses) for uses in subsets(names)[1:]]
    logs = draw(st.lists(st.floats(-1, 1), min_size=len(cells), max_size=len(cells)))
    return names, {"bare": 0.0} | dict(zip(cells, logs, strict=True))


def full(runs: Sequence[CellRun], names: str, **more: Any) -> Analysis:
    """Of a full factorial."""
    return analyse(runs, factorial(names), names, design="full", **more)


def of_table(names: str, table: Mapping[str, float], blocks: int = 1) -> Analysis:
    return full(runs_of(table, blocks=blocks), names, resamples=50)


def key(uses: Sequence[str]) -> str:
    return " + ".join(sorted(uses)) or "bare"


def by_name(found: Analysis) -> dict[str, CellResult]:
    return {cell.name: cell for cell in found.cells}


def effects_of(effects: Effects) -> dict[tuple[str, ...], Effect]:
    return {tuple(effect.accelerators): effect for effect in effects.effects}


def logs_of(effect: Effect) -> tuple[float, float]:
    assert effect.average is not None
    assert effect.alone is not None
    return math.log(effect.average.value), math.log(effect.alone.value)


def _on(device: str, run: CellRun, slower: float) -> CellRun:
    """A run as it would have been on a device."""
    assert run.seconds is not None
    return run.model_copy(update={"seconds": run.seconds * slower, "device": device})


class TestExactness:
    """Without noise, every figure is what its definition says."""

    @settings(max_examples=40, deadline=None)
    @given(tables())
    def test_speedups_are_those_of_the_table(self, given: tuple[str, Table]) -> None:
        names, table = given
        for name, result in by_name(of_table(names, table, blocks=3)).items():
            assert result.speedup is not None
            assert math.log(result.speedup.value) == pytest.approx(table[name], abs=CLOSE)
            assert result.speedup.low == pytest.approx(result.speedup.high)

    @settings(max_examples=20, deadline=None)
    @given(tables(), st.floats(0.05, 20), st.integers(0, 15))
    def test_devices_of_any_speed_change_nothing(
        self, given: tuple[str, Table], slower: float, lost: int
    ) -> None:
        """Blocks lie on either of two, and one went on with a bare run of its own on the other."""
        names, table = given
        runs = []
        for number, run in enumerate(runs_of(table, blocks=3)):
            cell_number, block = divmod(number, 3)
            there = block == 1 or (block == 0 and cell_number > lost)
            runs.append(_on("b", run, slower) if there else _on("a", run, 1.0))
            if number == 0:
                runs.append(_on("b", run, slower))
        for name, result in by_name(full(runs, names, resamples=50)).items():
            assert result.speedup is not None
            assert math.log(result.speedup.value) == pytest.approx(table[name], abs=CLOSE)
            assert result.speedup.low == pytest.approx(result.speedup.high)

    @settings(max_examples=40, deadline=None)
    @given(tables())
    def test_effects_alone_add_up_to_every_cell(self, given: tuple[str, Table]) -> None:
        names, table = given
        effects = effects_of(of_table(names, table).speed)
        for uses in subsets(names)[1:]:
            parts = [logs_of(effects[part])[1] for part in subsets(uses)[1:]]
            assert sum(parts) == pytest.approx(table[key(uses)], abs=CLOSE)

    @settings(max_examples=40, deadline=None)
    @given(tables())
    def test_an_average_effect_is_the_mean_over_the_presence_of_others(
        self, given: tuple[str, Table]
    ) -> None:
        """Of one accelerator what it changes, of two by how much both differ from the sum."""
        names, table = given
        effects = effects_of(of_table(names, table).speed)
        assert list(effects) == subsets(names)[1:]  # main ones first
        for uses, effect in effects.items():
            others = subsets([name for name in names if name not in uses])
            each = [
                sum((-1) ** (len(uses) - len(on)) * table[key([*on, *off])] for on in subsets(uses))
                for off in others
            ]
            assert logs_of(effect)[0] == pytest.approx(sum(each) / len(each), abs=CLOSE)

    @settings(max_examples=20, deadline=None)
    @given(tables())
    def test_shapley_is_what_is_added_averaged_over_all_orders(
        self, given: tuple[str, Table]
    ) -> None:
        names, table = given
        orders = list(itertools.permutations(names))
        shares = of_table(names, table).speed.shapley
        assert [share.accelerator for share in shares] == list(names)
        for share in shares:
            added = [
                table[key(order[: at + 1])] - table[key(order[:at])]
                for order in orders
                for at in [order.index(share.accelerator)]
            ]
            mean = sum(added) / len(added)
            assert math.log(share.value.value) == pytest.approx(mean, abs=CLOSE)

    @settings(max_examples=20, deadline=None)
    @given(st.lists(st.floats(0.1, 1), min_size=1, max_size=4))
    def test_accelerators_that_do_not_meddle_have_index_1(self, logs: list[float]) -> None:
        names = NAMES[: len(logs)]
        table = {key(uses): sum(logs[NAMES.index(n)] for n in uses) for uses in subsets(names)}
        found = of_table(names, table, blocks=3)
        assert len(found.pairs) == math.comb(len(names), 2)
        for pair in found.pairs:
            assert pair.index.value == pytest.approx(1)
            assert pair.kept.value == pytest.approx(1)
        for effect in found.speed.effects:
            if len(effect.accelerators) > 1:
                assert logs_of(effect) == pytest.approx((0, 0), abs=CLOSE)
        assert [share.share.value for share in found.speed.shapley if share.share] == (
            pytest.approx([log / sum(logs) for log in logs])
        )


class TestCombinations:
    """What pairs predict of three or more."""

    @settings(max_examples=20, deadline=None)
    @given(tables(least=3))
    def test_what_pairs_miss_is_the_interactions_of_three_or_more(
        self, given: tuple[str, Table]
    ) -> None:
        names, table = given
        found = of_table(names, table)
        effects = effects_of(found.speed)
        assert [tuple(each.accelerators) for each in found.combinations] == [
            tuple(uses) for uses in subsets(names) if len(uses) > 2
        ]
        for each in found.combinations:
            inside = [effect for uses, effect in effects.items() if {*uses} <= {*each.accelerators}]
            missed = {
                order: sum(
                    logs_of(effect)[1] for effect in inside if len(effect.accelerators) > order
                )
                for order in (1, 2)
            }
            assert each.beside_pairs is not None
            assert each.beside_product is not None
            assert each.together is not None
            assert math.log(each.beside_pairs.value) == pytest.approx(missed[2], abs=CLOSE)
            assert math.log(each.beside_product.value) == pytest.approx(missed[1], abs=CLOSE)
            assert math.log(each.together.value) == pytest.approx(table[key(each.accelerators)])

    def test_a_study_of_pairs_predicts_its_full_stack(self) -> None:
        logs = {"a": 0.5, "b": 0.7, "c": 0.3, "a + b": 1.1, "a + c": 0.8, "b + c": 0.9}
        table = {"bare": 0.0, **logs, "a + b + c": 1.2}
        cells = [cell for cell in factorial("abc") if cell.name in table]
        (found,) = analyse(runs_of(table, blocks=3), cells, "abc", design="pairs").combinations
        assert found.from_pairs is not None
        assert math.log(found.from_pairs.value) == pytest.approx(1.1 + 0.8 + 0.9 - 1.5)

    def test_a_part_that_never_finished_is_named(self) -> None:
        table = {key(uses): 0.1 for uses in subsets("abc") if uses != ("a", "b")}
        (found,) = of_table("abc", table).combinations
        assert found.together is None
        assert found.why == "a + b was not run"


class TestPairs:
    """How two go together."""

    def pair(self, a: float, b: float, both: float) -> Any:
        table = {"bare": 0.0, "a": math.log(a), "b": math.log(b), "a + b": math.log(both)}
        return of_table("ab", table, blocks=3).pairs[0]

    def test_figures_of_a_pair_by_hand(self) -> None:
        pair = self.pair(2.0, 4.0, 4.0)
        assert pair.accelerators == ("a", "b")
        assert pair.index.value == pytest.approx(2 / 3)
        assert pair.together.value == pytest.approx(4)
        assert pair.product.value == pytest.approx(8)
        assert pair.kept.value == pytest.approx(1 / 2)
        assert pair.best_single.value == pytest.approx(1)
        assert pair.why is None
        slower = self.pair(1.2, 2.13, 1.99).best_single
        assert slower.value == pytest.approx(1.99 / 2.13)
        assert slower.high < 1

    def test_no_index_where_the_two_change_too_little_to_tell(self) -> None:
        logs = {"bare": [0.0] * 4, "a": [0.1, -0.1, 0.1, -0.1], "b": [0.0] * 4, "a + b": [0.1] * 4}
        found = full(runs_of(logs), "ab")
        (pair,) = found.pairs
        assert pair.index is None
        assert pair.why is not None
        assert pair.why.startswith("a and b together change the speed too little to tell (product ")
        assert pair.together is not None
        assert pair.kept is not None

    def test_no_index_where_one_gains_what_the_other_loses(self) -> None:
        """Seen once: 2.0 and 0.52 made 1.5 together, and the index was 7.43."""
        pair = self.pair(2.0, 0.52, 1.5)
        assert pair.index is None
        assert pair.why == (
            "a (2.00x) and b (0.52x) nearly cancel, so that a ratio to their product says nothing"
        )
        assert pair.kept.value == pytest.approx(1.5 / 1.04)
        assert self.pair(2.0, 0.8, 1.5).index is not None

    def test_no_share_of_a_speedup_that_may_be_none(self) -> None:
        logs = {"bare": [0.0] * 4, "a": [0.3] * 4, "b": [0.2] * 4, "a + b": [0.1, -0.1] * 2}
        found = full(runs_of(logs), "ab")
        assert [share.share for share in found.speed.shapley] == [None, None]
        assert found.speed.shapley[0].value.value == pytest.approx(math.exp(0.1 / 2))


def test_intervals_end_where_a_score_does() -> None:
    """Seen once: 1.212 of 1."""
    runs = runs_of({"bare": [0.0] * 3, "a": [0.1] * 3})
    for run, score in zip(runs, [1.0, 1.0, 0.4] * 2, strict=True):
        run.quality["semantic"] = score
    cells = factorial("a")
    limited = analyse(runs, cells, "a", design="full", limits={"semantic": (0.0, 1.0)})
    free = analyse(runs, cells, "a", design="full")
    assert free.cells[1].quality["semantic"].high > 1
    assert limited.cells[1].quality["semantic"].high == 1
    assert limited.cells[1].quality["semantic"].low == 0


class TestLosses:
    """Losses are differences, and add up."""

    def test_they_are_attributed_as_speed_is(self) -> None:
        quality = {"bare": 1.0, "a": 0.9, "b": 0.8, "a + b": 0.6}
        found = full(
            runs_of(
                dict.fromkeys(quality, 0.0),
                blocks=3,
                quality={name: {"ssim": value} for name, value in quality.items()},
            ),
            "ab",
        )
        losses = found.losses["ssim"]
        assert {
            uses: (e.average.value, e.alone.value)
            for uses, e in effects_of(losses).items()
            if e.average and e.alone
        } == {
            ("a",): pytest.approx((0.15, 0.1)),
            ("b",): pytest.approx((0.25, 0.2)),
            ("a", "b"): pytest.approx((0.1, 0.1)),
        }
        assert [share.value.value for share in losses.shapley] == pytest.approx([0.15, 0.25])
        assert [s.share.value for s in losses.shapley if s.share] == pytest.approx([3 / 8, 5 / 8])
        both = by_name(found)["a + b"]
        assert both.quality["ssim"].value == pytest.approx(0.6)
        assert both.loss["ssim"].value == pytest.approx(0.4)

    def test_a_named_loss_is_given_the_value_and_that_of_bare(self) -> None:
        found = full(
            runs_of({"bare": 0.0, "a": 0.1}, quality={"bare": {"size": 4.0}, "a": {"size": 12.0}}),
            "a",
            losses={"size": lambda value, bare: value / bare},
        )
        assert by_name(found)["a"].loss["size"].value == 3
        assert by_name(found)["bare"].loss["size"].value == 1

    def test_a_metric_that_a_cell_lacks_is_named_in_the_reason(self) -> None:
        found = full(runs_of({"bare": 0.0, "a": 0.1}, quality={"bare": {"ssim": 1.0}}), "a")
        assert found.losses["ssim"].shapley == []
        assert found.losses["ssim"].shapley_why == "a has no ssim in any block where bare has one"
        assert by_name(found)["a"].quality == {}


class TestIntervals:
    """Bootstrap."""

    def test_resamples_are_distributed_as_scipy_makes_them(self) -> None:
        values = np.random.default_rng(0).lognormal(size=12)
        ours = Resampling(20000, 0).mean(values, np.arange(len(values)))
        theirs = stats.bootstrap((values,), np.mean, n_resamples=20000, method="percentile")
        ends = np.quantile(ours.resampled, [0.025, 0.975])
        spread = theirs.standard_error
        assert ours.value == pytest.approx(values.mean())
        assert ours.resampled.std() == pytest.approx(spread, rel=0.03)
        assert ends == pytest.approx(theirs.confidence_interval, abs=0.06 * spread)

    @pytest.mark.parametrize("blocks", [3, 7, 8, 40])
    def test_intervals_of_a_mean_are_as_wide_as_students(self, blocks: int) -> None:
        values = np.random.default_rng(1).normal(size=blocks)
        low, high = interval(Resampling(20000, 0).mean(values, np.arange(blocks)))
        theirs = stats.t.interval(0.95, blocks - 1, values.mean(), stats.sem(values))
        assert high - low == pytest.approx(theirs[1] - theirs[0], rel=0.15)

    @pytest.mark.parametrize("blocks", [1, 2])
    def test_one_or_two_blocks_give_no_interval(self, blocks: int) -> None:
        table = {"bare": 0.0, "a": 0.7, "b": 0.5, "a + b": 1.1}
        found = of_table("ab", table, blocks=blocks)
        speedup = by_name(found)["a"].speedup
        assert speedup is not None
        assert speedup.value == pytest.approx(math.exp(0.7))
        assert (speedup.low, speedup.high) == (None, None)
        assert found.precision is None
        assert found.pairs[0].index is None
        assert "takes 3 blocks or more to tell" in (found.pairs[0].why or "")
        assert Analysis.model_validate_json(found.model_dump_json()) == found

    def test_the_same_seed_gives_the_same_analysis(self) -> None:
        runs = world_of_two().runs(0, 8)
        first, again, other = (full(runs, "ab", resamples=200, seed=seed) for seed in (1, 1, 2))
        assert first == again != other

    @settings(max_examples=10, deadline=None)
    @given(st.randoms(use_true_random=False))
    def test_the_order_of_records_does_not_matter(self, shuffler: random.Random) -> None:
        runs = [
            run.model_copy(update={"started": f"{number:05}"})
            for number, run in enumerate(world_of_two().runs(0, 9))
        ]
        shuffled = list(runs)
        shuffler.shuffle(shuffled)
        one, other = (full(each, "ab", losses=LOSSES, resamples=100) for each in (runs, shuffled))
        assert one == other

    def test_precision_is_half_of_the_widest_main_effect(self) -> None:
        runs = world_of_two().runs(0, 12)
        found = full(runs, "ab")
        averages = [effects_of(found.speed)[name,].average for name in "ab"]
        halves = [math.sqrt(each.high / each.low) - 1 for each in averages if each]
        assert found.precision == pytest.approx(max(halves))

    def test_precision_of_a_sweep_is_that_of_its_speedups(self) -> None:
        cells = [cell(), cell("a", name="a 1", settings={"a.x": 1})]
        logs = {"bare": [0.0] * 4, "a 1": [0.1, 0.2, 0.3, 0.4]}
        found = analyse(runs_of(logs), cells, "a", design="sweep")
        speedup = found.cells[1].speedup
        assert speedup is not None
        assert found.speed.effects == []
        assert found.precision == pytest.approx(math.sqrt(speedup.high / speedup.low) - 1)


class TestPairing:
    """A cell is compared to the bare run of its own block and repeat."""

    def run(self, name: str, repeat: int, seconds: float | None, **fields: Any) -> CellRun:
        outcome = "finished" if seconds is not None else "failed"
        return CellRun(
            cell=name, prompt="p", seed=0, repeat=repeat, outcome=outcome, seconds=seconds, **fields
        )

    @pytest.mark.parametrize(
        "given",
        [
            [("bare", 0, 10), ("a", 0, None), ("bare", 1, 20), ("a", 1, 10)],
            [("bare", 0, 9), ("a", 0, 9), ("bare", 1, 8), ("a", 1, 4), ("bare", 2, 9), ("a", 2, 1)],
            [("bare", 0, 10), ("a", 0, None, "1", 0), ("a", 0, 5, "2", 1)],
            [("bare", 0, 10), ("a", 0, 5, "2"), ("a", 0, 2, "1")],
        ],
        ids=["not a repeat with a failure", "the median", "the run made again", "the later one"],
    )
    def test_which_runs_count(self, given: list[tuple[Any, ...]]) -> None:
        names = ("name", "repeat", "seconds", "started", "session")
        runs = [self.run(**dict(zip(names, each, strict=False))) for each in given]
        found = full(runs, "a").cells[1].speedup
        assert found is not None
        assert found.value == pytest.approx(2)

    def test_the_first_repeat_that_has_a_quality_gives_it(self) -> None:
        runs = [
            self.run("bare", 0, 1.0, quality={"ssim": 1.0}),
            self.run("a", 0, None),
            self.run("a", 1, 1.0, quality={"ssim": 0.7}),
            self.run("a", 2, 1.0, quality={"ssim": 0.2}),
        ]
        found = full(runs, "a").cells[1]
        assert found.quality["ssim"].value == 0.7
        assert found.loss["ssim"].value == pytest.approx(0.3)

    def test_the_whole_call_is_compared_by_its_own_seconds(self) -> None:
        found = of_table("a", {"bare": 0.0, "a": math.log(2)}).cells[1]
        assert found.whole_call is not None
        assert found.whole_call.value == pytest.approx(2 / 1.5)


class TestMissing:
    """What cannot be estimated is null, and the reason names the cell."""

    TABLE = {key(uses): 0.2 * len(uses) for uses in subsets("abc")}

    def without(self, name: str, *, failed: bool, blocks: Sequence[int] = range(4)) -> Analysis:
        """The cell failed in some blocks of four, or was not run there."""
        runs = []
        for run in runs_of(self.TABLE, blocks=4):
            gone = run.cell == name and int(run.prompt.split()[1]) in blocks
            lost = {"outcome": "failed", "seconds": None, "error": "OutOfMemoryError: 80 GiB"}
            if not gone or failed:
                runs.append(run.model_copy(update=lost if gone else {}))
        return full(runs, "abc")

    def test_a_cell_that_never_finished(self) -> None:
        found = self.without("a + b", failed=True)
        effects = effects_of(found.speed)
        assert effects["a",].average is None
        assert effects["a",].alone is not None
        assert effects["a",].why == "a + b never finished"
        assert effects["a", "b"].alone is None
        assert effects["a", "c"].alone is not None
        assert found.speed.shapley == []
        assert found.speed.shapley_why == "a + b never finished"
        together, others = found.pairs[0], found.pairs[1:]
        assert (together.index, together.together) == (None, None)
        assert together.why == "a + b never finished"
        assert all(pair.index is not None for pair in others)
        result = by_name(found)["a + b"]
        assert (result.speedup, result.blocks, result.failed) == (None, 0, 4)
        assert result.errors == ["OutOfMemoryError: 80 GiB"]

    def test_precision_is_then_that_of_effects_alone(self) -> None:
        assert self.without("a + b", failed=True).precision == pytest.approx(0, abs=CLOSE)
        assert self.without("a", failed=True).precision is not None

    def test_a_cell_that_was_not_run(self) -> None:
        found = self.without("a + b", failed=False)
        assert found.speed.shapley_why == "a + b was not run"
        assert by_name(found)["a + b"].blocks == 0

    def test_blocks_in_which_a_cell_failed_are_left_out_of_what_needs_it(self) -> None:
        logs = {name: [log] * 4 for name, log in self.TABLE.items()}
        logs["a"] = [0.9, 0.2, 0.2, 0.2]
        runs = [
            run.model_copy(update={"outcome": "failed", "seconds": None})
            if (run.cell, run.prompt) == ("a + b + c", "prompt 0")
            else run
            for run in runs_of(logs)
        ]
        effect = effects_of(full(runs, "abc").speed)["a",]
        assert logs_of(effect) == pytest.approx((0.2, (0.9 + 3 * 0.2) / 4))
        assert effect.why is None

    def test_cells_that_never_finished_in_the_same_block(self) -> None:
        runs = [
            run
            for run in runs_of({"bare": 0.0, "a": 0.1, "b": 0.1, "a + b": 0.2}, blocks=2)
            if (run.cell, run.prompt) not in {("a", "prompt 0"), ("b", "prompt 1")}
        ]
        found = full(runs, "ab")
        assert found.pairs[0].why == "in no block did all of these finish: a, b, a + b"

    def test_cells_that_the_design_does_not_have(self) -> None:
        cells = [cell(uses) for uses in subsets("abc") if len(uses) < 3]
        found = analyse(runs_of(self.TABLE, blocks=4), cells, "abc", design="pairs")
        effects = effects_of(found.speed)
        assert list(effects) == subsets("abc")[1:-1]
        assert effects["a", "b"].average is None
        assert effects["a", "b"].alone is not None
        assert effects["a", "b"].why == "the study has no cell a + b + c"
        assert found.speed.shapley_why == "the study has no cell a + b + c"
        assert len(found.pairs) == 3
        assert found.precision is not None

    def test_a_bare_pipeline_that_never_finished(self) -> None:
        found = full(runs_of({"a": 0.1}, blocks=2), "a")
        assert found.blocks == 0
        assert found.cells[1].blocks == 2
        assert found.cells[1].speedup is None
        assert found.speed.effects[0].why == "bare was not run"

    def test_reasons_stay_short(self) -> None:
        runs = runs_of({"bare": 0.0}, blocks=2)
        found = full(runs, "abcd")
        assert found.speed.shapley_why == (
            "a was not run; b was not run; c was not run; and 12 more like these"
        )

    def test_no_runs_at_all(self) -> None:
        found = full([], "ab")
        assert found.blocks == 0
        assert found.precision is None
        assert found.speed.effects[0].why == "bare was not run"
        assert Analysis.model_validate_json(found.model_dump_json()) == found


def test_sixteen_cells_in_24_blocks_take_seconds() -> None:
    """Also where every cell is missing from other blocks."""
    rng = np.random.default_rng(0)
    logs = {key(uses): list(rng.normal(len(uses), 0.1, 24)) for uses in subsets("abcd")}
    quality = {name: dict.fromkeys(["psnr_db", "ssim", "semantic"], 0.9) for name in logs}
    runs = [run for run in runs_of(logs, quality=quality) if rng.random() < 0.97]
    started = time.perf_counter()
    found = full(runs, "abcd")
    assert time.perf_counter() - started < 3
    assert found.speed.shapley_why is None


class TestWhichCellsAreOfTheFactorial:
    """Those with the recipe's order, options and call."""

    @pytest.mark.parametrize(
        "other",
        [
            cell("ab", name="other", settings={"a.x": 1}),
            cell("ab", name="other", sampling={"num_inference_steps": 5}),
            cell("ba", name="other"),
            cell(name="other", kind="plain_steps", sampling={"num_inference_steps": 5}),
        ],
        ids=["setting", "call", "order", "steps"],
    )
    def test_others_have_a_speedup_and_no_part_in_effects(self, other: Cell) -> None:
        table = {"bare": 0.0, "a": 0.3, "b": 0.2, "a + b": 0.5, "other": 2.0}
        cells = [other, *factorial("ab")]
        found = analyse(runs_of(table, blocks=3), cells, "ab", design="full")
        assert [result.name for result in found.cells] == [each.name for each in cells]
        assert by_name(found)["other"].speedup is not None
        assert logs_of(effects_of(found.speed)["a", "b"]) == pytest.approx((0, 0), abs=CLOSE)

    def test_runs_of_unknown_cells_are_left_out(self) -> None:
        found = full(runs_of({"bare": 0.0, "a": 0.3, "gone": 1.0}), "a")
        assert list(by_name(found)) == ["bare", "a"]


class TestFront:
    """Which cells are beaten."""

    def front(self, logs: Mapping[str, Any], ssim: Mapping[str, float]) -> dict[str, float]:
        quality = {name: {"ssim": value} for name, value in ssim.items()}
        runs = runs_of(logs, blocks=4, quality=quality)
        found = full(runs, "ab")
        return {cell.name: cell.front["ssim"] for cell in found.cells if cell.front}

    @pytest.mark.parametrize(
        ("logs", "ssim", "on_it"),
        [
            ([0.0, 0.5, 0.3, 0.9], [1.0, 0.9, 0.8, 0.7], [1, 1, 0, 1]),
            ([0.0, 0.5, 0.5, 0.5], [1.0, 0.9, 0.9, 0.7], [1, 1, 1, 0]),  # equals do not beat
        ],
    )
    def test_beaten_cells_are_never_on_it_and_clear_winners_always(
        self, logs: list[float], ssim: list[float], on_it: list[int]
    ) -> None:
        names = [each.name for each in factorial("ab")]
        found = self.front(*(dict(zip(names, given, strict=True)) for given in (logs, ssim)))
        assert found == dict(zip(names, on_it, strict=True))

    def test_close_cells_share_it_by_how_sure_it_is(self) -> None:
        found = self.front(
            {"bare": 0.0, "a": [0.4, 0.6, 0.4, 0.6], "b": [0.6, 0.4, 0.6, 0.4], "a + b": 0.0},
            {"bare": 1.0, "a": 0.9, "b": 0.9, "a + b": 0.0},
        )
        assert 0.5 < found["a"] < 0.8
        assert found["a"] == pytest.approx(found["b"], abs=0.05)

    def test_cells_that_seldom_finished_are_left_out(self) -> None:
        found = self.front(
            {"bare": 0.0, "a": 0.5, "a + b": [0.9]},
            {"bare": 1.0, "a": 0.9, "a + b": 1.0},
        )
        assert found == {"bare": 1, "a": 1}


class TestOrders:
    """Whether one had better stand before another."""

    ORDERS = list(itertools.permutations("abc"))
    LOGS = dict(zip(ORDERS, [0.3, 0.1, 0.4, 0.15, 0.9, 0.26], strict=True))

    def found(self, gone: Sequence[str] = (), design: str = "order") -> Analysis:
        cells = [cell(), *map(cell, self.ORDERS)]
        logs = {each.name: self.LOGS.get(each.uses, 0.0) for each in cells}
        runs = [run for run in runs_of(logs, blocks=3) if run.cell not in gone]
        return analyse(runs, cells, "abc", design=design)

    def test_the_factor_is_between_orders_with_the_first_before_and_after(self) -> None:
        for order in self.found().orders:
            ways: dict[bool, list[float]] = {True: [], False: []}
            for uses, log in self.LOGS.items():
                ways[uses.index(order.first) < uses.index(order.second)].append(log)
            assert order.factor is not None
            assert math.log(order.factor.value) == pytest.approx(
                (sum(ways[True]) - sum(ways[False])) / 3
            )

    def test_an_order_whose_exchange_was_refused_does_not_count(self) -> None:
        cells = [cell(), cell("abc"), cell("bac"), cell("acb")]
        logs = {each.name: self.LOGS.get(each.uses, 0.0) for each in cells}
        found = analyse(runs_of(logs), cells, "abc", design="order").orders
        factors = [order.factor and math.log(order.factor.value) for order in found]
        assert factors == [pytest.approx(0.3 - 0.4), None, pytest.approx(0.3 - 0.1)]
        assert found[1].why == "no two orders of the study differ by a and c alone"

    def test_an_order_that_never_finished_is_named(self) -> None:
        (order, *_) = self.found(gone=["c + b + a"]).orders
        assert order.factor is None
        assert order.why == "c + b + a was not run"

    def test_no_other_design_compares_orders(self) -> None:
        found = self.found(design="cells")
        assert found.orders == []
        assert found.speed.effects == []
        assert found.precision is not None


class TestCells:
    """What a cell's own runs say."""

    def results(self, **switches: Sequence[int | None]) -> dict[str, CellResult]:
        runs = [
            CellRun(
                cell=name.replace("_", " + "), prompt="p", seed=seed, seconds=1.0, switch_step=step
            )
            for name, steps in {"bare": [None], **switches}.items()
            for seed, step in enumerate(steps)
        ]
        return by_name(full(runs, "ab"))

    def test_switches(self) -> None:
        found = self.results(a=[8, 10, None], b=[None, None], a_b=[None])
        switch = found["a"].switch
        assert switch is not None
        assert switch.model_dump() == {"median": 9.0, "least": 8, "most": 10, "never": 1}
        both = found["a + b"].switch
        assert both is not None
        assert both.model_dump() == {"median": None, "least": None, "most": None, "never": 1}
        assert found["b"].switch is None
        assert found["bare"].switch is None

    def test_an_accelerator_beside_one_that_switches_does_not(self) -> None:
        found = self.results(a=[8], b=[None], a_b=[9])
        assert found["a + b"].switch is not None
        assert found["b"].switch is None

    def test_nothing_switches_where_nothing_switched(self) -> None:
        found = self.results(a=[None], b=[None], a_b=[None])
        assert {result.switch for result in found.values()} == {None}

    def test_counts_errors_and_shares(self) -> None:
        common: dict[str, Any] = {"cell": "a", "prompt": "p"}
        runs = [
            CellRun(**common, seed=0, seconds=4.0, calls=10, reused_calls=4),
            CellRun(**common, seed=0, repeat=1, seconds=2.0, calls=10, reused_calls=5),
            CellRun(**common, seed=1, seconds=3.0),
            CellRun(**common, seed=3, outcome="failed", error="A: 1", started="2"),
            CellRun(**common, seed=4, outcome="failed", error="B: 2", started="3"),
            CellRun(**common, seed=2, outcome="failed", error="B: 2", started="1"),
        ]
        found = full(runs, "a").cells[1]
        assert (found.blocks, found.finished, found.failed) == (2, 3, 3)
        assert found.errors == ["B: 2", "A: 1"]
        assert found.seconds == 3
        assert found.reused == 9 / 20
        assert found.accelerators == ["a"]
        assert found.num_inference_steps is None


def test_runs_of_a_block_that_was_stopped_are_compared_within_their_session() -> None:
    """The machine of the second session is three times as slow."""

    def run(cell_name: str, seconds: float, session: int) -> CellRun:
        return CellRun(cell=cell_name, prompt="p", seed=0, seconds=seconds, session=session)

    runs = [run("bare", 6, 1), run("a", 3, 1), run("bare", 18, 2), run("b", 6, 2)]
    found = by_name(full(runs, "ab", resamples=50))
    assert found["a"].speedup.value == pytest.approx(2)
    assert found["b"].speedup.value == pytest.approx(3)
