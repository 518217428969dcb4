"""What all of diffusers' caches need in a stack: state by run, model and branch; and a report."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    Call,
    Claim,
    ConflictError,
    Denoiser,
    ModelError,
    Run,
    Stack,
    Step,
    hookimpl,
)
from sraccel_diffusers_caches.restored import restored
from sraccel_diffusers_caches.work import Work

if TYPE_CHECKING:
    import torch

CONTEXT = "sraccel_context"
_numbers = itertools.count()


class Trajectory:
    """A denoiser's calls of one guidance branch without a gap: what a cache may look back on.

    Attributes:
        name: what diffusers' hooks know it by.
        calls: how many of them there were.
        states: of the hooks that keep one state for all branches, by hook.
    """

    def __init__(self) -> None:
        self.name = f"trajectory {next(_numbers)}"
        self.calls = 0
        self.states: dict[Any, Any] = {}


class DiffusersCache(Accelerator):
    """Puts a cache of diffusers on every denoiser, and says what it skipped."""

    name = "diffusers-cache"
    claims = frozenset({"rule", "predictor", Claim("blocks", shared=True)})

    def __init__(self, options: AcceleratorOptions | None = None) -> None:
        super().__init__(options)
        self._work: dict[str, Work] = {}
        self._hooks: dict[str, list[tuple[Any, Any]]] = {}  # with the parts that they are on
        self._denoisers: dict[str, Denoiser] = {}
        self._run: Run | None = None
        self._path = Trajectory()
        self._skipped = False

    def config(self, denoiser: Denoiser) -> Any:
        """The cache's configuration for a denoiser; asked when a run starts."""
        raise NotImplementedError

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        for other in stack.accelerators:
            if other.makes_claim("compilation"):
                raise ConflictError(
                    f"{self.name} and {other.name!r}: the cache's hooks lie inside the blocks, "
                    f"which would be compiled again and again; leave one of them out",
                    accelerators=[self.name, other.name],
                )
        for role, denoiser in stack.denoisers.items():
            if not hasattr(denoiser.module, "enable_cache"):
                raise ModelError(
                    f"{self.name}: the denoiser {role!r} ({type(denoiser.module).__name__}) takes "
                    f"no cache of diffusers: leave {self.name} out, or use another rule"
                )
        self._denoisers = dict(stack.denoisers)

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        work = self._work[denoiser.role] = Work(denoiser)
        with restored(denoiser.module), work.watched():
            try:
                yield
            finally:
                self._take_off(denoiser)

    @hookimpl
    def run_started(self, run: Run) -> None:
        self._run, self._skipped = run, False
        for denoiser in self._denoisers.values():
            self._take_off(denoiser)
            self._put_on(denoiser)
        run.note(self, hooked_modules={role: len(hooks) for role, hooks in self._hooks.items()})

    def _put_on(self, denoiser: Denoiser) -> None:
        module: Any = denoiser.module
        others = {id(hook) for _, hook in hooks_on(module)}
        module.enable_cache(self.config(denoiser))
        new = [(part, hook) for part, hook in hooks_on(module) if id(hook) not in others]
        if not new:
            module.disable_cache()
            raise ModelError(
                f"{self.name}: diffusers finds no module of the denoiser {denoiser.role!r} "
                f"({type(module).__name__}) to put its hooks on, so it would do nothing"
            )
        self._hooks[denoiser.role] = new
        _registry(module).register_hook(_context_hook(self, denoiser), CONTEXT)

    def _take_off(self, denoiser: Denoiser) -> None:
        module: Any = denoiser.module
        if self._hooks.pop(denoiser.role, None):
            _registry(module).remove_hook(CONTEXT, recurse=False)
            module.disable_cache()

    @contextmanager
    def within(self, denoiser: Denoiser) -> Iterator[None]:
        """A call of the denoiser: diffusers' hooks see the state of its trajectory alone."""
        call, module = denoiser.current_call, denoiser.module
        # A call outside the loop has a trajectory of its own, in which nothing can be skipped.
        path = self._path = Trajectory() if call is None else self._trajectory(call)
        path.calls += 1
        for part, hook in self._hooks[denoiser.role]:
            if hasattr(hook, "state"):  # one for all branches, as diffusers has it
                if hook not in path.states:
                    hook.initialize_hook(part)
                hook.state = path.states.setdefault(hook, hook.state)
        with module.cache_context(path.name, **_position(call)):  # type: ignore[operator]
            self.enter_call(denoiser, call)
            yield

    def _trajectory(self, call: Call) -> Trajectory:
        """The one that a call goes on; another one where others leave out another part of it."""
        paths: dict[Any, Trajectory] = call.memory(self, dict)
        part = tuple(sorted(call.skips.items()))
        if part not in paths:
            paths.clear()
            paths[part] = Trajectory()
        return paths[part]

    def enter_call(self, denoiser: Denoiser, call: Call | None) -> None:
        """For a cache whose state needs more: the call's position in the run, say."""

    def timestep(self, denoiser: Denoiser) -> float:
        """The open call's; beyond all where the trajectory begins, so that nothing is skipped."""
        call = denoiser.current_call
        known = call is not None and self._path.calls > 1 and call.step.timestep is not None
        return float(call.step.timestep) if known and call else math.inf  # type: ignore[arg-type]

    @hookimpl
    def denoiser_called(self, call: Call, output: torch.Tensor) -> None:
        if call.answered_by is not None or call.reused_by is not None:
            return  # no work of a denoiser, or that of evaluations which were seen already
        share = self._work[call.denoiser.role].take()
        if share:
            self._skipped = True
            call.skipped(self, share=min(share, 1.0))

    @hookimpl
    def denoiser_switched(self, step: Step, previous: str, current: str) -> None:
        _registry(self._denoisers[previous].module).reset_stateful_hooks()

    @hookimpl
    def run_finished(self, run: Run) -> None:
        if not self._skipped:
            run.warn(f"{self.name} skipped nothing in {len(run.steps)} steps")
        for denoiser in self._denoisers.values():
            self._take_off(denoiser)


def _registry(module: Any) -> Any:
    from diffusers.hooks import HookRegistry

    return HookRegistry.check_if_exists_or_initialize(module)


def hooks_on(module: Any) -> Iterator[tuple[Any, Any]]:
    """Diffusers' hooks on a model and its parts, each with the part that it is on."""
    for part in module.modules():
        for hook in getattr(vars(part).get("_diffusers_hook"), "hooks", {}).values():
            yield part, hook


def _position(call: Call | None) -> dict[str, Any]:
    if call is None:
        return {}
    step = call.step
    return {
        "step_index": step.solver_step,
        "sigma": step.sigma,
        "num_inference_steps": step.run.num_solver_steps,
    }


def _context_hook(cache: DiffusersCache, denoiser: Denoiser) -> Any:
    """The outermost hook of a denoiser, which opens the context of each call."""
    from diffusers.hooks import ModelHook

    class ContextHook(ModelHook):  # type: ignore[misc]
        """Opens the context of the call's trajectory."""

        def new_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
            with cache.within(denoiser):
                return self.fn_ref.original_forward(*args, **kwargs)

    return ContextHook()
