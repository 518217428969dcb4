"""The hooks: what a plugin may offer, and what an accelerator may do in the sampling loop.

Two sets. `Discovery` is implemented by a plugin (a module or an object named by an entry point of
the group `sraccel`); `Loop` is implemented by an accelerator, one instance of which lives in each
stack. A hook implementation may take any subset of the named arguments; it cannot wrap the others'.

A cache is a *rule* (`skip_call`, `skip_blocks`: when to skip) and a *predictor* (`predict`: what
stands in), which may be two accelerators. Of hooks marked `firstresult`, the first answer counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import torch
    from torch import nn

    from sraccel.calibration.calibration import Calibration
    from sraccel.loop.accelerator import Accelerator
    from sraccel.loop.call import Call
    from sraccel.loop.denoiser import Contribution, Denoiser
    from sraccel.loop.denoiser_adapter import DenoiserAdapter
    from sraccel.loop.run import Run
    from sraccel.loop.stack import Stack
    from sraccel.loop.step import Step
    from sraccel.loop.step_plan import StepPlan
    from sraccel.video.metric import Metric
    from sraccel.video.score import Score

PROJECT = "sraccel"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a method as the implementation of the hook of its name."""


class Discovery:
    """What a plugin brings. Each hook returns an iterable; importing torch here is not allowed."""

    @hookspec
    def sraccel_accelerators(self) -> Iterable[type[Accelerator]]:  # type: ignore[empty-body]
        """Accelerators that a recipe can name."""

    @hookspec
    def sraccel_denoiser_adapters(self) -> Iterable[DenoiserAdapter]:  # type: ignore[empty-body]
        """Adapters, each for one family of denoisers."""

    @hookspec
    def sraccel_metrics(self) -> Iterable[Metric | Score]:  # type: ignore[empty-body]
        """Quality metrics that compare an accelerated video with the bare one; and scores.

        A score judges one video by itself, against its prompt.
        """

    @hookspec
    def sraccel_calibrations(self) -> Iterable[type[Calibration]]:  # type: ignore[empty-body]
        """What `sraccel calibrate NAME` can fit to recorded bare runs."""

    @hookspec
    def sraccel_recipes(self) -> Iterable[Path]:  # type: ignore[empty-body]
        """Recipe files that can be named without their folder and suffix."""


class Loop:
    """What an accelerator does, in the order in which a run asks for it."""

    @hookspec
    def contribute_denoisers(  # type: ignore[empty-body]
        self, stack: Stack
    ) -> Mapping[str, nn.Module | Contribution]:
        """Bring further denoisers, by role. All are asked, before any denoiser is prepared."""

    @hookspec
    def check_stack(self, stack: Stack) -> None:
        """Raise if this accelerator cannot work in this stack; nothing has been touched yet."""

    @hookspec
    def prepare_pipeline(self, pipeline: Any) -> AbstractContextManager[object] | None:
        """Change a pipeline outside its denoisers (its VAE, its text encoder) while attached.

        Entered before any denoiser is prepared; not asked where the target is a bare denoiser.
        """

    @hookspec
    def prepare_denoiser(self, denoiser: Denoiser) -> AbstractContextManager[object] | None:
        """Change a denoiser (its attention kernel, say) for as long as the stack is attached.

        All are asked, per denoiser; the contexts nest in recipe order, first listed outermost.
        """

    @hookspec(firstresult=True)
    def plan_steps(self, plan: StepPlan) -> Sequence[float] | None:
        """The noise levels that a run takes, falling, in the terms of `plan.sigmas`.

        The first one stays as it is: it is that of the noise that the run begins with. Asked when
        a pipeline has set its scheduler's timesteps; a loop of the user's own plans for itself.
        """

    @hookspec
    def run_started(self, run: Run) -> None:
        """A run of the sampling loop begins."""

    @hookspec(firstresult=True)
    def select_denoiser(self, step: Step) -> str | None:
        """The role of the denoiser for all calls of this step.

        Not asked within a step of several evaluations: the solver's pair is never cut.
        """

    @hookspec
    def denoiser_switched(self, step: Step, previous: str, current: str) -> None:
        """This step's denoiser is not the previous step's, whoever switched."""

    @hookspec(firstresult=True)
    def answer_call(self, call: Call) -> torch.Tensor | None:
        """The call's prediction, made otherwise: from another branch, or of several denoisers.

        `call.evaluate(role, ...)` asks a denoiser; each evaluation is recorded as a call.
        """

    @hookspec(firstresult=True)
    def skip_call(self, call: Call) -> bool | None:
        """A rule: whether to leave the denoiser out, so that the predictor gives its output.

        None: the rule rests, and nothing is kept of the call.
        """

    @hookspec(firstresult=True)
    def skip_blocks(self, call: Call) -> bool | None:
        """A rule: whether to leave out the blocks of `block_span`, so that the predictor gives
        their residual.

        Asked where the span begins, behind the probe if there is one. None: the rule rests, and
        nothing is kept of the call.
        """

    @hookspec(firstresult=True)
    def predict(self, call: Call) -> torch.Tensor | None:
        """The predictor: what stands in for what is skipped, from `call.history`.

        `call.level` says which: `call` (the denoiser's output) or `blocks` (the span's residual,
        shape and dtype as `call.span_input`). None: it cannot yet, so it is computed.
        """

    @hookspec
    def residual_computed(self, call: Call, residual: torch.Tensor) -> None:
        """The blocks of the span ran; `residual` is their output minus their input."""

    @hookspec
    def denoiser_called(self, call: Call, output: torch.Tensor) -> None:
        """The denoiser answered; `output` is its prediction for this call, before guidance.

        Shape and dtype as the loop gets it. Whether it was computed, `call.computed` says.
        """

    @hookspec
    def step_finished(self, step: Step) -> None:
        """The scheduler is about to step: `step.noise_pred` is the guided prediction."""

    @hookspec
    def run_finished(self, run: Run) -> None:
        """A run ended; `run.outcome` says how."""
