"""Accelerators that each do one thing wrong; `faults` has what the check says of them.

Most are the faults that were once found, in a plugin's form.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MethodType
from typing import Any, ClassVar

import torch
from diffusers import FirstBlockCacheConfig

from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    Call,
    Denoiser,
    ModelError,
    Run,
    Stack,
    Step,
    hookimpl,
)

LEFT_BY_DIFFUSERS = ("forward", "_diffusers_hook", "_cache_config", "_is_stateful")


class ChangesAWeight(Accelerator):
    """Changes a weight of the model when a run starts."""

    name = "changes-a-weight"

    @hookimpl
    def run_started(self, run: Run) -> None:
        next(run.stack.own.module.parameters()).add_(0.05)


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


class WorksInAThread(Accelerator):
    """Sets the pipeline's timesteps in a thread of its own, while a run is open."""

    name = "works-in-a-thread"

    @hookimpl
    def run_started(self, run: Run) -> None:
        if run.stack.pipeline is not None:
            work = threading.Thread(target=run.stack.pipeline.scheduler.set_timesteps, args=(4,))
            work.start()
            work.join()


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


class SkipsByItself(Accelerator):
    """Leaves out the last block of every other step, and neither says nor claims it."""

    name = "skips-by-itself"

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        block: Any = denoiser.adapter.blocks(denoiser.module)[-1]
        inner = block.forward

        def forward(hidden: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
            call = denoiser.current_call
            if call is not None and call.step.index % 2:
                return hidden
            found: torch.Tensor = inner(hidden, *args, **kwargs)
            return found

        try:
            block.forward = forward
            yield
        finally:
            del block.forward


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


class WaitsForStep24(Accelerator):
    """Would act from step 24 on; in fewer steps it does nothing and says nothing."""

    name = "waits-for-step-24"

    @hookimpl
    def denoiser_called(self, call: Call) -> None:
        if call.step.index >= 24:
            call.skipped(self, 0.5)


class BringsHalfAModel(Accelerator):
    """Brings a model of whose weights one was never loaded, and switches to it."""

    name = "brings-half-a-model"

    def __init__(self, module: Any) -> None:
        super().__init__()
        self._module = module
        name, weight = next(iter(module.blocks.named_parameters()))
        parent, _, last = name.rpartition(".")
        missing = torch.nn.Parameter(weight.to("meta"), requires_grad=False)
        setattr(module.blocks.get_submodule(parent), last, missing)

    @hookimpl
    def contribute_denoisers(self, stack: Stack) -> Mapping[str, Any]:
        return {"render": self._module}

    @hookimpl
    def select_denoiser(self, step: Step) -> str | None:
        return "render" if step.index >= 3 else None


class WrapsTheScheduler(Accelerator):
    """Wraps `scheduler.step` without its signature."""

    name = "wraps-the-scheduler"

    @hookimpl
    @contextmanager
    def prepare_pipeline(self, pipeline: Any) -> Iterator[None]:
        inner = pipeline.scheduler.step
        pipeline.scheduler.step = lambda *args, **kwargs: inner(*args, **kwargs)
        try:
            yield
        finally:
            del pipeline.scheduler.step


class CountsEvaluations(Accelerator):
    """Skips every other evaluation of the model, taken for a step."""

    name = "counts-evaluations"

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        return call.step.index % 2 == 1


class TurnsOnACache(Accelerator):
    """Turns on a cache of diffusers and claims nothing."""

    name = "turns-on-a-cache"

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        module: Any = denoiser.module
        module.enable_cache(FirstBlockCacheConfig(threshold=0.9))
        try:
            yield
        finally:
            module.disable_cache()


class KeepsEveryModel(Accelerator):
    """Keeps every model that it has seen in its class."""

    name = "keeps-every-model"
    claims_speed = False
    seen: ClassVar[list[Any]] = []

    @hookimpl
    def prepare_denoiser(self, denoiser: Denoiser) -> None:
        self.seen.append(denoiser.module)


def halved(layer: Any, given: torch.Tensor) -> torch.Tensor:
    """A linear layer in half precision."""
    found = torch.nn.functional.linear(given.bfloat16(), layer.weight.bfloat16())
    return found.to(given.dtype)


class StaysInCopies(Accelerator):
    """Puts a method on layers that a copy of the model takes along."""

    name = "stays-in-copies"

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        layer: Any = denoiser.adapter.blocks(denoiser.module)[0].ffn.net[0].proj
        layer.forward = MethodType(halved, layer)
        try:
            yield
        finally:
            del layer.forward


class LeavesAutocast(Accelerator):
    """Asks the model in another precision than the loop's, even where it passes calls through."""

    name = "leaves-autocast"

    class Options(AcceleratorOptions):
        """Options."""

        strength: float = 1.0

    @hookimpl
    def answer_call(self, call: Call) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            return call.evaluate() * self.options.strength


class RefusesLate(Accelerator):
    """Finds out in the middle of a video what it could have known before."""

    name = "refuses-late"

    @hookimpl
    def select_denoiser(self, step: Step) -> str | None:
        if step.index == 2:
            raise ModelError("this model has no text encoder of mine: take another one")
        return None


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


class ForgetsToRestore(Accelerator):
    """Changes a layer for each run, and changes it back where the run is finished."""

    name = "forgets-to-restore"

    def _layer(self, run: Run) -> Any:
        return run.stack.own.adapter.blocks(run.stack.own.module)[0].ffn.net[0].proj

    @hookimpl
    def run_started(self, run: Run) -> None:
        layer = self._layer(run)
        layer.forward = MethodType(halved, layer)

    @hookimpl
    def run_finished(self, run: Run) -> None:
        if run.outcome == "finished":
            del self._layer(run).forward
