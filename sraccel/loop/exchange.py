"""Small messages among ranks: each says to all others where it is, and what it found.

So every rank hears the same and makes the same of it, and each waits by itself: for all others at
once, and no longer than the time limit. Messages go over a gloo group of their own, on the CPU:
NCCL's watchdog ends the process where a rank is missing, gloo raises. The group is made at the
first question and let go when the exchange is closed, which the others see at once.
"""

from __future__ import annotations

import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from sraccel.errors import RanksError

if TYPE_CHECKING:
    import torch

NUMBERS = 8
"""Numbers in a message; a question may use fewer."""
_MESSAGE = struct.Struct(f"<{NUMBERS}d448s")
GRACE = 2.0
"""Seconds more that the first question may take: connections are made."""
LEAST = 0.001
"""Seconds that are waited for what should be there: none would be no limit."""

Numbers = tuple[float, ...]
Combine = Callable[[Sequence[Numbers]], Numbers]
"""What is made of the ranks' numbers, given in the order of the ranks; the same on each."""
_opened: Counter[tuple[int, ...]] = Counter()


def of_lead(heard: Sequence[Numbers]) -> Numbers:
    """The lead's."""
    return heard[0]


def least(heard: Sequence[Numbers]) -> Numbers:
    """The least of each."""
    return tuple(map(min, zip(*heard, strict=True)))


def total(heard: Sequence[Numbers]) -> Numbers:
    """The sum of each, in the order of the ranks."""
    return tuple(map(sum, zip(*heard, strict=True)))


class Exchange:
    """Questions that some ranks ask at the same place.

    Args:
        members: the ranks, lead first.
        rank: of this process.
        timeout: seconds that a rank waits for the others.
        connect: gives the group of these ranks when first asked something, given its timeout.
    """

    def __init__(
        self,
        members: tuple[int, ...],
        rank: int,
        timeout: float,
        connect: Callable[[timedelta], Any],
    ) -> None:
        self._members = members
        self._place = members.index(rank)
        self._timeout = timeout
        self._connect = connect
        self._group: Any = None

    def ask(self, question: str, numbers: Numbers, combine: Combine) -> Numbers:
        """What comes of the numbers of all ranks, the same everywhere.

        Args:
            question: what is asked, and where in the run: the same words on all ranks.
            numbers: of this rank; at most `NUMBERS`.

        Raises:
            RanksError: a rank asks something else, or does not ask in time.
        """
        if self._group is None:
            self._open()
        padded = (*numbers, *(0.0,) * (NUMBERS - len(numbers)))
        try:
            return combine(self._heard(question, padded))[: len(numbers)]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connections: the others' next question to this rank fails at once."""
        self._group = None

    def _open(self) -> None:
        limit = timedelta(seconds=self._timeout + GRACE)
        try:
            self._group = self._connect(limit)
        except RuntimeError as error:
            others = ", ".join(str(rank) for rank in self._members if rank != self._rank)
            raise RanksError(
                f"rank {self._rank} could not connect to the ranks {others} within "
                f"{limit.total_seconds():g} s ({_first_line(error)}): did all of them start the "
                f"run, with the same recipe?",
                rank=self._rank,
            ) from error

    @property
    def _rank(self) -> int:
        return self._members[self._place]

    def _heard(self, question: str, numbers: Numbers) -> list[Numbers]:
        """The numbers of all ranks, in their order; one deadline for all that is waited for."""
        deadline = time.monotonic() + self._timeout
        own = _packed(numbers, question)
        messages = {place: _empty() for place in range(len(self._members))}
        messages[self._place] = own
        others = [place for place in messages if place != self._place]
        works = [(place, self._begun("recv", place, messages[place])) for place in others]
        works += [(place, self._begun("send", place, own)) for place in others]
        # All of them, so that those that are left have this rank's message before it gives up.
        failed = [(place, error) for place, work in works if (error := _failure(work, deadline))]
        if failed:
            self._refuse(self._missing(*failed[0], question))
        heard, asked = zip(*(_unpacked(message) for message in messages.values()), strict=True)
        self._check_places(asked)
        return list(heard)

    def _begun(self, what: str, place: int, message: torch.Tensor) -> Any:
        """Sending or receiving, not waited for yet; the error, where the other one has left."""
        try:
            return getattr(self._group, what)([message], place, 0)
        except RuntimeError as error:
            return error

    def _check_places(self, asked: Sequence[str]) -> None:
        """Refuse ranks that ask something else than the first one, in the same words on all."""
        for place, question in enumerate(asked):
            if question != asked[0]:
                self._refuse(
                    f"the ranks are not at the same place: rank {self._members[place]} is at "
                    f"[{question}], rank {self._members[0]} at [{asked[0]}]"
                )

    def _missing(self, place: int, error: RuntimeError, question: str) -> str:
        words = str(error).lower()
        waited = "did not answer in time" if "time" in words and "out" in words else "has left"
        return (
            f"rank {self._members[place]} {waited} when rank {self._rank} asked [{question}] "
            f"(limit {self._timeout:g} s): it failed, ended its run, or needs longer than "
            f"Ranks(timeout=...) allows; its own messages say which"
        )

    def _refuse(self, complaint: str) -> NoReturn:
        raise RanksError(complaint, rank=self._rank)


def _failure(work: Any, deadline: float) -> RuntimeError | None:
    """Why something did not come to its end by then; None: it did."""
    if isinstance(work, RuntimeError):
        return work
    try:
        work.wait(timedelta(seconds=max(deadline - time.monotonic(), LEAST)))
    except RuntimeError as error:
        return error
    return None


def connected(members: tuple[int, ...], rank: int) -> Callable[[timedelta], Any]:
    """Makes a gloo group of these ranks, beside those of torch.distributed.

    Not by `new_group`: all processes would have to take part, or all to have made as many groups.
    """

    def connect(timeout: timedelta) -> Any:
        import torch.distributed as dist
        from torch.distributed.distributed_c10d import _get_default_store

        if not dist.is_initialized():
            raise RanksError(
                "torch.distributed is not initialised: call init_process_group(), under torchrun",
                rank=rank,
            )
        name = f"sraccel/{'-'.join(map(str, members))}/{_opened[members]}"
        _opened[members] += 1  # on all of them: each opens it at its first question
        store = dist.PrefixStore(name, _get_default_store())  # type: ignore[attr-defined]
        return dist.ProcessGroupGloo(store, members.index(rank), len(members), timeout)

    return connect


def _empty() -> torch.Tensor:
    import torch

    return torch.empty(_MESSAGE.size, dtype=torch.uint8)


def _packed(numbers: Numbers, words: str) -> torch.Tensor:
    import torch

    message = bytearray(_MESSAGE.pack(*numbers, _shortened(words).encode()))
    return torch.frombuffer(message, dtype=torch.uint8)


def _unpacked(message: torch.Tensor) -> tuple[Numbers, str]:
    *numbers, words = _MESSAGE.unpack(message.numpy().tobytes())
    return tuple(numbers), words.rstrip(b"\0").decode()


def _shortened(words: str) -> str:
    """As many as a message holds."""
    longest = _MESSAGE.size - 8 * NUMBERS
    return words.encode("ascii", "replace")[:longest].decode()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
