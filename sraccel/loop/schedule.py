"""A pipeline's schedule, as its scheduler has it: where in it a denoiser call lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sraccel.errors import LoopError
from sraccel.noise.space import scheduled_sigma

if TYPE_CHECKING:
    from sraccel.loop.denoiser import Denoiser


class Schedule:
    """Reads the scheduler of one pipeline, and sees whether it is still the one composed with."""

    def __init__(self, pipeline: Any, denoisers: dict[str, Denoiser]) -> None:
        self._pipeline = pipeline
        self._scheduler = pipeline.scheduler
        self._denoisers = denoisers  # by attribute of the pipeline
        self._begin = 0

    @property
    def remaining_steps(self) -> int:
        """Steps from where the loop begins (video to video begins late) to the last timestep."""
        return len(self._scheduler.timesteps) - self._begin

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
        timestep = kwargs.get(denoiser.adapter.timestep, args[1] if len(args) > 1 else None)
        if index is None:
            self._begin = self._begin_index(denoiser, timestep)
        position = self._begin + (index or 0)
        if position >= len(self._scheduler.timesteps):
            return None
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
        space = next(iter(self._denoisers.values())).noise_space
        return scheduled_sigma(self._scheduler, space, position)

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
        expected = denoiser.adapter.model_timestep(float(scheduled))
        tolerance = torch.finfo(timestep.dtype).eps if timestep.is_floating_point() else 0.0
        # Per-token timesteps hold 0 where a frame is given: the greatest is the loop's.
        return abs(float(timestep.max()) - expected) <= tolerance * max(abs(expected), 1.0)
