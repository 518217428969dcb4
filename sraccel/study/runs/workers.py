"""Workers of a Ray cluster that make runs: a line of them on one device, lines beside each other.

Workers write nothing: runs come back here, one at a time, and the process that gave them out keeps
them. What a line compares shares a device, as long as that lives.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sraccel.errors import ConflictError

if TYPE_CHECKING:
    from sraccel.cluster import Cluster

START_SECONDS = 900.0
"""For workers to load and compose everything; then it is said what the cluster may lack."""
MOST_DEATHS = 2
"""A run under which so many workers died counts as failed."""
Wanted = TypeVar("Wanted", bound=Hashable)
"""A run that is to be made."""


class Workers(Generic[Wanted]):
    """Processes of one class, each with a device of its own; `attempt` makes a run there.

    Args:
        cluster: where they live.
        kind: their class.
        device: `cuda` (a GPU each) or `cpu`.
        count: how many.
        work: what its constructor takes.
    """

    def __init__(self, cluster: Cluster, kind: type, device: str, count: int, work: Any) -> None:
        self._ray = cluster.ray
        self._workers = [cluster.actor(kind, device, work) for _ in range(count)]
        self._idle = list(self._workers)
        self._deaths: Counter[Wanted] = Counter()

    def __len__(self) -> int:
        """How many there were."""
        return len(self._workers)

    def close(self) -> None:
        """End them."""
        for worker in self._workers:
            self._ray.kill(worker)

    def all(self, method: str, *arguments: Any) -> list[Any]:
        """What a method says on each worker.

        Raises:
            ConflictError: they do not start, or one died; else what the method raises.
        """
        errors = self._ray.exceptions
        asked = [getattr(worker, method).remote(*arguments) for worker in self._idle]
        try:
            return list(self._ray.get(asked, timeout=START_SECONDS))
        except errors.GetTimeoutError as error:
            raise ConflictError(
                f"not all of {len(asked)} workers were ready in {START_SECONDS:.0f} seconds: "
                f"`ray status` shows what the cluster lacks; ask for fewer --workers"
            ) from error
        except errors.RayActorError as error:
            raise ConflictError(
                f"a worker died before its first run (too little memory?): {error}"
            ) from error
        except errors.RayTaskError as error:
            raise error.cause from error

    def make(
        self,
        lines: Iterable[Iterator[Wanted]],
        take: Callable[[Wanted, Any], object],
        again: Callable[[Wanted, Iterator[Wanted]], Iterator[Wanted]],
    ) -> None:
        """Make the runs of lines, as many lines at a time as there are workers.

        Args:
            lines: the runs of each, in order; the next one is asked for when the one before was
                taken, the next line when a worker is idle.
            take: keeps what came of a run; the text of an error where it cost too many workers.
            again: a line whose device is lost, from the run on that was under way there.

        Raises:
            ConflictError: all workers have died; else what `attempt` raises.
        """
        begun: deque[Iterator[Wanted]] = deque()
        waiting = iter(lines)
        under_way: dict[Any, tuple[Any, Iterator[Wanted], Wanted]] = {}
        errors = self._ray.exceptions
        while self._give_out(begun, waiting, under_way):
            (ended,), _ = self._ray.wait(list(under_way), num_returns=1)
            worker, line, wanted = under_way.pop(ended)
            try:
                run = self._ray.get(ended)
            except errors.RayActorError as error:
                self._ray.kill(worker)  # it may only be out of reach
                self._deaths[wanted] += 1
                begun.append(again(wanted, line))
                if self._deaths[wanted] >= MOST_DEATHS:
                    take(wanted, f"its worker died {MOST_DEATHS} times: {error}")
                self._check_alive(under_way, error)
            except errors.RayTaskError as error:
                raise error.cause from error
            else:
                self._idle.append(worker)
                take(wanted, run)
                begun.appendleft(line)  # on the worker that is idle now: the same one

    def _give_out(
        self,
        begun: deque[Iterator[Wanted]],
        waiting: Iterator[Iterator[Wanted]],
        under_way: dict[Any, tuple[Any, Iterator[Wanted], Wanted]],
    ) -> bool:
        """Give each idle worker a run; whether anything is under way."""
        while self._idle:
            line = begun.popleft() if begun else next(waiting, None)
            if line is None:
                break
            wanted = next(line, None)
            if wanted is not None:
                worker = self._idle.pop()  # the one that was at this line
                under_way[worker.attempt.remote(wanted)] = worker, line, wanted
        return bool(under_way)

    def _check_alive(self, under_way: Mapping[Any, Any], error: Exception) -> None:
        if not self._idle and not under_way:
            raise ConflictError(
                f"all workers have died; what was run is kept, and the same command goes on: "
                f"{error}"
            ) from error
