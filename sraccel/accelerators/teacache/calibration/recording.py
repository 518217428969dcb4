"""What a full run shows: how far a denoiser's input and output move from step to step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from sraccel.plugin import Accelerator, Call, Run, hookimpl, rel_l1_distance

if TYPE_CHECKING:
    import torch

Distance = float | None
"""A relative L1 distance, without unit; None where there was no step before, or it is not finite"""


class Series(BaseModel):
    """Distances of one denoiser in one guidance branch of one run, a value a step.

    Attributes:
        role: of the denoiser.
        branch: the guidance branch.
        steps: 0-based indices of the steps that it took.
        inputs: distance of each modulated input (by the adapter's name for it) to the step before.
        outputs: distance of the prediction to the step before.
        latent_shape: of the noisy latents that it was called with.
    """

    model_config = ConfigDict(extra="forbid")

    role: str
    branch: str
    steps: list[int] = []
    inputs: dict[str, list[Distance]] = {}
    outputs: list[Distance] = []
    latent_shape: list[int] = []

    def pairs(self, name: str) -> Iterator[tuple[float, float]]:
        """(distance of the input, distance of the output), where both are known."""
        for x, y in zip(self.inputs[name], self.outputs, strict=True):
            if x is not None and y is not None:
                yield x, y


@dataclass
class _Previous:
    """Tensors of a branch's last step."""

    inputs: dict[str, torch.Tensor] = field(default_factory=dict)
    output: torch.Tensor | None = None


@dataclass
class _Growing:
    """A series whose distances are still tensors: reading one would wait for the device."""

    steps: list[int]
    inputs: dict[str, list[torch.Tensor | None]]
    outputs: list[torch.Tensor | None]
    latent_shape: list[int]


class Recorder(Accelerator):
    """Records distances between consecutive steps; skips nothing and changes nothing.

    All modulated inputs of the family are recorded, so that one set of runs serves both variants.
    A branch's memory is fresh after a switch between two experts, so no distance crosses one.

    Attributes:
        series: of the run that is open, or of the last one.
        num_inference_steps: of that run.
    """

    name = "teacache-recorder"

    def __init__(self) -> None:
        super().__init__(self.Options())
        self.num_inference_steps = 0
        self.series: list[Series] = []
        self._growing: dict[tuple[str, str], _Growing] = {}

    @hookimpl
    def run_started(self, run: Run) -> None:
        self.num_inference_steps = run.num_inference_steps
        self.series, self._growing = [], {}

    @hookimpl
    def skip_blocks(self, call: Call) -> None:
        """Reads the modulated inputs where TeaCache does; always lets the blocks run."""
        adapter = call.denoiser.adapter
        previous = call.memory(self, _Previous)
        series = self._series_of(call)
        series.steps.append(call.step.index)
        for name in adapter.modulated_inputs:
            current = call.modulated_input(name)
            series.inputs[name].append(_distance(current, previous.inputs.get(name)))
            previous.inputs[name] = current

    @hookimpl
    def denoiser_called(self, call: Call, output: torch.Tensor) -> None:
        previous = call.memory(self, _Previous)
        self._series_of(call).outputs.append(_distance(output, previous.output))
        previous.output = output.clone()  # the loop may guide in place

    @hookimpl
    def run_finished(self, run: Run) -> None:
        self.series = [
            Series(
                role=role,
                branch=branch,
                steps=grown.steps,
                inputs={name: _numbers(values) for name, values in grown.inputs.items()},
                outputs=_numbers(grown.outputs),
                latent_shape=grown.latent_shape,
            )
            for (role, branch), grown in self._growing.items()
        ]
        self._growing = {}

    def _series_of(self, call: Call) -> _Growing:
        key = (call.denoiser.role, call.branch)
        if key not in self._growing:
            names = call.denoiser.adapter.modulated_inputs
            inputs: dict[str, list[torch.Tensor | None]] = {name: [] for name in names}
            self._growing[key] = _Growing([], inputs, [], list(call.model_input.shape))
        return self._growing[key]


def _distance(current: torch.Tensor, previous: torch.Tensor | None) -> torch.Tensor | None:
    if previous is None:
        return None
    distance: torch.Tensor = rel_l1_distance(current, previous)
    return distance


def _numbers(values: list[torch.Tensor | None]) -> list[Distance]:
    return [None if value is None else _finite(float(value)) for value in values]


def _finite(number: float) -> Distance:
    """None for what a step of zeros gives."""
    return number if math.isfinite(number) else None
