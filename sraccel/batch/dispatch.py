"""A batch on Ray: a pool of workers for each of two stages, and runs handed over between them.

Two pools of actors with fixed sizes. This process gives out prompts, one to a worker at a time, and
alone writes the manifest; runs go from worker to worker through Ray's object store and never come
by here. No more prompts are begun than the render pool can take soon: what waits between the pools
is bounded by their sizes.

What was under way on a worker that dies is begun again on another one, with what had been handed
over to it; where that lay on a node that is lost, the prompt is sketched again.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sraccel.batch.pools import Pools, Shares, Sizing
from sraccel.batch.stages import Outcome, RenderStage, SketchStage, Stage, Work
from sraccel.errors import ConflictError

if TYPE_CHECKING:
    from sraccel.batch.folder import BatchFolder
    from sraccel.batch.local import PromptReport
    from sraccel.batch.prompts_file import PromptJob
    from sraccel.cluster import Cluster

MOST_DEATHS = 3
"""A prompt under which so many workers died is taken to have killed them."""
START_SECONDS = 900.0
"""So long nothing but starting workers may be under way: loading models from a slow disk."""

SizesReport = Callable[[Pools], object]
"""Hears of the sizes, when they are known."""


@dataclass
class Pool:
    """The workers of one stage.

    Attributes:
        stage: what they do.
        size: how many there are to be.
        idle: those that have nothing to do.
        alive: how many there are, those that load their models included.
        deaths: of workers that were loading them, in a row.
        seconds: that the stage took for each prompt so far, but for those that failed.
    """

    stage: type[Stage]
    size: int
    idle: list[Any] = field(default_factory=list)
    alive: int = 0
    deaths: int = 0
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Task:
    """What a worker is at.

    Attributes:
        job: the prompt; None: it loads its models.
        run: what was handed over, a reference into the object store.
    """

    pool: Pool
    worker: Any
    job: PromptJob | None = None
    run: Any = None


class Dispatcher:
    """Gives prompts to workers until none is left.

    Args:
        cluster: where workers live.
        work: what they need to know.
        pools: sizes; None: as `Sizing` has them, with a worker for each device.
        jobs: what is left to do.
        folder: where it is taken down.
        forecast: parts of a prompt's work in either stage, for `Sizing`.
        report_prompt: hears of each prompt that ended.
        report_sizes: hears of the sizes.

    Raises:
        ConflictError: the cluster has too few devices.
    """

    def __init__(
        self,
        cluster: Cluster,
        work: Work,
        pools: Pools | None,
        jobs: Sequence[PromptJob],
        folder: BatchFolder,
        *,
        forecast: Callable[[], Shares] = lambda: (1.0, 1.0),
        report_prompt: PromptReport | None = None,
        report_sizes: SizesReport | None = None,
    ) -> None:
        self._cluster, self._ray, self._work = cluster, cluster.ray, work
        self._folder, self._report, self._report_sizes = folder, report_prompt, report_sizes
        self._devices = cluster.devices(work.device)
        self._check_devices(pools)
        self._sizing = None
        if pools is None and work.divided:
            self._sizing = Sizing(self._devices, len(jobs), forecast)
            pools = self._sizing.now
        sizes = (pools or Pools(self._devices)).limited(len(jobs))
        self._sketch = Pool(SketchStage, sizes.sketch)
        self._render = Pool(RenderStage, sizes.render if work.divided else 0)
        self._waiting, self._handed_over = deque(jobs), deque[Task]()
        self._tasks: dict[Any, Task] = {}
        self._deaths: Counter[str] = Counter()
        self._left, self._failures = len(jobs), 0
        if self._sizing is not None and self._sizing.settled:
            self._take_sizes(sizes)

    def _check_devices(self, pools: Pools | None) -> None:
        sizes = pools or Pools()
        wanted = sizes.sketch + (sizes.render if self._work.divided else 0)
        if self._work.device == "cuda" and wanted > self._devices:
            raise ConflictError(
                f"{wanted} workers take a GPU each, and the cluster has {self._devices}: give "
                f"smaller --workers, or take --executor local"
            )

    def run(self) -> int:
        """Make the videos; returns how many prompts failed.

        Raises:
            OutputError: a video or the manifest cannot be written; what is finished is kept.
            SraccelError: no worker can load its models, or none starts.
        """
        try:
            while self._left:
                self._start_workers()
                self._give_out()
                self._take_in(self._next_end())
        finally:
            for task in self._tasks.values():
                self._ray.kill(task.worker)
            for pool in (self._sketch, self._render):
                for worker in pool.idle:
                    self._ray.kill(worker)
        return self._failures

    @property
    def seconds(self) -> tuple[list[float], list[float]]:
        """That each prompt so far took to be sketched, and to be rendered."""
        return self._sketch.seconds, self._render.seconds

    def _start_workers(self) -> None:
        for pool in (self._sketch, self._render):
            while pool.alive < pool.size:
                worker = self._cluster.actor(pool.stage, self._work.device, self._work)
                self._tasks[worker.load.remote()] = Task(pool, worker)
                pool.alive += 1

    def _give_out(self) -> None:
        while self._handed_over and self._render.idle:
            self._render_next(self._handed_over.popleft())
        while self._waiting and self._sketch.idle and self._has_room():
            worker, job = self._sketch.idle.pop(), self._waiting.popleft()
            outcome, run = worker.make.options(num_returns=2).remote(job)
            self._tasks[outcome] = Task(self._sketch, worker, job, run)

    def _render_next(self, task: Task) -> None:
        worker = self._render.idle.pop()
        outcome = worker.make.remote(task.job, task.run)
        self._tasks[outcome] = Task(self._render, worker, task.job, task.run)

    def _has_room(self) -> bool:
        """Whether another run may be begun: at most one waits for each worker."""
        sketching = sum(task.pool is self._sketch and task.job is not None for task in self._busy)
        return sketching + len(self._handed_over) < self._sketch.size + self._render.size

    @property
    def _busy(self) -> list[Task]:
        return [task for task in self._tasks.values() if task.job is not None]

    def _next_end(self) -> Any:
        """What has ended first, of all that is under way."""
        limit = None if self._busy else START_SECONDS
        ended, _ = self._ray.wait(list(self._tasks), num_returns=1, timeout=limit)
        if not ended:
            raise ConflictError(
                f"no worker has started in {START_SECONDS:.0f} seconds: `ray status` shows what "
                f"the cluster lacks; the same command goes on"
            )
        return ended[0]

    def _take_in(self, ended: Any) -> None:
        task, errors = self._tasks.pop(ended), self._ray.exceptions
        try:
            outcome: Outcome | None = self._ray.get(ended)
        except (errors.RayActorError, errors.WorkerCrashedError) as error:
            self._died(task, error)
            return
        except errors.RayError as error:
            task.pool.idle.append(task.worker)
            if not isinstance(error, errors.ObjectLostError):
                raise getattr(error, "cause", error) from error
            assert task.job is not None
            self._waiting.appendleft(task.job)  # what was handed over was lost with its node
            return
        task.pool.idle.append(task.worker)
        task.pool.deaths = 0
        if outcome is not None:
            self._go_on(task, outcome)

    def _go_on(self, task: Task, outcome: Outcome) -> None:
        """A stage has done what it can for a prompt."""
        assert task.job is not None
        if outcome.status != "failed":
            task.pool.seconds.append(outcome.seconds)
        if outcome.status == "handed over":
            self._handed_over.append(task)
        elif outcome.status == "finished":
            self._folder.take_in(task.job)
            self._ended(task.job)
        else:
            self._folder.failed(task.job, outcome.reason)
            self._ended(task.job, outcome.reason)
        whole = outcome.status == "finished" and task.pool is self._sketch
        if self._sizing is not None and self._sizing.hear(*self.seconds, whole):
            self._take_sizes(self._sizing.now.limited(max(1, self._left)))

    def _ended(self, job: PromptJob, reason: str = "") -> None:
        self._left -= 1
        self._failures += bool(reason)
        if self._report is not None:
            self._report(job, reason)

    def _take_sizes(self, pools: Pools) -> None:
        self._sketch.size, self._render.size = pools.sketch, pools.render
        if self._report_sizes is not None:
            self._report_sizes(pools)

    def _died(self, task: Task, error: Exception) -> None:
        """A worker is gone: the next round starts another one; its prompt is begun again."""
        self._ray.kill(task.worker)  # it may only be out of reach
        task.pool.alive -= 1
        if task.job is not None:
            self._again(task, task.job, f"its worker died: {error}")
            return
        task.pool.deaths += 1
        if task.pool.deaths >= MOST_DEATHS:
            raise ConflictError(
                f"{MOST_DEATHS} workers died while they loaded their models (too little memory?); "
                f"the same command goes on: {error}"
            ) from error

    def _again(self, task: Task, job: PromptJob, why: str) -> None:
        """Have a stage done again, unless the files are there, or it has cost too many workers."""
        self._deaths[job.id] += 1
        if not self._folder.left([job]):
            self._ended(job)
        elif self._deaths[job.id] >= MOST_DEATHS:
            reason = f"given up after {MOST_DEATHS} tries: {why}"
            self._folder.failed(job, reason)
            self._ended(job, reason)
        elif task.pool is self._render:
            self._handed_over.appendleft(task)  # to another one
        else:
            self._waiting.appendleft(job)
