"""The loop's hooks of one stack, ready to be asked one by one, in recipe order."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pluggy

from sraccel.errors import PluginError, SraccelError
from sraccel.loop.answers import checked_decision, checked_role, checked_tensor
from sraccel.loop.edition import check_edition
from sraccel.loop.hookspecs import PROJECT, Loop

if TYPE_CHECKING:
    import torch

    from sraccel.loop.accelerator import Accelerator
    from sraccel.loop.call import Call
    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.history import Like
    from sraccel.loop.run import Run
    from sraccel.loop.stack import Stack
    from sraccel.loop.step import Step
    from sraccel.loop.step_plan import StepPlan

Implementation = tuple[str, Callable[..., Any]]
"""(name of the accelerator, function that takes all arguments of the hook by position)"""

HOOKS = tuple(name for name in vars(Loop) if not name.startswith("_"))
"""Names of all hooks, in the order in which a run asks."""
LONGEST_NAME = 120
"""Characters of what an error says that a hook was asked about."""
FAILURES = (Exception, SystemExit)
"""What a plugin may raise that is its own failure: `sys.exit` in one must not end the program."""


class LoopHooks:
    """Asks the accelerators of a stack.

    pluggy registers them and validates their signatures. They are asked one by one, since a report
    wants to know who answered, and an error must name who raised.

    Attributes:
        unmarked: methods with a hook's name that are not marked `@hookimpl`, as
            (accelerator, method): nobody will call them.
        prepare_seconds: what `prepare_pipeline` and `prepare_denoiser` took on attaching, by the
            accelerator's name.
    """

    def __init__(self, accelerators: Sequence[Accelerator]) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Loop)
        for accelerator in reversed(accelerators):  # pluggy asks last registered first
            self._register(accelerator)
        self._implementations = {name: self._collect(name) for name in HOOKS}
        self.prepare_seconds: dict[str, float] = {}
        self.unmarked = [
            (accelerator.name, hook)
            for accelerator in accelerators
            for hook in HOOKS
            if hasattr(accelerator, hook) and not is_implemented(accelerator, hook)
        ]

    def _register(self, accelerator: Accelerator) -> None:
        check_edition(accelerator)
        try:
            self._manager.register(accelerator, accelerator.name)
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(
                f"accelerator {accelerator.name!r}: {error}", accelerator=accelerator.name
            ) from error

    def _collect(self, hook: str) -> list[Implementation]:
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        arguments = list(inspect.signature(getattr(Loop, hook)).parameters)[1:]
        implementations = list(reversed(caller.get_hookimpls()))
        for found in implementations:
            if inspect.isgeneratorfunction(found.function):  # pluggy's wrappers, among others
                raise PluginError(
                    f"accelerator {found.plugin_name!r}: the hook {hook} is a generator, of which "
                    f"nothing would run: return the answer (hooks cannot be wrapped)",
                    accelerator=found.plugin_name,
                    hook=hook,
                )
        return [
            (found.plugin_name, _taking(found.function, found.argnames, arguments))
            for found in implementations
        ]

    def who(self, *hooks: str) -> list[str]:
        """Names of the accelerators that implement one of these hooks, in recipe order."""
        found = [name for hook in hooks for name, _ in self._implementations[hook]]
        return list(dict.fromkeys(found))

    def of(self, accelerator: str) -> list[str]:
        """The hooks that an accelerator implements."""
        return [hook for hook in HOOKS if accelerator in self.who(hook)]

    def anyone(self, hook: str) -> bool:
        """Whether any accelerator implements a hook."""
        return bool(self._implementations[hook])

    def _ask(self, hook: str, *arguments: object) -> Iterator[tuple[str, Any]]:
        """Each answer that is not None, with the name of the accelerator that gave it."""
        for name, function in self._implementations[hook]:
            try:
                answer = function(*arguments)
            except SraccelError:
                raise
            except FAILURES as error:
                raise blamed(name, hook, arguments[0], error) from error
            if answer is not None:
                yield name, answer

    def _first(self, hook: str, subject: object) -> tuple[str, Any] | None:
        """The first answer; no generator, since these hooks are asked at every step."""
        for name, function in self._implementations[hook]:
            try:
                answer = function(subject)
            except SraccelError:
                raise
            except FAILURES as error:
                raise blamed(name, hook, subject, error) from error
            if answer is not None:
                return name, answer
        return None

    def _tell(self, hook: str, *arguments: object) -> None:
        """For hooks without an answer."""
        for _ in self._ask(hook, *arguments):
            pass

    def contribute_denoisers(self, stack: Stack) -> Iterator[tuple[str, Any]]:
        """See `sraccel.loop.hookspecs.Loop`; as are the others."""
        return self._ask("contribute_denoisers", stack)

    def check_stack(self, stack: Stack) -> None:
        self._tell("check_stack", stack)

    def prepare_pipeline(self, pipeline: Any) -> Iterator[AbstractContextManager[None]]:
        return self._contexts("prepare_pipeline", pipeline)

    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[AbstractContextManager[None]]:
        return self._contexts("prepare_denoiser", denoiser)

    def _contexts(self, hook: str, where: object) -> Iterator[AbstractContextManager[None]]:
        """To be entered one by one, as they come: how long each takes is noted."""
        started = time.perf_counter()
        for name, context in self._ask(hook, where):
            yield _prepared(name, hook, where, context)
            now = time.perf_counter()
            self.prepare_seconds[name] = self.prepare_seconds.get(name, 0.0) + now - started
            started = now

    def plan_steps(self, plan: StepPlan) -> tuple[str, Any] | None:
        return self._first("plan_steps", plan)

    def run_started(self, run: Run) -> None:
        self._tell("run_started", run)

    def select_denoiser(self, step: Step) -> tuple[str, str] | None:
        found = self._first("select_denoiser", step)
        if found is None:
            return None
        name, role = found
        return name, checked_role(role, name, step.index)

    def denoiser_switched(self, step: Step, previous: str, current: str) -> None:
        self._tell("denoiser_switched", step, previous, current)

    def answer_call(self, call: Call, like: Like) -> tuple[str, torch.Tensor] | None:
        return self._tensor("answer_call", call, like)

    def decide(self, hook: str, call: Call) -> bool | None:
        """What the rule answers, by `skip_call` or `skip_blocks`."""
        found = self._first(hook, call)
        if found is None:
            return None
        name, answer = found
        return checked_decision(answer, name, hook, call.step.index)

    def predict(self, call: Call, like: Like) -> tuple[str, torch.Tensor] | None:
        return self._tensor("predict", call, like)

    def _tensor(self, hook: str, call: Call, like: Like) -> tuple[str, torch.Tensor] | None:
        found = self._first(hook, call)
        if found is None:
            return None
        name, answer = found
        return name, checked_tensor(answer, like, name, hook, call.step.index)

    def residual_computed(self, call: Call, residual: torch.Tensor) -> None:
        self._tell("residual_computed", call, residual)

    def denoiser_called(self, call: Call, output: torch.Tensor) -> None:
        self._tell("denoiser_called", call, output)

    def step_finished(self, step: Step) -> None:
        self._tell("step_finished", step)

    def run_finished(self, run: Run) -> None:
        self._tell("run_finished", run)


def is_implemented(accelerator: Accelerator | type[Accelerator], hook: str) -> bool:
    """Whether a method of this name is marked `@hookimpl`."""
    return hasattr(getattr(accelerator, hook, None), f"{PROJECT}_impl")


@contextmanager
def _naming(accelerator: str, hook: str, where: object) -> Iterator[None]:
    """Have an error say which accelerator raised it, in which hook, and where in the run."""
    try:
        yield
    except SraccelError:
        raise
    except FAILURES as error:
        raise blamed(accelerator, hook, where, error) from error


def _step_index(where: Any) -> int | None:
    """Index of the step that a hook was asked about; `where` is a stack, run, step or call."""
    step = getattr(where, "step", where)  # a call's
    index = getattr(step, "index", None)
    return index if isinstance(index, int) else None


@contextmanager
def _prepared(accelerator: str, hook: str, where: object, context: Any) -> Iterator[None]:
    """An accelerator's context, whose errors name it, in entering and in leaving."""
    with ExitStack() as undo:
        with _naming(accelerator, hook, where):
            undo.enter_context(context)
        yield
        with _naming(accelerator, hook, where):
            undo.close()


def blamed(accelerator: str, hook: str, where: object, error: BaseException) -> PluginError:
    """The error for what a plugin raised."""
    asked_of = repr(where)
    if len(asked_of) > LONGEST_NAME:  # a pipeline's
        asked_of = type(where).__name__
    return PluginError(
        f"accelerator {accelerator!r} raised {type(error).__name__} in hook {hook} "
        f"({asked_of}): {error}",
        accelerator=accelerator,
        hook=hook,
        step=_step_index(where),
    )


def _taking(
    function: Callable[..., Any], takes: Sequence[str], given: Sequence[str]
) -> Callable[..., Any]:
    """Adapt an implementation that takes a subset of the hook's arguments."""
    if list(takes) == list(given):
        return function
    positions = [given.index(name) for name in takes]
    return lambda *arguments: function(*[arguments[position] for position in positions])
