"""A pipeline's schedule, as its scheduler has it: where in it a denoiser call lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sraccel.errors import LoopError
from sraccel.loop.denoiser import denoisers_in
from sraccel.loop.denoiser_adapter import named
from sraccel.loop.evaluations import Evaluation, evaluations_of
from sraccel.noise.space import scheduled_sigma

if TYPE_CHECKING:
    from sraccel.loop.denoiser import Denoiser
    from sraccel.noise.space import NoiseSpace


class Schedule:
    """Reads the scheduler of one pipeline, and sees whether it is still the one composed with.

    Attributes:
        asked_steps: how many steps the loop asked for; planned_by: the accelerator that planned
            others. None: nobody did.
        shown_steps: how many steps the pipeline's progress bar shows; None: not known.
        by_copies: whether the pipeline steps copies of its scheduler (one for each frame, say), so
            that only the timesteps of the denoiser's calls say where one step ends.
    """

    def __init__(self, pipeline: Any, denoisers: dict[str, Denoiser]) -> None:
        self._pipeline = pipeline
        self._scheduler = pipeline.scheduler
        self._denoisers = denoisers  # by attribute of the pipeline
        self._begin = 0
        self._evaluations: list[Evaluation] = []
        self._readable = True  # whether this run's timesteps were recognised
        self._latest: Any = None  # the timestep of the latest call, where copies are stepped
        self.asked_steps: int | None = None
        self.planned_by: str | None = None
        self.shown_steps: int | None = None
        self.by_copies = False

    def timesteps_set(self) -> None:
        """The scheduler's timesteps are new, and nobody has planned others yet."""
        self._evaluations = evaluations_of(self._scheduler)
        self.asked_steps = self.planned_by = None

    def planned(self, asked_steps: int, planned_by: str) -> None:
        """An accelerator has planned other steps than were asked for."""
        self._evaluations = evaluations_of(self._scheduler)
        self.asked_steps, self.planned_by = asked_steps, planned_by

    @property
    def remaining_steps(self) -> int:
        """Steps from where the loop begins (video to video begins late) to the last timestep."""
        steps = len(self._scheduler.timesteps) - self._begin
        if self.by_copies and self.shown_steps is not None:
            return self.shown_steps
        # Some schedulers count the end as a timestep, to which no call belongs; the pipeline knows.
        # Its number may be of an earlier run, where another pipeline shares the scheduler.
        at_zero = float(self._scheduler.timesteps[-1]) == 0
        ends_at_last = at_zero and getattr(self._pipeline, "_num_timesteps", None) == steps - 1
        return steps - 1 if ends_at_last else steps

    def has_moved_on(
        self, denoiser: Denoiser, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> bool:
        """Whether a call begins a new step though the scheduler itself did not end the last one."""
        import torch

        if not self.by_copies:
            return False
        timestep = named(denoiser.module, args, kwargs).get(denoiser.adapter.timestep)
        latest, self._latest = self._latest, timestep
        if not isinstance(timestep, torch.Tensor) or not isinstance(latest, torch.Tensor):
            return False
        return timestep.shape == latest.shape and not torch.equal(timestep, latest)

    @property
    def remaining_solver_steps(self) -> int:
        """The same in steps of the solver."""
        return sum(one.number == 0 for one in self._evaluations[self._begin :])

    def solver_steps_before(self, steps: int) -> int:
        """How many steps of the solver the first so many steps of the loop are."""
        return sum(one.number == 0 for one in self._evaluations[self._begin :][:steps])

    def evaluation_at(self, position: int) -> int:
        """Which evaluation of its solver step a position is."""
        known = position < len(self._evaluations)
        return self._evaluations[position].number if known else 0

    def position_of(
        self,
        denoiser: Denoiser,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        index: int | None,
    ) -> int | None:
        """Where in the timesteps a step's call must lie; None: this call does not lie there.

        Args:
            denoiser: what the loop calls.
            args, kwargs: of its call, which hold the timestep.
            index: of the step in its run; None before the run's first call, which says where in
                the timesteps the run begins.
        """
        timestep = named(denoiser.module, args, kwargs).get(denoiser.adapter.timestep)
        if index is None:
            self._begin = self._begin_index(denoiser, timestep)
            known = denoiser.adapter.timesteps_known
            self._readable = known or self._is_at(denoiser, timestep, self._begin)
        position = self._begin + (index or 0)
        if self.by_copies:
            return min(position, len(self._scheduler.timesteps) - 1)
        if position >= len(self._scheduler.timesteps):
            return None
        if not self._readable:
            return position
        return position if self._is_at(denoiser, timestep, position) else None

    @property
    def begin(self) -> int:
        """Position in the timesteps at which the latest run began."""
        return self._begin

    def begin_at(self, position: int) -> None:
        """The run that comes has its first step here, whoever takes it."""
        self._begin = position

    def timestep_at(self, position: int) -> float:
        """The scheduler's timestep at a position."""
        return float(self._scheduler.timesteps[position])

    def sigma_at(self, position: int) -> float | None:
        """The noise level at a position; None where the scheduler does not say."""
        return scheduled_sigma(self._scheduler, self.noise_space, position)

    @property
    def noise_space(self) -> NoiseSpace | None:
        """What the timesteps mean, if that is known."""
        return next(iter(self._denoisers.values())).noise_space

    def check_target(self) -> None:
        """Raise LoopError if the pipeline's parts are no longer those that were composed."""
        replaced = [
            attribute
            for attribute, denoiser in self._denoisers.items()
            if getattr(self._pipeline, attribute) is not denoiser.module
        ]
        for attribute in replaced:
            if hasattr(getattr(self._pipeline, attribute), "_orig_mod"):
                raise LoopError(
                    f"pipeline.{attribute} was wrapped by torch.compile(...) while the stack is "
                    f"attached, so the recipe would no longer act: take it out again and use its "
                    f"`compile_repeated_blocks()` instead"
                )
        if self._pipeline.scheduler is not self._scheduler:
            replaced.append("scheduler")
        if replaced:
            raise LoopError(
                f"pipeline.{' and '.join(replaced)} was replaced while the stack is attached, so "
                f"the recipe would no longer act: detach first, replace, then compose again"
            )

    def check_whole(self) -> None:
        """The same, and that there is no denoiser which was not there (a second expert)."""
        self.check_target()
        new = [name for name in denoisers_in(self._pipeline) if name not in self._denoisers]
        if new:
            raise LoopError(
                f"pipeline.{' and '.join(new)} was set while the stack is attached, so the recipe "
                "would not act there: detach first, set it, then compose again"
            )

    def _begin_index(self, denoiser: Denoiser, timestep: Any) -> int:
        begin = getattr(self._scheduler, "begin_index", None)
        if begin is not None:
            return int(begin)
        for position in range(len(self._scheduler.timesteps)):
            if self._is_at(denoiser, timestep, position):
                return position
        return 0

    def _is_at(self, denoiser: Denoiser, timestep: Any, position: int) -> bool:
        """Whether what the model was given is the scheduler's timestep at this position."""
        import torch

        scheduled = self._scheduler.timesteps[position]
        if not isinstance(timestep, torch.Tensor):
            return timestep is None or float(timestep) == float(scheduled)
        if timestep.data_ptr() == scheduled.data_ptr():  # a view: no need to wait for the device
            return True
        tolerance = torch.finfo(timestep.dtype).eps if timestep.is_floating_point() else 0.0
        # Per-token timesteps hold 0 where a frame is given: the greatest is the loop's.
        given = float(timestep.max())
        return any(
            abs(given - expected) <= tolerance * max(abs(expected), 1.0)
            for expected in denoiser.adapter.model_timesteps(
                float(scheduled), self.sigma_at(position)
            )
        )
