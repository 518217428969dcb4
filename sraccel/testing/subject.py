"""The accelerator that is checked, made anew for each stack from what the author gave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sraccel.loop.accelerator import Accelerator, AcceleratorOptions
from sraccel.loop.claims import claims_of
from sraccel.loop.hooks import HOOKS, is_implemented
from sraccel.plugin import Call, Contribution, Stack, Step, hookimpl
from sraccel.recipe.catalogue import resolve_options
from sraccel.testing.target import RENDER, STEPS, Target

Entry = Any
"""A class, a name, an item of a recipe, its options; or a function of a `Target` that gives one."""
RULES = ("skip_blocks", "skip_call")


class EveryOther(Accelerator):
    """Skips the blocks of every other step: for predictors, which need a rule beside them."""

    name = "every-other-step"

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        return call.step.solver_step % 2 == 1


class EveryOtherCall(Accelerator):
    """The same for whole calls."""

    name = "every-other-call"

    @hookimpl
    def skip_call(self, call: Call) -> bool:
        return call.step.solver_step % 2 == 1


class Switches(Accelerator):
    """Lets another model take over in the middle of a run."""

    name = "switches-in-the-middle"

    def __init__(self, module: Any) -> None:
        super().__init__()
        self._module = module

    @hookimpl
    def contribute_denoisers(self, stack: Stack) -> Mapping[str, Contribution]:
        return {RENDER: Contribution(self._module, noise_space=stack.own.noise_space)}

    @hookimpl
    def select_denoiser(self, step: Step) -> str | None:
        return RENDER if step.solver_step >= STEPS // 2 else None


class Subject:
    """What is checked.

    Attributes:
        kind: its class.
        hooks: the hooks that it implements.
        claims: names of what it claims.
    """

    def __init__(self, entry: Entry, options: Mapping[str, Any] | None, target: Target) -> None:
        if isinstance(entry, Accelerator):
            raise TypeError(
                f"an instance belongs to one stack, and the check makes many: give the class, or a "
                f"function that makes one ({type(entry).__name__})"
            )
        self._entry, self._given = entry, dict(options or {})
        first = self.item(target)
        self.kind = _kind_of(first)
        self.hooks = frozenset(hook for hook in HOOKS if is_implemented(self.kind, hook))
        self.claims = {claim.name for claim in claims_of(self.kind, self.hooks)}

    @property
    def name(self) -> str:
        """How a recipe calls it."""
        return self.kind.name

    @property
    def prepares(self) -> bool:
        """Whether it changes the pipeline or its models while it is attached."""
        return bool(self.hooks & {"prepare_pipeline", "prepare_denoiser"})

    def item(self, target: Target, changes: Mapping[str, Any] | None = None) -> Any:
        """An item of a recipe for a target: options, or an instance that a function made."""
        entry = self._entry
        is_function = callable(entry) and not isinstance(entry, type)
        given = entry(target) if is_function else entry
        if isinstance(given, Accelerator):
            return given
        options = _options_of(given, self._given)
        if not changes:
            return options
        kept = {name: getattr(options, name) for name in options.model_fields_set}
        return type(options).model_validate({**kept, **changes})

    def items(self, target: Target, changes: Mapping[str, Any] | None = None) -> list[Any]:
        """It and what it cannot do without: a predictor needs a rule."""
        item = self.item(target, changes)
        if "predict" not in self.hooks or self.hooks & set(RULES):
            return [item]
        made = item if isinstance(item, Accelerator) else item.accelerator(item)
        return [item, EveryOther() if "blocks" in made.levels else EveryOtherCall()]


def _kind_of(item: Accelerator | AcceleratorOptions) -> type[Accelerator]:
    return type(item) if isinstance(item, Accelerator) else item.accelerator


def _options_of(given: Any, changes: Mapping[str, Any]) -> AcceleratorOptions:
    """Options of a class (its example's, where some are required), a name or an item."""
    if isinstance(given, type) and issubclass(given, Accelerator):
        return given.Options.model_validate({**given.Options.example(), **changes})
    if isinstance(given, AcceleratorOptions):
        return given
    item = {"use": given} if isinstance(given, str) else dict(given)
    if len(item) == 1:
        item |= _example(item["use"])
    return resolve_options({**item, **changes})


def _example(name: str) -> dict[str, Any]:
    """The example's options of an installed accelerator; none where it is not installed."""
    from sraccel.recipe.catalogue import installed

    kind = installed().accelerators.get(name)
    return {} if kind is None else dict(kind.Options.example())


Idle = Mapping[str, Any] | Callable[[Target], Mapping[str, Any]] | None
"""Options under which it does nothing, or a function of the target that gives them."""


def idle_options(idle: Idle, target: Target) -> Mapping[str, Any] | None:
    """Those for a target."""
    return idle(target) if callable(idle) else idle
