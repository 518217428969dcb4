"""Evaluations of the model and steps of the solver: which timestep of a scheduler is which."""

from __future__ import annotations

from typing import Any, NamedTuple


class Evaluation(NamedTuple):
    """One evaluation of the model.

    Attributes:
        solver_step: 0-based, counted from the schedule's beginning.
        number: which evaluation of that step it is; 0-based.
    """

    solver_step: int
    number: int


def evaluations_of(scheduler: Any) -> list[Evaluation]:
    """What each of a scheduler's timesteps is.

    A solver of second order (Heun, KDPM2) evaluates the model at two timesteps a step, all but the
    last; PNDM does so in its first step, and lists the timestep of the next one twice. Schedulers
    whose order says nothing of their timesteps (SA-Solver) have one for each step.
    """
    timesteps = scheduler.timesteps
    steps = getattr(scheduler, "num_inference_steps", None) or len(timesteps)
    order = int(getattr(scheduler, "order", 1))
    if len(timesteps) <= steps:
        return [Evaluation(position, 0) for position in range(len(timesteps))]
    if order > 1:
        return [Evaluation(*divmod(position, order)) for position in range(len(timesteps))]
    return _by_repetition([float(timestep) for timestep in timesteps])


def _by_repetition(timesteps: list[float]) -> list[Evaluation]:
    """A timestep that comes again at once was first a further evaluation of the step before."""
    found: list[Evaluation] = []
    for position, timestep in enumerate(timesteps):
        again = position + 1 < len(timesteps) and timesteps[position + 1] == timestep
        if found and again:
            found.append(Evaluation(found[-1].solver_step, found[-1].number + 1))
        else:
            found.append(Evaluation(found[-1].solver_step + 1 if found else 0, 0))
    return found
