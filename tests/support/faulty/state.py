"""Accelerators that keep what they should not: across runs, stacks, branches, models, threads."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import torch

from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    Call,
    Denoiser,
    Run,
    hookimpl,
)


class SharesItsState(Accelerator):
    """Counts calls in its class, which all stacks share."""

    name = "shares-its-state"
    count: ClassVar[int] = 0

    @hookimpl
    def run_started(self, run: Run) -> None:
        SharesItsState.count = 0

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        SharesItsState.count += 1
        return SharesItsState.count % 4 == 1


class KeepsItsCount(Accelerator):
    """Counts steps in the instance, and never begins anew."""

    name = "keeps-its-count"

    def __init__(self, options: AcceleratorOptions) -> None:
        super().__init__(options)
        self._count = 0

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        self._count += 1
        return self._count > 8


class MixesBranches(Accelerator):
    """Predicts by the last residual, whichever branch that was of."""

    name = "mixes-branches"
    _last: Any = None

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        return call.step.index % 2 == 1

    @hookimpl
    def residual_computed(self, call: Call, residual: torch.Tensor) -> None:
        self._last = residual.clone()

    @hookimpl
    def predict(self, call: Call) -> Any:
        return self._last


class UsesTheOldModels(Accelerator):
    """Keeps a residual for each branch, and uses it with the next model, too."""

    name = "uses-the-old-models"
    history_length = 0

    @hookimpl
    def run_started(self, run: Run) -> None:
        self._last: dict[str, torch.Tensor] = {}

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        return call.step.index % 3 != 0 or call.step.index == 3

    @hookimpl
    def residual_computed(self, call: Call, residual: torch.Tensor) -> None:
        self._last[call.branch] = residual.clone()

    @hookimpl
    def predict(self, call: Call) -> Any:
        return self._last.get(call.branch)


class KeepsEveryModel(Accelerator):
    """Keeps every model that it has seen in its class."""

    name = "keeps-every-model"
    claims_speed = False
    seen: ClassVar[list[Any]] = []

    @hookimpl
    def prepare_denoiser(self, denoiser: Denoiser) -> None:
        self.seen.append(denoiser.module)


class WorksInAThread(Accelerator):
    """Sets the pipeline's timesteps in a thread of its own, while a run is open."""

    name = "works-in-a-thread"

    @hookimpl
    def run_started(self, run: Run) -> None:
        if run.stack.pipeline is not None:
            work = threading.Thread(target=run.stack.pipeline.scheduler.set_timesteps, args=(4,))
            work.start()
            work.join()
