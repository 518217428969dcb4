"""What every accelerator is: a name, options, and implementations of the loop's hooks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import ConfigDict, Field, model_validator

from sraccel.loop.edition import API
from sraccel.loop.history import CacheDevice
from sraccel.loop.numbers_only import NoBooleans
from sraccel.loop.scope import Scope
from sraccel.loop.tunable import Ways, declared_ways

if TYPE_CHECKING:
    import torch

    from sraccel.loop.call import Call, Level
    from sraccel.loop.claims import Claim
    from sraccel.loop.column import Column
    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.finding import Finding
    from sraccel.loop.forecast import Forecast
    from sraccel.loop.obstacle import Obstacle
    from sraccel.loop.stack import Stack
    from sraccel.models.source import ModelSource
    from sraccel.recipe.sampling import Sampling


class AcceleratorOptions(NoBooleans):
    """Options of an accelerator, as a recipe gives them. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    accelerator: ClassVar[type[Accelerator]]
    use: str = Field("", description="Name of the accelerator; filled in where it is left out.")

    def models(self) -> Sequence[ModelSource]:
        """Models that composing will load; their size is checked before anything is loaded."""
        return ()

    def doubts(self, sampling: Sampling) -> Iterable[str]:
        """What will have no effect, as far as a recipe shows: warnings of `sraccel check`."""
        return ()

    def without_weights(self) -> Self | None:
        """These options with outlines (on the meta device) in place of models, for checks.

        None: there is no such thing, and `sraccel check` leaves the accelerator out.
        """
        return None if self.models() else self

    @classmethod
    def example(cls) -> Mapping[str, Any]:
        """Options to try the accelerator with on the demo pair, where some are required."""
        return {}

    @model_validator(mode="before")
    @classmethod
    def _is_of_this_accelerator(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        name = cls.accelerator.name
        if given.get("use", name) != name:
            raise ValueError(f"these are options of {name!r}, not of {given['use']!r}")
        return {**given, "use": name}


class RuleOptions(AcceleratorOptions):
    """Options that every rule can offer, since the core does what they ask for."""

    scope: Scope = Field(
        "each",
        description="Guidance branches: `each` decides for itself; the `first` of a step decides "
        "for all; `consensus`: the same, unless a later one wishes to compute.",
    )
    cache_device: CacheDevice = Field(
        "model",
        description="Where computed values are kept: with the model, or in main memory (`cpu`, "
        "which costs a transfer a step).",
    )


class Accelerator:
    """Base class of accelerators.

    A subclass sets `name`, gives its options as a nested class `Options`, and implements hooks of
    `sraccel.loop.hookspecs.Loop` as methods marked with `@hookimpl`. State that belongs to a run
    lives in `call.memory(...)` or is set anew in `run_started`; the instance itself lives as long
    as its stack.

    Attributes:
        name: how a recipe names it.
        api: the edition of the hooks that it is written for; a class that names one is refused
            by a later edition, with what changed.
        claims: what it owns in a stack beyond what its hooks say: names of
            `sraccel.loop.claims.CLAIMS` (`attention`, say), or a `Claim` that can be shared.
        families: the denoiser families it works with; None means every family.
        requires: packages that it needs beyond those of its distribution (an optional extra, say),
            as in `triton>=3`; without them it is refused when composing.
        columns: what it measures at steps, by name; see `Step.measure`.
        scope: of a rule: whether each guidance branch decides for itself.
        block_span: of a rule: the blocks that may be skipped, as a slice of the stack. Those before
            it are its probe: they always run, and `call.probe_residual` is what they added.
        history_length: of a predictor: how many computed values the core keeps for it; 0: it needs
            none, and is asked without.
        cache_device: where they are kept: with the model, or in main memory.
        levels: of a rule: the levels at which it is asked, of those whose hooks it implements; of a
            predictor: those that it predicts at. A rule and a predictor must agree.
        claims_speed: False where it cannot be faster (an emulated kernel): the report then lists
            its cost as overhead instead of a factor.
    """

    name: ClassVar[str]
    api: ClassVar[int] = API
    claims: ClassVar[Collection[str | Claim]] = frozenset()
    families: ClassVar[frozenset[str] | None] = None
    requires: ClassVar[Collection[str]] = ()
    columns: ClassVar[Mapping[str, Column]] = {}
    scope: Scope = "each"
    block_span: tuple[int, int | None] = (0, None)
    history_length: int = 1
    cache_device: CacheDevice = "model"
    levels: frozenset[Level] = frozenset({"call", "blocks"})
    claims_speed: bool = True

    class Options(AcceleratorOptions):
        """An accelerator without options."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            raise TypeError(f"{cls.__qualname__} needs a class attribute 'name'")
        if "Options" not in cls.__dict__:

            class Options(AcceleratorOptions):
                """No options."""

            cls.Options = Options  # type: ignore[assignment, misc]
        cls.Options.accelerator = cls

    def __init__(self, options: AcceleratorOptions | None = None) -> None:
        self.options: Any = type(self).Options() if options is None else options
        if isinstance(options, RuleOptions):
            self.scope, self.cache_device = options.scope, options.cache_device

    @classmethod
    def obstacles(cls) -> Iterable[Obstacle]:
        """What keeps it from running on this machine, beyond `requires`; for `sraccel plugins`.

        Must not import torch; `sraccel.plugin.no_cuda()` says whether there is a GPU.
        """
        return ()

    def makes_claim(self, name: str) -> bool:
        """Whether a claim of this name is among `claims`, shared or not; for `check_stack`.

        Two owners of one claim are refused by the composer itself: this is for those that do not go
        with a claim that they do not make.
        """
        return any(name == (one if isinstance(one, str) else one.name) for one in self.claims)

    @classmethod
    def tunable_ways(cls, stack: Stack) -> Ways:
        """What `sraccel tune` may change: options and their ranges, by way.

        What the options declare by `Tunable`; to be overridden where a model decides (a
        calibration knows some budgets and no others).

        Args:
            stack: of the bare pipeline.
        """
        return declared_ways(cls.Options)

    def span_of(self, denoiser: Denoiser) -> tuple[int, int | None]:
        """The `block_span` in this denoiser; to be overridden where models differ in depth."""
        return self.block_span

    def history_value(self, call: Call, value: torch.Tensor) -> torch.Tensor:
        """What a predictor wants kept of a computed value, in `call.history`.

        The value itself, unless a predictor works on another quantity: the output minus the input,
        or the clean latent.
        """
        return value

    def outlook(self, stack: Stack) -> Iterable[Finding]:
        """What can be said of it in a stack before a run; for `sraccel check --model`.

        The stack's models may be without weights.
        """
        return ()

    def forecast(self, stack: Stack, num_inference_steps: int) -> Forecast | None:
        """What it will do in a run of so many steps, for `sraccel predict`.

        The stack's models may be without weights. None: nothing can be said before a run, and a
        prediction names the accelerator as what it leaves out, unless its cost is measured.
        """
        return None

    def decided(self) -> Mapping[str, Any]:
        """What it has decided in the open run that later steps depend on; must fit JSON.

        Asked where a run is handed over to another process, which then calls `go_on`. What lies in
        `call.memory(...)` needs no mention: a run is handed over where another model takes over.
        """
        return {}

    def go_on(self, decided: Mapping[str, Any]) -> None:
        """Go on with what `decided` said at the end of the steps before; after `run_started`."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.options.model_dump(exclude={'use'})})"

    @classmethod
    def summary(cls) -> str:
        """The first line of the class's docstring, for lists of plugins."""
        return (cls.__doc__ or "").strip().partition("\n")[0]
