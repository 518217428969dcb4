"""Runs of a target, bare or under a recipe, and everything that came of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from sraccel.composer import compose
from sraccel.loop.stack import Stack
from sraccel.testing.target import STEPS, Target

BRANCHES = ("cond", "uncond")
SIGMAS = [1.0 - index / STEPS for index in range(STEPS)]


@dataclass
class Trace:
    """One run of a pipeline.

    Attributes:
        latents: after each step of the solver.
        report: of the stack, if there was one.
        calls: the run's calls, as the loop made them.
    """

    latents: list[torch.Tensor] = field(default_factory=list)
    report: Any = None
    calls: list[Any] = field(default_factory=list)

    def first_difference(self, other: Trace) -> int | None:
        """The first step after which two runs have other latents; None: they are the same."""
        for index, (one, another) in enumerate(zip(self.latents, other.latents, strict=False)):
            if one.shape != another.shape or not torch.equal(one, another):
                return index
        shorter = min(len(self.latents), len(other.latents))
        return shorter if len(self.latents) != len(other.latents) else None


Disturbance = Callable[[Any, int], None]
"""Called after each step with the pipeline and the step's index; may raise."""


def run(
    target: Target,
    pipe: Any,
    stack: Stack | None = None,
    *,
    seed: int = 0,
    steps: int = STEPS,
    disturb: Disturbance | None = None,
) -> Trace:
    """Call a target's pipeline, which may be attached; latents are kept step by step."""
    trace = Trace()
    done = len(stack.reports) if stack is not None else 0
    opened: list[Any] = []

    def after_step(pipe: Any, index: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        trace.latents.append(tensors["latents"].clone())
        if stack is not None and not opened:
            opened.append(stack.current_run)
        if disturb is not None:
            disturb(pipe, index)
        return {}

    assert target.arguments is not None
    arguments = target.arguments(steps=steps, seed=seed)
    with torch.no_grad():
        pipe(**arguments, callback_on_step_end=after_step)
    if stack is not None and len(stack.reports) > done:
        trace.report = stack.report
    if opened and opened[0] is not None:
        trace.calls = [call for step in opened[0].steps for call in step.calls]
    return trace


def bare(target: Target, *, seed: int = 0, steps: int = STEPS) -> Trace:
    """A bare run of a pipeline of the target's; computed once."""

    def make() -> Trace:
        assert target.pipeline is not None
        return run(target, target.pipeline(), seed=seed, steps=steps)

    found: Trace = target.once(f"bare {seed} {steps}", make)
    return found


@dataclass(frozen=True)
class Visit:
    """One call of a loop of the kit's: of a branch, with the text of this number."""

    branch: str
    text: int


Script = Sequence[Sequence[Visit]]
"""The calls of each step."""
Outputs = dict[tuple[int, str], torch.Tensor]
"""What the denoiser answered, by step and branch."""


def script(texts: dict[str, int] | None = None, branches: Sequence[str] = BRANCHES) -> Script:
    """Every step calls these branches, each with the text of a number."""
    numbers = texts or {}
    visits = [Visit(name, numbers.get(name, place + 1)) for place, name in enumerate(branches)]
    return [visits] * STEPS


def noise(target: Target, index: int, seed: int = 0) -> torch.Tensor:
    """Noisy latents at a step: they change smoothly, as in sampling."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(target.latents, generator=generator)
    clean = torch.randn(target.latents, generator=generator)
    return SIGMAS[index] * start + (1 - SIGMAS[index]) * clean


def composed(target: Target, module: Any, items: list[Any]) -> Stack:
    """A stack on a denoiser without a pipeline."""
    stack = compose(
        module,
        items,
        adapters=target.adapters,
        noise_space=target.noise_space,
        role=target.roles[0],
    )
    stack.logs_warnings = False
    return stack


def looped(
    target: Target,
    stack: Stack,
    module: Any,
    calls: Script,
    seeds: Sequence[int] = (),
) -> Generator[int, None, Outputs]:
    """A run of the kit's own loop, whose inputs do not depend on what the denoiser answers.

    So whatever differs between two runs with the same inputs is due to what somebody remembers. It
    yields after each step, that others may run in between.

    Args:
        seeds: of the noisy latents, step by step; 0 where there are none.
    """
    outputs: Outputs = {}
    assert target.inputs is not None
    with stack.run(num_inference_steps=len(calls)) as opened:
        for index, visits in enumerate(calls):
            latents = noise(target, index, seeds[index] if seeds else 0)
            timestep = 1000 * SIGMAS[index]
            with opened.step(index, timestep=timestep, sigma=SIGMAS[index]) as step:
                for visit in visits:
                    given = target.inputs(latents, timestep, visit.text)
                    with step.branch(visit.branch), torch.no_grad():
                        outputs[index, visit.branch] = module(**given)[0].clone()
                guided = outputs[index, visits[0].branch].reshape(latents.shape)
                step.finish(guided, latents)
            yield index
    return outputs


def finished(loop: Generator[int, None, Outputs]) -> Outputs:
    """The outputs of a loop that is run to its end."""
    while True:
        try:
            next(loop)
        except StopIteration as stopped:
            found: Outputs = stopped.value
            return found


def differing(one: Outputs, other: Outputs, where: Callable[[int, str], bool]) -> list[str]:
    """The calls whose outputs differ, of those that are asked about: `step 3 (cond)`."""
    return [
        f"step {index} ({branch})"
        for (index, branch), output in one.items()
        if where(index, branch) and not torch.equal(output, other[index, branch])
    ]
