"""What is on the front, what is good enough, and what an option may become; without torch."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from sraccel.errors import RecipeError
from sraccel.loop.tunable import Tunable, declared_ways
from sraccel.tuning.candidate import Candidate
from sraccel.tuning.cliffs import neighbours
from sraccel.tuning.front import Point, front
from sraccel.tuning.goal import Goal
from sraccel.tuning.space import Alternative, Slot, Space

NUMBERS = st.floats(-100, 100, allow_nan=False)


def point(speedup: float, goodness: float) -> Point:
    return Point(Candidate(accelerators=[]), speedup, goodness, goodness)


@given(st.lists(st.builds(point, NUMBERS, NUMBERS), max_size=12))
def test_the_front_is_what_no_other_beats_and_beats_all_others(points: list[Point]) -> None:
    best = front(points)
    assert not any(one.dominates(other) for one in points for other in best)
    for one in points:
        same = [(b.speedup, b.goodness) for b in best]
        beaten = any(other.dominates(one) for other in best)
        assert beaten != ((one.speedup, one.goodness) in same)


@given(NUMBERS, NUMBERS, st.sampled_from([">=", "<="]))
def test_a_goal_is_met_on_its_own_side_of_the_limit(value: float, limit: float, sign: str) -> None:
    goal = Goal.parse(f"ssim {sign} {limit!r}")
    assert goal.met_by(value) == (value >= limit if sign == ">=" else value <= limit)
    assert Goal.parse(str(Goal("ssim", sign, 0.25))) == Goal("ssim", sign, 0.25)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("psnr_bd>=30", "did you mean 'psnr_db'"),
        ("psnr_db=30", "METRIC>=NUMBER"),
        ("psnr_db>=inf", "METRIC>=NUMBER"),
        ("psnr_db>=1e", "METRIC>=NUMBER"),
        ("", "METRIC>=NUMBER"),
    ],
)
def test_a_goal_that_means_nothing_is_refused_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        Goal.parse(text)


class Options(BaseModel):
    """As an accelerator declares them."""

    kind: Annotated[str, Tunable(choices=("a", "b"))] = "a"
    threshold: Annotated[float, Tunable(0.01, 1.0, log=True, way="adaptive")] = Field(0.1, gt=0)
    step: Annotated[int | None, Tunable(0.1, 0.5, unit="steps", way="fixed")] = None
    other: int = 3


def test_options_that_exclude_each_other_are_tuned_one_way_at_a_time() -> None:
    assert {way: set(rules) for way, rules in declared_ways(Options).items()} == {
        "adaptive": {"kind", "threshold"},
        "fixed": {"kind", "step"},
    }


@pytest.mark.parametrize("given", [{}, {"low": 1}, {"low": 2, "high": 1}, {"low": 1, "high": 2,
    "choices": (1,)}, {"low": 0, "high": 1, "log": True}])  # fmt: skip
def test_a_tunable_that_says_no_range_and_no_choices_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="Tunable"):
        Tunable(**given)


class Drawn:
    """Draws by fractions: 0 is the first choice, or the low end."""

    def __init__(self, fractions: list[float]) -> None:
        self.fractions, self.names = fractions, list[str]()

    def _next(self, name: str) -> float:
        self.names.append(name)
        return self.fractions[len(self.names) % len(self.fractions)]

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return choices[min(int(self._next(name) * len(choices)), len(choices) - 1)]

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return low + self._next(name) * (high - low)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return low + round(self._next(name) * (high - low))


SPACE = Space(
    (
        Slot("sage", 0, (Alternative("sage, as given", {"use": "sage"}),), optional=False),
        Slot("steps", 3, (Alternative("steps", {"use": "steps"}, {"number": Tunable(2, 20)}),)),
        Slot(
            "denoiser",
            1,
            (Alternative("sr", {"use": "sr"}, {"at": Tunable(0.0, 1.0, unit="steps")}),),
        ),
        Slot("rule", 2, (Alternative("tea", {"use": "tea"}, {"t": Tunable(0.1, 0.9)}),)),
        Slot("predictor", 5, (Alternative("fore", {"use": "fore"}),)),
    ),
    steps=50,
    left_out={},
)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_what_is_drawn_is_a_stack_that_makes_sense(fractions: list[float]) -> None:
    candidate = SPACE.draw(Drawn(fractions))
    uses = [item["use"] for item in candidate.accelerators]
    assert uses == [use for use in ("sage", "sr", "tea", "steps", "fore") if use in uses]
    assert "sage" in uses, "what is not optional stays"
    assert "fore" not in uses or "tea" in uses, "a predictor without a rule predicts nothing"
    options = {item["use"]: item for item in candidate.accelerators}
    steps = options.get("steps", {}).get("number", 50)
    assert "sr" not in options or 1 <= options["sr"]["at"] <= steps, "shares are of planned steps"


def test_neighbours_differ_in_one_tunable_option_by_a_notch() -> None:
    items = [{"use": "steps", "number": 5}, {"use": "tea", "t": 0.2}, {"use": "fore", "order": 2}]
    found = [(option, value, other) for option, value, other, _ in
             neighbours(Candidate(accelerators=items), SPACE)]  # fmt: skip
    assert found == [
        ("steps.number", 5, 4),
        ("steps.number", 5, 6),
        ("tea.t", 0.2, 0.18),
        ("tea.t", 0.2, 0.22),
    ]
