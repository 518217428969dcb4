"""Ranks that make one video: what they exchange, by threads that each are a rank."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st

from sraccel.errors import ConflictError, RanksError
from sraccel.loop.agreement import Agreement
from sraccel.loop.exchange import Exchange, least, of_lead, total
from sraccel.loop.ranks import Ranks

TIMEOUT = 0.8
PER_RANK = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=3)


class Circle(NamedTuple):
    """Some ranks in the threads of this process, over real gloo connections."""

    size: int
    exchanges: list[Exchange]

    def together(self, act: Callable[[Exchange, int], Any]) -> list[Any]:
        """What each rank's act returns, or the error that it raises."""

        def guarded(rank: int) -> Any:
            try:
                return act(self.exchanges[rank], rank)
            except RanksError as error:
                return error

        with ThreadPoolExecutor(self.size) as pool:
            return list(pool.map(guarded, range(self.size)))


def circle(size: int) -> Circle:
    """So many ranks."""
    store = dist.HashStore()

    def connect(rank: int) -> Callable[[timedelta], Any]:
        return lambda timeout: dist.ProcessGroupGloo(store, rank, size, timeout)

    members = tuple(range(size))
    return Circle(size, [Exchange(members, rank, TIMEOUT, connect(rank)) for rank in members])


@pytest.fixture(scope="module")
def circles() -> dict[int, Circle]:
    """Of two and of three ranks; connected once."""
    return {size: circle(size) for size in (2, 3)}


@given(numbers=PER_RANK)
@settings(max_examples=10)
def test_all_ranks_get_the_same_bits(numbers: list[float], circles: dict[int, Circle]) -> None:
    ranks = circles[len(numbers)]
    for combine, expected in (
        (of_lead, numbers[0]),
        (least, min(numbers)),
        (total, sum(numbers)),
    ):
        got = ranks.together(
            lambda exchange, rank, c=combine: exchange.ask("q", (numbers[rank], 1.0), c)
        )
        assert {answer[0] for answer in got} == {expected}


@given(
    values=st.lists(st.floats(-100, 100, width=32), min_size=6, max_size=40),
    size=st.sampled_from((2, 3)),
    dtype=st.sampled_from((torch.float32, torch.bfloat16)),
    data=st.data(),
)
@settings(max_examples=10)
def test_the_mean_of_shards_is_that_of_the_whole_however_it_is_cut(
    values: list[float],
    size: int,
    dtype: torch.dtype,
    data: st.DataObject,
    circles: dict[int, Circle],
) -> None:
    whole = torch.tensor(values, dtype=dtype)
    cut = st.integers(0, len(values))
    cuts = data.draw(st.lists(cut, min_size=size - 1, max_size=size - 1))
    shards = whole.tensor_split(sorted(cuts))
    members = Ranks(range(size), sequence=range(size))
    found = circles[size].together(
        lambda exchange, rank: Agreement(members, rank, exchange, exchange).means(
            shards[rank], whole
        )
    )
    sharded, replicated = zip(*found, strict=True)
    assert all(one.dtype == dtype and one.ndim == 0 for one in sharded)
    assert len({float(one) for one in sharded}) == len({float(one) for one in replicated}) == 1
    expected = whole.double().mean().to(dtype)
    torch.testing.assert_close(sharded[0], expected)
    torch.testing.assert_close(replicated[0], expected)


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_at_different_places_get_one_error_in_words(size: int) -> None:
    ranks = circle(size)
    last = size - 1
    found = ranks.together(
        lambda exchange, rank: exchange.ask(f"step {4 if rank == last else 5}", (), of_lead)
    )
    message = f"the ranks are not at the same place: rank {last} is at [step 4], rank 0 at [step 5]"
    assert [str(error) for error in found] == [message] * size


@pytest.mark.parametrize("missing", [0, 1, 2])
@pytest.mark.parametrize("closes", [True, False], ids=["ends", "lingers"])
def test_a_missing_rank_is_an_error_within_the_limit_on_all_others(
    missing: int, closes: bool
) -> None:
    ranks = circle(3)
    ranks.together(lambda exchange, rank: exchange.ask("step 0", (), of_lead))

    def act(exchange: Exchange, rank: int) -> Any:
        if rank == missing:
            if closes:
                exchange.close()
            else:
                time.sleep(3 * TIMEOUT)
            return 0.0
        begun = time.monotonic()
        with pytest.raises(RanksError, match=f"rank {missing} {words} when .* asked .step 1"):
            exchange.ask("step 1", (1.0,), total)
        return time.monotonic() - begun

    words = "has left" if closes else "did not answer in time"
    assert max(ranks.together(act)) < (TIMEOUT if closes else 1.7 * TIMEOUT)


def test_a_circle_that_failed_connects_anew() -> None:
    store = dist.HashStore()
    made = [0, 0]

    def connect(rank: int) -> Callable[[timedelta], Any]:
        def group(timeout: timedelta) -> Any:
            made[rank] += 1
            inner = dist.PrefixStore(str(made[rank]), store)
            return dist.ProcessGroupGloo(inner, rank, 2, timeout)

        return group

    ranks = Circle(2, [Exchange((0, 1), rank, TIMEOUT, connect(rank)) for rank in (0, 1)])
    found = ranks.together(lambda exchange, rank: exchange.ask(f"step {rank}", (), of_lead))
    assert all(isinstance(error, RanksError) for error in found)
    found = ranks.together(lambda exchange, rank: exchange.ask("step 0", (3.0 + rank,), of_lead))
    assert found == [(3.0,), (3.0,)]
    assert made == [2, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"members": (0, 0)}, "each rank once"),
        ({"members": (-1, 0)}, "counted from 0"),
        ({"members": (0, 1), "sequence": (1, 2)}, "not all among the members"),
        ({"members": (0, 1), "timeout": 0}, "more than 0 seconds"),
    ],
)
def test_ranks_that_cannot_be_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConflictError, match=message):
        Ranks(**arguments)
