"""Which part of a prompt's work lies before the switch, and which after it: arithmetic alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sraccel.check.pipeline_outline import outline_of
from sraccel.check.third_party import made
from sraccel.check.tokens import tokens_of, width_of
from sraccel.composer import compose
from sraccel.loop.clock import median
from sraccel.prediction.decisions import Given, decisions_of
from sraccel.prediction.workbench import without_weights
from sraccel.recipe.sampling import USUAL_STEPS, Sampling

if TYPE_CHECKING:
    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.stack import Stack
    from sraccel.recipe.recipe import Recipe


def stage_work(recipe: Recipe, model: str, call: Mapping[str, Any]) -> tuple[float, float]:
    """The parts of a prompt's denoising in the sketch and in the render stage; they sum to 1.

    Steps by the decisions that a prediction takes, times the multiplications of a step. Nothing is
    run and no weights are read. What is beside the denoisers (encoding, decoding) is left out.

    Args:
        recipe: one that brings a second model.
        model: of the pipeline; a folder, a name on the hub (its configurations are fetched) or
            `demo`.
        call: arguments of the pipeline's call.

    Raises:
        SraccelError: the recipe cannot be composed with the model, or an accelerator does not say
            what it will do.
    """
    stack = compose(
        outline_of(model), [made(without_weights(item)) for item in recipe.accelerators]
    )
    steps = int(call.get("num_inference_steps") or USUAL_STEPS)
    decided = decisions_of(stack, model, steps, Given())
    switch = steps if decided.switch is None else decided.switch
    sampling = Sampling.of_call(call)

    def work(roles: Sequence[str], taken: Sequence[int]) -> float:
        return median(
            (len(taken) - len(decided.skipped(role, taken)))
            * _products(stack, stack.denoisers[role], sampling)
            for role in roles
        )

    own = [role for role in stack.denoisers if role not in stack.contributions]
    before = work(own, range(switch))
    after = work([decided.role] if decided.role else own, range(switch, steps))
    return before / (before + after), after / (before + after)


def _products(stack: Stack, denoiser: Denoiser, sampling: Sampling) -> float:
    """Multiplications of a call, for each token: one for each weight, and those of attention."""
    config: Mapping[str, Any] = denoiser.config
    weights = float(denoiser.describe()["parameters"])
    tokens = tokens_of(denoiser, stack.pipeline, sampling)
    if tokens is None:
        return weights
    return weights + 2.0 * tokens * width_of(denoiser) * int(config["num_layers"])
