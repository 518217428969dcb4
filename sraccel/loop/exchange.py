"""Small messages among ranks: each says where it is, the lead compares and answers all.

They go over a gloo group of their own, on the CPU, with a time limit of its own: NCCL's watchdog
ends the process where a rank is missing, gloo raises. The group is made at the first question and
let go when the exchange is closed, which the others see at once.
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
GRACE = 1.0
"""Seconds that the others wait longer for the lead than it may wait for the slowest."""

Numbers = tuple[float, ...]
Combine = Callable[[Sequence[Numbers]], Numbers]
"""What the lead makes of the ranks' numbers, given in the order of the ranks."""
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
        timeout: seconds that the lead waits for another rank.
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
        """What the lead makes of the numbers of all ranks, the same everywhere.

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
            if self._place == 0:
                answer = self._answer(question, padded, combine)
            else:
                answer = self._answered(question, padded)
        except BaseException:
            self.close()
            raise
        return answer[: len(numbers)]

    def close(self) -> None:
        """Let go of the connections: the others' next question to this rank fails at once."""
        self._group = None

    def _open(self) -> None:
        limit = timedelta(seconds=2 * self._timeout + GRACE)
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

    def _answer(self, question: str, numbers: Numbers, combine: Combine) -> Numbers:
        """The lead's part."""
        deadline = time.monotonic() + self._timeout
        heard, complaint = [numbers], ""
        for place in range(1, len(self._members)):
            buffer = _empty()
            left = timedelta(seconds=max(deadline - time.monotonic(), 0.001))
            try:
                self._group.recv([buffer], place, 0).wait(left)
            except RuntimeError as error:
                complaint = self._missing(place, question, error)
                break
            theirs, asked = _unpacked(buffer)
            heard.append(theirs)
            complaint = complaint or self._differs(place, asked, question)
        answer = numbers if complaint else combine(heard)
        self._reply(_packed(answer, complaint), forgiving=bool(complaint))
        if complaint:
            self._refuse(complaint)
        return answer

    def _reply(self, message: torch.Tensor, forgiving: bool) -> None:
        """To all others; those that cannot be reached any more matter not if it is a complaint."""
        for place in range(1, len(self._members)):
            try:
                self._group.send([message], place, 0).wait()
            except RuntimeError as error:
                if not forgiving:
                    self._refuse(self._missing(place, "the answer to all", error))

    def _answered(self, question: str, numbers: Numbers) -> Numbers:
        """Every other rank's part."""
        reply = _empty()
        try:
            self._group.send([_packed(numbers, question)], 0, 0).wait()
            self._group.recv([reply], 0, 0).wait()
        except RuntimeError as error:
            self._refuse(self._missing(0, question, error))
        answer, complaint = _unpacked(reply)
        if complaint:
            self._refuse(complaint)
        return answer

    def _differs(self, place: int, asked: str, question: str) -> str:
        """The complaint where another rank asks something else; else nothing."""
        if asked == _shortened(question):
            return ""
        return (
            f"the ranks are not at the same place: rank {self._members[place]} is at [{asked}], "
            f"rank {self._rank} at [{question}]"
        )

    def _missing(self, place: int, question: str, error: RuntimeError) -> str:
        words = str(error).lower()
        waited = "did not answer in time" if "time" in words and "out" in words else "has left"
        return (
            f"rank {self._members[place]} {waited} when rank {self._rank} asked [{question}] "
            f"(limit {self._timeout:g} s): it failed, ended its run, or needs longer than "
            f"Ranks(timeout=...) allows; its own messages say which"
        )

    def _refuse(self, complaint: str) -> NoReturn:
        raise RanksError(complaint, rank=self._rank)


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
