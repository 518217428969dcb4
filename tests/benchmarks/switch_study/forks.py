"""Sketch runs and all their switches in one go: rows that advance together under one scheduler.

The first rows are the bare runs, a prompt each. At a switch step they are copied, the scheduler's
history with them, and the copies go on with the render model. All rows are at the same step, so one
scheduler serves them all, and the render model takes all forks in one batch.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

Embeds = tuple[torch.Tensor, torch.Tensor]
"""Of the prompts and of the empty prompt, each (prompts, tokens, channels)."""


@dataclass(frozen=True)
class Pair:
    """What denoises: the large model, the small one, and how both are called.

    Attributes:
        chunk: rows of one forward.
    """

    sketch: Any
    render: Any
    guidance_scale: float
    chunk: int = 16


@dataclass
class SketchStep:
    """One step of the bare runs, before the scheduler takes it; all tensors have a row a prompt.

    Attributes:
        render: the render model's guided prediction for the same latents; None: no switch here.
    """

    index: int
    sigma: float
    latents: torch.Tensor
    cond: torch.Tensor
    uncond: torch.Tensor
    guided: torch.Tensor
    render: torch.Tensor | None = None

    @property
    def x0(self) -> torch.Tensor:
        """The clean latents that the guided prediction implies (flow matching)."""
        return self.latents - self.sigma * self.guided


@dataclass
class Clock:
    """CPU seconds and rows of the forwards of one model."""

    seconds: float = 0.0
    rows: int = 0

    @property
    def seconds_a_row(self) -> float | None:
        """None before the first."""
        return self.seconds / self.rows if self.rows else None


@dataclass
class Forks:
    """Bare runs of some prompts, and their switches.

    Attributes:
        scheduler: its timesteps are set, its history is empty.
        latents: first the bare runs, then the forks, those of one switch step together.
        embeds: of the bare runs.
    """

    pair: Pair
    scheduler: Any
    latents: torch.Tensor
    embeds: Embeds
    clocks: dict[str, Clock] = field(default_factory=lambda: {"sketch": Clock(), "render": Clock()})

    def __post_init__(self) -> None:
        self.prompts = len(self.latents)
        self.switches: list[int] = []
        self.scheduler.set_begin_index(0)

    @property
    def num_steps(self) -> int:
        """Of a whole run."""
        return len(self.scheduler.timesteps)

    @torch.no_grad()
    def run(self, switches: Collection[int] = ()) -> Iterator[SketchStep]:
        """Take every step, with a switch before each of these; yields the bare runs' steps."""
        for index, timestep in enumerate(self.scheduler.timesteps):
            fresh = index in switches
            if fresh:
                self._fork(index)
            step = self._sketch_step(index, timestep)
            guided = [step.guided]
            if self.switches:
                guided.append(self._render_forks(timestep))
                step.render = guided[-1][-self.prompts :] if fresh else None
            yield step
            self.latents = self.scheduler.step(
                torch.cat(guided), timestep, self.latents, return_dict=False
            )[0]

    def finish(self, switches: Collection[int] = ()) -> dict[int, torch.Tensor]:
        """Run to the end, by nobody watched; returns `finished`."""
        for _ in self.run(switches):
            pass
        return self.finished()

    def finished(self) -> dict[int, torch.Tensor]:
        """Latents by switch step, a row a prompt; under the number of steps: no switch."""
        bare, *forks = self.latents.split(self.prompts)
        made = dict(zip(self.switches, forks, strict=True))
        return {**made, self.num_steps: bare}

    def _fork(self, index: int) -> None:
        self.switches.append(index)
        self.latents = _with_first_rows_again(self.latents, self.prompts)
        for name, value in vars(self.scheduler).items():
            setattr(self.scheduler, name, _with_first_rows_again(value, self.prompts))

    def _sketch_step(self, index: int, timestep: torch.Tensor) -> SketchStep:
        latents = self.latents[: self.prompts]
        cond, uncond = self._branches("sketch", latents, timestep)
        guided = self._guided(cond, uncond)
        sigma = float(self.scheduler.sigmas[index])
        return SketchStep(index, sigma, latents, cond, uncond, guided)

    def _render_forks(self, timestep: torch.Tensor) -> torch.Tensor:
        return self._guided(*self._branches("render", self.latents[self.prompts :], timestep))

    def _guided(self, cond: torch.Tensor, uncond: torch.Tensor) -> torch.Tensor:
        return uncond + self.pair.guidance_scale * (cond - uncond)

    def _branches(
        self, role: str, latents: torch.Tensor, timestep: torch.Tensor
    ) -> list[torch.Tensor]:
        model, clock = getattr(self.pair, role), self.clocks[role]
        started = time.process_time()
        every = [self._forward(model, latents, timestep, embeds) for embeds in self.embeds]
        clock.seconds += time.process_time() - started
        clock.rows += len(every) * len(latents)
        return every

    def _forward(
        self, model: Any, latents: torch.Tensor, timestep: torch.Tensor, embeds: torch.Tensor
    ) -> torch.Tensor:
        """One branch, in chunks; the rows are whole sets of prompts."""
        repeated = embeds.repeat(len(latents) // self.prompts, 1, 1)
        chunks = zip(latents.split(self.pair.chunk), repeated.split(self.pair.chunk), strict=True)
        return torch.cat(
            [model(x, timestep.expand(len(x)), text, return_dict=False)[0] for x, text in chunks]
        )


def _with_first_rows_again(value: Any, rows: int) -> Any:
    """Latents, or a scheduler's history of them, with its first rows once more at the end.

    What is no history (numbers, noise levels, timesteps) is returned as it is.
    """
    if isinstance(value, list):
        return [_with_first_rows_again(each, rows) for each in value]
    if isinstance(value, torch.Tensor) and value.ndim > 1:
        return torch.cat([value, value[:rows]])
    return value
