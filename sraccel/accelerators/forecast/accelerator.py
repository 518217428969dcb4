"""The predictor as an accelerator: options, what it keeps, and what it predicts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from sraccel.accelerators.forecast import noise
from sraccel.accelerators.forecast.extrapolation import Kind, weights
from sraccel.accelerators.forecast.quantity import (
    Quantity,
    Variable,
    gain,
    time_at,
    to_prediction,
    to_quantity,
)
from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    Call,
    Column,
    Computed,
    Denoiser,
    FitFile,
    ModelError,
    NoiseSpace,
    Run,
    Sampling,
    Stack,
    Tunable,
    hookimpl,
)

if TYPE_CHECKING:
    import torch

NEEDS_NO_LEVELS = ("residual", "auto")


class ForecastPredictor(Accelerator):
    """Predicts what is skipped from what was computed: Taylor series and their kin."""

    name = "forecast"
    columns = {
        "slope_kept": Column(
            "slope kept", "share of the measured slope that is not noise; 0 is plain reuse"
        )
    }

    class Options(AcceleratorOptions):
        """Options of the predictor."""

        kind: Annotated[Kind, Tunable(choices=("taylor", "hermite"))] = Field(
            "hermite",
            description="`reuse` the last value; `taylor` series of finite differences "
            "(TaylorSeer); scaled `hermite` polynomials (HiCache), which go less far; `blend`, "
            "from reuse to order 1 by `alpha` (ScalingCache).",
        )
        order: Annotated[int, Tunable(1, 2)] = Field(
            2, ge=0, le=4, description="Of `taylor` and `hermite`; it keeps one value more."
        )
        of: Quantity = Field(
            "auto",
            description="What is extrapolated: the blocks' `residual`, or, where whole calls are "
            "skipped, the output as `velocity`, `x0` or `eps`. `auto` takes `residual` or "
            "`velocity`, as the rule skips.",
        )
        variable: Variable = Field(
            "index",
            description="By what: the step's `index`, the noise level `sigma`, or `log_snr`.",
        )
        alpha: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | str = Field(
            1.0,
            description="Of `blend`: 0 is reuse, 1 is Taylor's order 1; or a file of `sraccel "
            "calibrate blend`.",
        )
        noise: Literal["auto", "measure"] | Annotated[float, Field(ge=0, allow_inf_nan=False)] = (
            Field(
                "auto",
                description="Noise of a computed value relative to its size, by which order 1 is "
                "shrunk towards reuse. `measure`: by two further calls of each denoiser, once; "
                "`auto`: so, where a kernel or a dtype below float32 makes some, else 0.",
            )
        )

        @model_validator(mode="after")
        def _fits(self) -> Any:
            if self.kind == "hermite" and self.variable != "index":
                raise ValueError(
                    "`kind: hermite` is defined in steps: give `kind: taylor` with this variable"
                )
            return self

        def doubts(self, sampling: Sampling) -> Iterable[str]:
            if self.kind == "reuse" or (self.kind == "blend" and self.alpha == 0):
                yield "it does what sraccel does without it: the last computed value is reused"

    options: Options

    def __init__(self, options: AcceleratorOptions | None = None) -> None:
        super().__init__(options)
        kind = self.options.kind
        self.order = {"reuse": 0, "blend": 1}.get(kind, self.options.order)
        self.history_length = self.order + 1
        if self.options.of != "auto":
            self.levels = frozenset({"blocks" if self.options.of == "residual" else "call"})
        self._alpha = 1.0  # of a file, until it is read
        if not isinstance(self.options.alpha, str):
            self._alpha = self.options.alpha
        self._noise: dict[str, float] = {}  # by role; as long as the stack lives
        self._seen: list[torch.Tensor] | None = None  # while noise is measured

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        self._load_alpha(stack)
        if self.options.of in NEEDS_NO_LEVELS and self.options.variable == "index":
            return
        for denoiser in stack.denoisers.values():
            if denoiser.noise_space is None:
                raise ModelError(
                    f"forecast: what the timesteps of the denoiser {denoiser.role!r} mean is not "
                    f"known: take `variable: index` and `of: auto`"
                )

    def _load_alpha(self, stack: Stack) -> None:
        given = self.options.alpha
        if not isinstance(given, str) or self.options.kind != "blend":
            return
        file = FitFile.load(given, "blend")
        if not file.fits(stack.own):
            raise ModelError(
                f"forecast: {given} was calibrated on {file.class_name} with other weights than "
                f"those of the denoiser {stack.own.role!r}: `sraccel calibrate blend`"
            )
        self._alpha = file.fit["alpha"]

    @hookimpl
    def run_started(self, run: Run) -> None:
        given = self.options.model_dump(include={"kind", "variable"})
        run.note(self, **given, order=self.order)
        for role, value in self._noise.items():
            run.note(self, **{f"noise_{role}": value})

    # What is kept, and what is predicted.

    def history_value(self, call: Call, value: torch.Tensor) -> torch.Tensor:
        """The quantity that is extrapolated, of the shape of the value."""
        if self._seen is not None:
            self._seen.append(value)
        of = self._of(call)
        if of is None:
            return value
        kept: torch.Tensor = to_quantity(of, _space(call), _levels(call), call.model_input, value)
        return kept

    @hookimpl
    def predict(self, call: Call) -> torch.Tensor:
        predicted, of = self._extrapolated(call), self._of(call)
        if of is None:
            return predicted
        answer: torch.Tensor = to_prediction(
            of, _space(call), _levels(call), call.model_input, predicted
        )
        return answer

    def _of(self, call: Call) -> str | None:
        """The quantity of the output; None: the value is extrapolated as it is."""
        of = self.options.of
        if call.level == "blocks" or (of == "auto" and _requested(call).noise_space is None):
            return None
        return "velocity" if of == "auto" else of

    def _extrapolated(self, call: Call) -> torch.Tensor:
        """In the dtype of the values; their weighted sum is taken in float32 at least."""
        import torch

        history = call.history
        values = [item.value for item in history]
        factors = weights(
            self.options.kind, self.order, self._times(call), self._now(call), self._alpha
        )
        last = values[-1]
        if factors[-1] == 1.0 and not any(factors[:-1]):
            return last.clone()
        precision = torch.promote_types(last.dtype, torch.float32)
        found = torch.zeros_like(last, dtype=precision)
        for factor, value in zip(factors, values, strict=True):
            if factor:
                found.add_(value, alpha=factor)
        return self._shrunk(call, found, last, values[-2]).to(last.dtype)

    def _shrunk(
        self, call: Call, found: torch.Tensor, last: torch.Tensor, before: torch.Tensor
    ) -> torch.Tensor:
        """Nearer to reuse, as far as the slope is noise."""
        level = self._noise_of(call)
        if not level:
            return found
        of = self._of(call)
        if of is not None:
            level *= max(gain(of, _space(call), _levels_of(item, call)) for item in call.history)
        kept = noise.kept_share(last, before, level)
        call.step.measure(self, slope_kept=kept)
        return last + kept * (found - last)

    def _times(self, call: Call) -> list[float]:
        variable = self.options.variable
        return [
            time_at(
                variable,
                item.step_index,
                None if variable == "index" else _levels_of(item, call),
            )
            for item in call.history
        ]

    def _now(self, call: Call) -> float:
        variable = self.options.variable
        levels = None if variable == "index" else _levels(call)
        return time_at(variable, call.step.solver_step, levels)

    # Noise.

    def _noise_of(self, call: Call) -> float:
        given = self.options.noise
        return self._noise.get(call.denoiser.role, 0.0) if isinstance(given, str) else given

    @hookimpl
    def answer_call(self, call: Call) -> torch.Tensor | None:
        """The call's own answer, after two further ones where noise is to be measured."""
        role, given = call.denoiser.role, self.options.noise
        if not self.order or not isinstance(given, str) or role in self._noise:
            return None
        stack = call.step.run.stack
        others = [one for one in stack.accelerators if one is not self]
        why = "asked for" if given == "measure" else noise.why_noisy(call.denoiser, others)
        if why is None or stack.skipping.rule is None:
            self._noise[role] = 0.0
            return None
        return self._measured(call, why)

    def _measured(self, call: Call, why: str) -> torch.Tensor:
        import torch

        adapter, noisy = _requested(call).adapter, call.model_input
        generator = torch.Generator().manual_seed(0)
        direction = torch.randn(noisy.shape, generator=generator).to(noisy)
        disturbance = noise.DISTURBANCE * noisy.std() * direction
        self._seen = []
        try:
            answer = call.evaluate()
            changes: list[dict[str, Any]] = [
                {adapter.latents: noisy + times * disturbance} for times in (1, 2)
            ]
            disturbed = [call.evaluate(**change) for change in changes]
            values = self._seen if len(self._seen) == 3 else [answer, *disturbed]
            found = noise.measured(values)
        finally:
            self._seen = None
        self._noise[call.denoiser.role] = found
        role = call.denoiser.role
        call.step.run.note(self, **{f"noise_{role}": found, f"noise_measured_for_{role}": why})
        return answer


def _requested(call: Call) -> Denoiser:
    """The denoiser that the loop called: predictions are in its terms, whoever answers."""
    return call.step.run.stack.denoisers[call.requested]


def _space(call: Call) -> NoiseSpace:
    space = _requested(call).noise_space
    assert space is not None  # check_stack saw to it
    return space


def _levels(call: Call) -> tuple[float, float]:
    step = call.step
    return _space(call).levels_at(_known(step.timestep), step.sigma)


def _levels_of(item: Computed, call: Call) -> tuple[float, float]:
    return _space(call).levels_at(_known(item.timestep), item.sigma)


def _known(timestep: float | None) -> float:
    if timestep is None:
        raise ModelError(
            "forecast: the loop does not say its timesteps: pass `timestep=` to run.step(...), or "
            "take `variable: index` and `of: residual`"
        )
    return timestep
