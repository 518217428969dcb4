"""A stack: the accelerators of a recipe, attached to a target."""

from __future__ import annotations

import logging
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from sraccel.errors import ConflictError, LoopError
from sraccel.loop.agreement import agreement_of
from sraccel.loop.foreign_caches import foreign_cache_on
from sraccel.loop.ownership import runs
from sraccel.loop.placement import execution_device, on_device
from sraccel.loop.ranks import ranks_of
from sraccel.loop.run import Run
from sraccel.loop.schedule import Schedule
from sraccel.loop.seams.block_stack import BlockStackSeam, check_block_stack
from sraccel.loop.seams.denoiser_call import DenoiserCallSeam
from sraccel.loop.seams.found_block_stack import FoundBlockStackSeam
from sraccel.loop.seams.pipeline import PipelineSeam
from sraccel.loop.skipping import Skipping
from sraccel.loop.step_plan import check_plannable
from sraccel.loop.tracker import Tracker
from sraccel.loop.unknown_family import UnknownFamily

if TYPE_CHECKING:
    import torch

    from sraccel.loop.accelerator import Accelerator
    from sraccel.loop.agreement import Agreement
    from sraccel.loop.continuation import Continuation
    from sraccel.loop.denoiser import Contribution, Denoiser
    from sraccel.loop.denoiser_adapter import DenoiserAdapter
    from sraccel.loop.hooks import LoopHooks
    from sraccel.loop.intercept import Bypass, Interception, Later
    from sraccel.loop.ranks import Ranks
    from sraccel.recipe.recipe import Recipe
    from sraccel.report.model import Report

_log = logging.getLogger("sraccel")
_attached: weakref.WeakKeyDictionary[Any, weakref.ref[Stack]] = weakref.WeakKeyDictionary()
"""The stack of each denoiser that has one: the layers hold it, so that it lives with the model."""


class Stack:
    """Attaches on entering a `with` block (or `attach`), restores the target on leaving (`detach`).

    Made by `sraccel.compose`.

    Attributes:
        recipe: what was composed.
        pipeline: the pipeline, or None if the target is a bare denoiser.
        accelerators: one instance of each accelerator of the recipe, in its order.
        adapters: adapters of the model families that can be in it.
        skipping: its rule and its predictor.
        agreement: with the other ranks that make the same video, while it is attached; None: this
            process makes it alone.
        denoisers: all denoisers by role, contributed ones included.
        contributions: how the contributed ones were brought, by role.
        reports: a report of each run so far, oldest first.
        logs_warnings: whether a run's warnings also go to the logger `sraccel`.
    """

    def __init__(
        self,
        recipe: Recipe,
        pipeline: Any,
        requested: dict[str, Denoiser],
        accelerators: list[Accelerator],
        hooks: LoopHooks,
        adapters: Sequence[DenoiserAdapter],
        reporter: Callable[[Run], Report],
        ranks: Ranks | None = None,
    ) -> None:
        self.recipe = recipe
        self.pipeline = pipeline
        self.accelerators = accelerators
        self.hooks = hooks
        self.adapters = adapters
        self.denoisers = {denoiser.role: denoiser for denoiser in requested.values()}
        self._reporter = reporter
        self._given_ranks = ranks
        self.agreement: Agreement | None = None
        self.reports: list[Report] = []
        self.logs_warnings = True
        self._requested = requested  # by attribute of the pipeline
        self.contributions: dict[str, Contribution] = {}
        self._undo: ExitStack | None = None
        self._block_seams: list[BlockStackSeam] = []
        self._interceptions: list[Interception | Bypass | Later] = []
        self.skipping = Skipping(hooks, accelerators)
        self.tracker = Tracker(self._new_run, pipeline)

    @property
    def report(self) -> Report:
        """The report of the last run.

        Raises:
            LoopError: nothing ran yet.
        """
        if not self.reports:
            raise LoopError("no run yet: call the pipeline (or stack.run) under the stack first")
        return self.reports[-1]

    @property
    def requested(self) -> list[Denoiser]:
        """The denoisers that the loop itself calls."""
        return list(self._requested.values())

    @property
    def own(self) -> Denoiser:
        """The denoiser that the loop itself calls; of several experts, the first."""
        return next(iter(self._requested.values()))

    @property
    def attached(self) -> bool:
        """Whether the target is accelerated now."""
        return self._undo is not None

    @property
    def device(self) -> torch.device:
        """Where the denoisers compute."""
        device = getattr(self.pipeline, "_execution_device", None)
        if device is None:
            device = execution_device(next(iter(self.denoisers.values())).module)
        if device.type == "cuda" and device.index is None:  # so that devices can be compared
            import torch

            device = torch.device("cuda", torch.cuda.current_device())
        found: torch.device = device
        return found

    @property
    def current_run(self) -> Run | None:
        """The run that is open, or None."""
        return self.tracker.run

    def add(self, denoiser: Denoiser, contribution: Contribution) -> None:
        """Take in a denoiser that an accelerator brings."""
        self.denoisers[denoiser.role] = denoiser
        self.contributions[denoiser.role] = contribution

    def attach(self) -> Self:
        """Put everything in place.

        Raises:
            LoopError: the pipeline is in the middle of a call.
            ConflictError: another stack is attached to one of the denoisers, or this one already;
                or as `sraccel.compose`, if the target has changed since.
        """
        self.check()
        self.hooks.prepare_seconds.clear()
        self.agreement = agreement_of(self._ranks()) if self.accelerators else None
        with ExitStack() as undo:
            for brought in self.contributions.values():
                place = brought.placement or on_device
                undo.enter_context(place(brought.module, self.device))
            if self.pipeline is not None:
                for context in self.hooks.prepare_pipeline(self.pipeline):
                    undo.enter_context(context)
            for denoiser in self.denoisers.values():
                _attached[denoiser.module] = weakref.ref(self)
                undo.callback(_attached.pop, denoiser.module, None)
                for context in self.hooks.prepare_denoiser(denoiser):
                    undo.enter_context(context)
            self._install(undo)
            self._undo = undo.pop_all()
        return self

    def check(self) -> None:
        """Raise if this stack cannot be attached to its target as that is now."""
        self.check_free()
        self._check_foreign_caches()
        self._check_at_rest()
        if self._watches_blocks:
            for denoiser in self.denoisers.values():
                check_block_stack(denoiser, self.hooks, self.skipping)
        planners = self.hooks.who("plan_steps")
        if self.pipeline is not None and planners:
            check_plannable(self.pipeline, self.own.adapter, planners[0])
        self.hooks.check_stack(self)

    def _ranks(self) -> Ranks | None:
        """Those that were given, or that the denoisers' own configuration says."""
        return self._given_ranks or ranks_of(one.module for one in self.denoisers.values())

    def _check_ranks(self) -> None:
        """Refuse parallelism that was enabled while the stack is attached."""
        if self.accelerators and (self.agreement and self.agreement.ranks) != self._ranks():
            raise LoopError(
                "parallelism was enabled on a denoiser while the stack is attached, so its ranks "
                "would decide each for itself: detach first, then attach or compose again"
            )

    def _check_at_rest(self) -> None:
        """Refuse to attach in the middle of the pipeline's call: from a callback of it, say."""
        if runs(self.pipeline, sys._getframe(1)) or self.tracker.ownership.others_run():
            raise LoopError(
                f"{self.target_name} is running: a stack that is attached in the middle of a "
                "run would change the rest of it unseen; attach it before the call"
            )

    def _check_foreign_caches(self) -> None:
        rule = self.skipping.rule
        for role, denoiser in self.denoisers.items() if rule is not None else ():
            foreign = foreign_cache_on(denoiser.module)
            if rule is not None and foreign is not None:
                raise ConflictError(
                    f"{rule.name!r} and {foreign} on the denoiser {role!r} both decide when to "
                    f"skip: call disable_cache() on it, or leave {rule.name!r} out of the recipe",
                    accelerators=[rule.name],
                )

    @property
    def _watches_blocks(self) -> bool:
        rule = (
            self.skipping.rule
        )  # one that may skip either is asked at the level that it is set to
        observers = set(self.hooks.who("residual_computed")) - {rule.name if rule else ""}
        return self.skipping.blocks or bool(observers)

    def check_free(self) -> None:
        """Raise ConflictError if a stack is attached to one of the denoisers."""
        for denoiser in self.denoisers.values():
            attached = _attached.get(denoiser.module)
            other = attached() if attached is not None else None
            if other is not None:
                raise ConflictError(
                    f"a stack ({other.recipe!r}) is attached to the denoiser {denoiser.role!r} "
                    f"already: detach it, or put both recipes into one"
                )

    def _install(self, undo: ExitStack) -> None:
        self._interceptions = []
        for seam in self._seams():
            for interception in seam.install():
                undo.callback(interception.undo)
                self._interceptions.append(interception)

    def _seams(self) -> Iterator[BlockStackSeam | DenoiserCallSeam | PipelineSeam]:
        """Where this stack meets the target, innermost first."""
        watched = self.denoisers.values() if self._watches_blocks else ()
        blocks = {denoiser.role: self._block_seam(denoiser) for denoiser in watched}
        self._block_seams = list(blocks.values())
        yield from self._block_seams
        for denoiser in self._requested.values():
            yield DenoiserCallSeam(denoiser, self.tracker, blocks, self.skipping)
        if self.pipeline is not None:
            schedule = self.tracker.schedule = Schedule(self.pipeline, self._requested)
            yield PipelineSeam(
                self.pipeline, self.tracker, schedule, self.hooks, self.reapply, self.agreement
            )

    def _block_seam(self, denoiser: Denoiser) -> BlockStackSeam:
        if isinstance(denoiser.adapter, UnknownFamily):
            return FoundBlockStackSeam(denoiser, self.hooks, self.skipping, denoiser.adapter)
        return BlockStackSeam(denoiser, self.hooks, self.skipping)

    def detach(self) -> None:
        """Restore the target; an open run ends as partial. A second call does nothing."""
        self._detach(None)

    def _detach(self, error: BaseException | None) -> None:
        if self._undo is None:
            return
        with self._undo:
            self._undo = None
            self.tracker.end(error)

    def __enter__(self) -> Self:
        return self.attach()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._detach(error)

    def run(self, num_inference_steps: int, num_solver_steps: int | None = None) -> Run:
        """A run of a loop that is yours: `with stack.run(num_inference_steps=50) as run: ...`.

        Args:
            num_inference_steps: how often the loop evaluates the model (once a guidance branch).
            num_solver_steps: how many steps of the solver these are, if not as many.

        Raises:
            LoopError: the stack is not attached, or a denoiser's blocks have changed since.
            ConflictError: somebody has put a cache of another kind on a denoiser.
        """
        if not self.attached:
            raise LoopError(
                "the stack is not attached: use `with compose(...) as stack` or attach()"
            )
        return self._new_run(int(num_inference_steps), num_solver_steps, None)

    def _new_run(
        self,
        num_inference_steps: int,
        num_solver_steps: int | None,
        continuation: Continuation | None,
    ) -> Run:
        self.reapply()
        self._check_foreign_caches()
        self._check_ranks()
        for seam in self._block_seams:
            seam.check_unchanged()
        for denoiser in self.denoisers.values():
            denoiser.calls.clear()  # Ctrl-C may have left one
        return Run(self, num_inference_steps, num_solver_steps, continuation)

    def keep_report(self, run: Run) -> None:
        """Make and keep the report of a run that has ended."""
        report = self._reporter(run)
        self.reports.append(report)
        if self.logs_warnings:
            for warning in report.warnings:
                _log.warning(warning)

    def reapply(self) -> None:
        """Put layers back that something replaced (a later `compile`, model offloading)."""
        for interception in self._interceptions:
            interception.reapply()

    def __repr__(self) -> str:
        runs = "1 run" if len(self.reports) == 1 else f"{len(self.reports)} runs"
        return f"Stack({self.recipe!r} on {self.target_name}, {self.state}, {runs})"

    def _repr_html_(self) -> str:
        from sraccel.notebook import stack_html

        return stack_html(self)

    @property
    def state(self) -> str:
        """`attached` or `detached`."""
        return "attached" if self.attached else "detached"

    @property
    def target_name(self) -> str:
        """Class of the pipeline, or of the bare denoiser."""
        target = self.pipeline
        if target is None:
            target = next(iter(self.denoisers.values())).module
        return type(target).__name__
