"""Accelerators that answer hooks wrongly, or break off what the loop does."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch

from sraccel.plugin import (
    Accelerator,
    Call,
    Denoiser,
    ModelError,
    Run,
    Stack,
    Step,
    compose,
    hookimpl,
)


class PredictsANumber(Accelerator):
    """Answers 5 where a tensor is asked for."""

    name = "predicts-a-number"

    @hookimpl
    def predict(self, call: Call) -> Any:
        return 5


class PredictsWhatBroadcasts(Accelerator):
    """Answers a tensor of one number, which would broadcast."""

    name = "predicts-what-broadcasts"

    @hookimpl
    def predict(self, call: Call) -> torch.Tensor:
        return torch.zeros(1)


class PredictsWholeNumbers(Accelerator):
    """Answers a tensor of whole numbers, which would be cast."""

    name = "predicts-whole-numbers"

    @hookimpl
    def predict(self, call: Call) -> torch.Tensor:
        return call.history[-1].value.long()


class DecidesByANumber(Accelerator):
    """Answers a number where it is asked whether to skip."""

    name = "decides-by-a-number"

    @hookimpl
    def skip_blocks(self, call: Call) -> Any:
        return call.step.index % 2


class EndsTheProgram(Accelerator):
    """Calls `sys.exit` in a hook."""

    name = "ends-the-program"

    @hookimpl
    def run_finished(self, run: Run) -> None:
        sys.exit(0)


class ForgetsTheMark(Accelerator):
    """Has a method with a hook's name that is not marked."""

    name = "forgets-the-mark"

    def skip_blocks(self, call: Call) -> bool:
        return True


class KnowsOneModel(Accelerator):
    """Brings a model, and prepares the pipeline's own alone."""

    name = "knows-one-model"

    def __init__(self, module: Any) -> None:
        super().__init__()
        self._module = module

    @hookimpl
    def contribute_denoisers(self, stack: Stack) -> Mapping[str, Any]:
        return {"critic": self._module}

    @hookimpl
    def prepare_denoiser(self, denoiser: Denoiser) -> None:
        return {"transformer": None}[denoiser.role]


class AttachesByItself(Accelerator):
    """Attaches its stack while it is composed."""

    name = "attaches-by-itself"
    _asked = False

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        if not self._asked:
            self._asked = True
            stack.attach()


class AttachesAnother(Accelerator):
    """Attaches another stack to the pipeline in the middle of its call."""

    name = "attaches-another"

    @hookimpl
    def step_finished(self, step: Step) -> None:
        compose(step.run.stack.pipeline, [{"use": "steps", "number": 4}]).attach()


class ExpectsEveryBlock(Accelerator):
    """Takes it for granted that the blocks ran, also where another one skipped them."""

    name = "expects-every-block"
    claims_speed = False

    @hookimpl
    def run_started(self, run: Run) -> None:
        self._added: dict[str, float] = {}

    @hookimpl
    def residual_computed(self, call: Call, residual: torch.Tensor) -> None:
        self._added[call.branch] = float(residual.mean())

    @hookimpl
    def denoiser_called(self, call: Call) -> None:
        del self._added[call.branch]


class RefusesLate(Accelerator):
    """Finds out in the middle of a video what it could have known before."""

    name = "refuses-late"

    @hookimpl
    def select_denoiser(self, step: Step) -> str | None:
        if step.index == 2:
            raise ModelError("this model has no text encoder of mine: take another one")
        return None


class WaitsForStep24(Accelerator):
    """Would act from step 24 on; in fewer steps it does nothing and says nothing."""

    name = "waits-for-step-24"

    @hookimpl
    def denoiser_called(self, call: Call) -> None:
        if call.step.index >= 24:
            call.skipped(self, 0.5)


class CountsEvaluations(Accelerator):
    """Skips every other evaluation of the model, taken for a step."""

    name = "counts-evaluations"

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        return call.step.index % 2 == 1


class WritesInPlace(Accelerator):
    """Changes in place the prediction that it is to look at."""

    name = "writes-in-place"
    claims_speed = False

    @hookimpl
    def denoiser_called(self, call: Call, output: torch.Tensor) -> None:
        output.mul_(1.01)


class NotesATensor(Accelerator):
    """Notes a tensor in the report."""

    name = "notes-a-tensor"
    claims_speed = False

    @hookimpl
    def run_finished(self, run: Run) -> None:
        run.note(self, mean=torch.ones(2))
