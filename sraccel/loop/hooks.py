"""The loop's hooks of one stack, ready to be asked one by one, in recipe order."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pluggy

from sraccel.errors import PluginError, SraccelError
from sraccel.loop.hookspecs import PROJECT, Loop

if TYPE_CHECKING:
    import torch

    from sraccel.loop.accelerator import Accelerator
    from sraccel.loop.call import Call
    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.run import Run
    from sraccel.loop.stack import Stack
    from sraccel.loop.step import Step

Implementation = tuple[str, Callable[..., Any]]
"""(name of the accelerator, function that takes all arguments of the hook by position)"""


class LoopHooks:
    """Asks the accelerators of a stack.

    pluggy registers them and validates their signatures. They are asked one by one, since a report
    wants to know who answered, and an error must name who raised.
    """

    def __init__(self, accelerators: Sequence[Accelerator]) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Loop)
        for accelerator in reversed(accelerators):  # pluggy asks last registered first
            self._register(accelerator)
        names = [name for name in vars(Loop) if not name.startswith("_")]
        self._implementations = {name: self._collect(name) for name in names}

    def _register(self, accelerator: Accelerator) -> None:
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

    def who(self, hook: str) -> list[str]:
        """Names of the accelerators that implement a hook, in recipe order."""
        return [name for name, _ in self._implementations[hook]]

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
            except (Exception, SystemExit) as error:
                raise _blamed(name, hook, arguments[0], error) from error
            if answer is not None:
                yield name, answer

    def _tell(self, hook: str, *arguments: object) -> None:
        """As `_ask`, for hooks without an answer; no generator, since the loop's are frequent."""
        for name, function in self._implementations[hook]:
            try:
                function(*arguments)
            except SraccelError:
                raise
            except (Exception, SystemExit) as error:
                raise _blamed(name, hook, arguments[0], error) from error

    def contribute_denoisers(self, stack: Stack) -> Iterator[tuple[str, Any]]:
        """See `sraccel.loop.hookspecs.Loop`; as are the others."""
        return self._ask("contribute_denoisers", stack)

    def check_stack(self, stack: Stack) -> None:
        self._tell("check_stack", stack)

    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[AbstractContextManager[None]]:
        for name, context in self._ask("prepare_denoiser", denoiser):
            yield _prepared(name, denoiser, context)

    def run_started(self, run: Run) -> None:
        self._tell("run_started", run)

    def select_denoiser(self, step: Step) -> tuple[str, str] | None:
        return next(self._ask("select_denoiser", step), None)

    def denoiser_switched(self, step: Step, previous: str, current: str) -> None:
        self._tell("denoiser_switched", step, previous, current)

    def reuse_residual(self, call: Call) -> tuple[str, torch.Tensor] | None:
        return next(self._ask("reuse_residual", call), None)

    def residual_computed(self, call: Call, residual: torch.Tensor) -> None:
        self._tell("residual_computed", call, residual)

    def denoiser_called(self, call: Call, output: torch.Tensor) -> None:
        self._tell("denoiser_called", call, output)

    def step_finished(self, step: Step) -> None:
        self._tell("step_finished", step)

    def run_finished(self, run: Run) -> None:
        self._tell("run_finished", run)


@contextmanager
def _naming(accelerator: str, hook: str, where: object) -> Iterator[None]:
    """Have an error say which accelerator raised it, in which hook, and where in the run."""
    try:
        yield
    except SraccelError:
        raise
    except (Exception, SystemExit) as error:
        raise _blamed(accelerator, hook, where, error) from error


def _step_index(where: Any) -> int | None:
    """Index of the step that a hook was asked about; `where` is a stack, run, step or call."""
    step = getattr(where, "step", where)  # a call's
    index = getattr(step, "index", None)
    return index if isinstance(index, int) else None


@contextmanager
def _prepared(accelerator: str, denoiser: Denoiser, context: Any) -> Iterator[None]:
    """An accelerator's context, whose errors name it, in entering and in leaving."""
    with ExitStack() as undo:
        with _naming(accelerator, "prepare_denoiser", denoiser):
            undo.enter_context(context)
        yield
        with _naming(accelerator, "prepare_denoiser", denoiser):
            undo.close()


def _blamed(accelerator: str, hook: str, where: object, error: BaseException) -> PluginError:
    return PluginError(
        f"accelerator {accelerator!r} raised {type(error).__name__} in hook {hook} "
        f"({where!r}): {error}",
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
    return lambda *arguments: function(*(arguments[position] for position in positions))
