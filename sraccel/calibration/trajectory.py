"""A bare run as what calibrations need of it: scalar products of its latents and predictions.

All that the placing of steps and the forecasting of predictions change is linear in these, so their
errors can be computed from the matrix of products, without the tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from sraccel.errors import ConflictError, ModelError
from sraccel.loop.accelerator import Accelerator
from sraccel.loop.hookspecs import hookimpl
from sraccel.noise.space import FlowSchedule

if TYPE_CHECKING:
    import numpy as np
    import torch

    from sraccel.loop.run import Run
    from sraccel.loop.stack import Stack
    from sraccel.loop.step import Step


class Trajectory(BaseModel):
    """One bare run.

    Attributes:
        prompt, seed: what it was made from.
        sigmas: noise levels of its steps, falling; the final 0 is not among them.
        products: mean products over all values, of shape (2 * steps, 2 * steps): of the latents
            that each step started from, then of the guided predictions.
        more: what calibrations recorded beside that, by their names.
    """

    model_config = ConfigDict(extra="forbid")

    prompt: str
    seed: int
    sigmas: list[float]
    products: list[list[float]]
    more: dict[str, Any] = {}

    @property
    def steps(self) -> int:
        """How many."""
        return len(self.sigmas)

    def matrix(self) -> np.ndarray:
        """The products as an array."""
        import numpy as np

        return np.array(self.products)


class Recorder(Accelerator):
    """Keeps the latents and guided predictions of a run, and reduces them; changes nothing."""

    name = "trajectory"
    claims_speed = False

    def __init__(self) -> None:
        super().__init__()
        self._latents: list[torch.Tensor] = []
        self._predictions: list[torch.Tensor] = []
        self._sigmas: list[float] = []

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        space = stack.own.noise_space
        if space is None or not isinstance(space.schedule, FlowSchedule):
            raise ModelError(
                f"calibrating steps is for flow matching, and the noise levels of "
                f"{type(stack.own.module).__name__} are of another kind"
            )

    @hookimpl
    def run_started(self, run: Run) -> None:
        if run.num_solver_steps != run.num_inference_steps:
            raise ConflictError(
                "calibrating steps needs a scheduler that evaluates the model once a step"
            )
        self._latents, self._predictions, self._sigmas = [], [], []

    @hookimpl
    def step_finished(self, step: Step) -> None:
        assert step.latents is not None
        assert step.noise_pred is not None
        assert step.sigma is not None
        self._latents.append(_kept(step.latents))
        self._predictions.append(_kept(step.noise_pred))
        self._sigmas.append(step.sigma)

    def trajectory(self, prompt: str, seed: int) -> Trajectory:
        """The last run."""
        import torch

        rows = torch.stack([*self._latents, *self._predictions])
        products = (rows @ rows.T).double() / rows.shape[1]
        self._latents, self._predictions = [], []
        return Trajectory(prompt=prompt, seed=seed, sigmas=self._sigmas, products=products.tolist())


def _kept(tensor: Any) -> torch.Tensor:
    kept: torch.Tensor = tensor.detach().to("cpu", copy=True).float().flatten()
    return kept
