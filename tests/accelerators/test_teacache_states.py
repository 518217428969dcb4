"""TeaCache through any order of runs, breaks, switches and re-attachments: nothing stale is used.

Every run happens twice, on two pipelines that live long: with threshold 0 it must equal the run
without TeaCache; with a threshold that skips, the same run on a fresh pipeline and stack, and that
in turn the definition of the rule, written down below. All of it bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from diffusers import WanVideoToVideoPipeline
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tiny_models import IDENTITY, TEXT_DIM, call_arguments, tiny_pipeline, tiny_transformer

import sraccel
from sraccel import LoopError

THRESHOLDS = (0.8, 1.2, 2.0, 3.0)
SIZES = ((16, 16), (32, 16), (16, 32))
Callback = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Recipe:
    """Threshold of TeaCache (None: without it) and where SRDiffusion switches (None: without)."""

    threshold: float | None
    switch_step: int | None = None

    def items(self, render: Any) -> list[dict[str, Any]]:
        switch = {"use": "srdiffusion", "render": render, "switch_step": self.switch_step}
        cached = {
            "use": "teacache",
            "threshold": self.threshold,
            "coefficients": IDENTITY
            if self.switch_step is None
            else {"transformer": IDENTITY, "render": IDENTITY},
        }
        return [switch] * (self.switch_step is not None) + [cached] * (self.threshold is not None)


@dataclass(frozen=True)
class Sampling:
    """One run, and what happens in it at step `at`."""

    steps: int
    size: tuple[int, int] = (16, 16)
    guidance: float = 4.0
    prompts: int = 1
    event: str | None = None
    at: int = 0
    loop: str = "pipeline"


@dataclass(frozen=True)
class Result:
    """What a run led to; `reused` by step and branch."""

    latents: torch.Tensor | None
    reused: tuple[tuple[tuple[str, bool], ...], ...] = ()
    outcome: str | None = None

    @property
    def skips(self) -> list[bool]:
        return [reused for step in self.reused for _, reused in step]

    def equals(self, other: Result) -> bool:
        if self.latents is None or other.latents is None:
            return self.latents is other.latents
        return torch.equal(self.latents, other.latents)


PROBE = Sampling(steps=6)


class Target:
    """A pipeline with a stack, or without one."""

    def __init__(self) -> None:
        self.pipe = tiny_pipeline()
        self.render = tiny_transformer(seed=7, layers=2)
        self.stack: sraccel.Stack | None = None
        self.definition: Definition | None = None

    def attach(self, recipe: Recipe) -> None:
        self.stack = sraccel.compose(self.pipe, recipe.items(self.render)).attach()
        self.stack.logs_warnings = False

    def run(self, sampling: Sampling) -> Result:
        loop = {"pipeline": by_pipeline, "own": by_own_loop, "video": by_video_to_video}
        reports = len(self.stack.reports) if self.stack else 0
        try:
            latents = loop[sampling.loop](self, sampling)
        except (ValueError, KeyboardInterrupt) as error:
            if str(error) != "on purpose":
                raise
            latents = None
        if self.stack is None:
            return Result(latents)
        assert len(self.stack.reports) == reports + 1, "each run has one report"
        assert self.stack.current_run is None
        report = self.stack.report
        reused = tuple(
            tuple((call.branch, call.reused) for call in step.calls) for step in report.steps
        )
        return Result(latents, reused, report.outcome)

    def attributes(self) -> list[set[str]]:
        """Names of what lies on the pipeline, its scheduler and every module."""
        modules = [*self.pipe.transformer.modules(), *self.render.modules()]
        return [set(vars(item)) for item in (self.pipe, self.pipe.scheduler, *modules)]


def by_pipeline(target: Target, sampling: Sampling) -> torch.Tensor:
    height, width = sampling.size
    arguments = call_arguments(
        steps=sampling.steps,
        guidance=sampling.guidance,
        height=height,
        width=width,
        callback_on_step_end=callback(target, sampling),
    )
    conditions = torch.Generator().manual_seed(sampling.prompts)
    for name in ("prompt_embeds", "negative_prompt_embeds"):
        arguments[name] = torch.randn(sampling.prompts, 6, TEXT_DIM, generator=conditions)
    latents: torch.Tensor = target.pipe(**arguments).frames
    return latents


def callback(target: Target, sampling: Sampling) -> Callback:
    def at_the_end_of_a_step(pipe: Any, index: int, t: Any, tensors: Any) -> dict[str, Any]:
        if target.definition is not None:
            target.definition.step_over(index)
        if sampling.event == "guidance pauses":
            paused = sampling.at <= index < sampling.at + 2
            pipe._guidance_scale = 1.0 if paused else sampling.guidance
        if index == sampling.at:
            if sampling.event == "interrupt":
                pipe._interrupt = True
            elif sampling.event == "error":
                raise ValueError("on purpose")
            elif sampling.event == "error in the model":
                once_on_purpose(pipe.transformer.proj_out, target.render.proj_out)
            elif sampling.event == "ctrl-c":
                raise KeyboardInterrupt("on purpose")
            elif sampling.event == "detach" and target.stack is not None:
                target.stack.detach()
                with pytest.raises(LoopError, match="is running"):
                    target.stack.attach()
        return {}

    return at_the_end_of_a_step


def once_on_purpose(*modules: torch.nn.Module) -> None:
    """The next forward of any of them raises: behind the blocks, be they run or skipped."""

    def fail(module: torch.nn.Module, args: Any) -> None:
        for hook in hooks:
            hook.remove()
        raise ValueError("on purpose")

    hooks = [module.register_forward_pre_hook(fail) for module in modules]


def by_own_loop(target: Target, sampling: Sampling) -> torch.Tensor:
    """Three branches; it breaks off after step `at` if it is to."""
    pipe, scheduler = target.pipe, target.pipe.scheduler
    noise = torch.Generator().manual_seed(3)
    texts = [torch.randn(1, 6, TEXT_DIM, generator=noise) for _ in range(3)]
    latents = torch.randn(1, 4, 2, *(side // 2 for side in sampling.size), generator=noise)
    with ExitStack() as entered:
        run = None
        if target.stack is not None:
            run = entered.enter_context(target.stack.run(num_inference_steps=sampling.steps))
        scheduler.set_timesteps(sampling.steps)
        for index, t in enumerate(scheduler.timesteps):
            with nullcontext() if run is None else run.step(index, timestep=float(t)) as step:
                found = []
                for branch, text in zip(("cond", "uncond", "third"), texts, strict=True):
                    with nullcontext() if step is None else step.branch(branch):
                        arguments = latents, t.expand(1), text
                        found.append(pipe.transformer(*arguments, return_dict=False)[0])
                guided = found[1] + 3.0 * (found[0] - found[1]) + 0.5 * (found[2] - found[1])
                if step is not None:
                    step.finish(guided, latents)
            latents = scheduler.step(guided, t, latents, return_dict=False)[0]
            callback(target, sampling)(pipe, index, t, {})
            if sampling.event == "interrupt" and index == sampling.at:
                break
    return latents


def by_video_to_video(target: Target, sampling: Sampling) -> torch.Tensor:
    """Another pipeline of the same model and scheduler; it begins late."""
    parts = {name: getattr(target.pipe, name) for name in ("vae", "scheduler", "transformer")}
    pipe = WanVideoToVideoPipeline(tokenizer=None, text_encoder=None, **parts)
    pipe.set_progress_bar_config(disable=True)
    arguments = call_arguments(steps=sampling.steps, guidance=sampling.guidance)
    del arguments["num_frames"]
    video = torch.randn(1, 4, 2, 8, 8, generator=torch.Generator().manual_seed(5))
    latents: torch.Tensor = pipe(latents=video, strength=0.6, **arguments).frames
    return latents


class Definition:
    """TeaCache and the switch by hand, on a pipeline without a stack.

    What a branch remembers is of the very step before and of the same model, or is not there.
    """

    def __init__(self, target: Target, recipe: Recipe, steps: int) -> None:
        self.target, self.recipe, self.last = target, recipe, steps - 1
        self.step = 0
        self.skips: list[bool] = []
        for model in (target.pipe.transformer, target.render):
            model.blocks = torch.nn.ModuleList([DefinedStack(self, model)])

    def step_over(self, index: int) -> None:
        self.step = index + 1
        if self.step == self.recipe.switch_step:
            self.target.pipe.transformer = self.target.render


class DefinedStack(torch.nn.Module):
    """Blocks in whose place stands the rule; branches are told apart by their text."""

    def __init__(self, definition: Definition, model: Any) -> None:
        super().__init__()
        self.of, self.inner = definition, model.blocks
        self.states: dict[float, dict[str, Any]] = {}
        model.condition_embedder.time_embedder.register_forward_hook(self._keep)

    def _keep(self, module: Any, args: Any, output: torch.Tensor) -> None:
        self.embedding = output

    def forward(self, hidden: torch.Tensor, text: torch.Tensor, *more: Any) -> torch.Tensor:
        step, branch = self.of.step, float(text.sum())
        before = self.states.get(branch, {"step": -2})
        state = self.states[branch] = {**before, "step": step, "input": self.embedding}
        skip = False
        if before["step"] == step - 1 and 0 < step < self.of.last:
            change = (self.embedding - before["input"]).abs().mean() / before["input"].abs().mean()
            state["sum"] += float(change)
            skip = state["sum"] < self.of.recipe.threshold
        self.of.skips.append(skip)
        if skip:
            return hidden + state["residual"]
        output = hidden
        for block in self.inner:
            output = block(output, text, *more)
        state["sum"], state["residual"] = 0.0, output - hidden
        return output


def by_definition(recipe: Recipe, sampling: Sampling) -> tuple[Result, list[bool]]:
    target = Target()
    target.definition = Definition(target, recipe, sampling.steps)
    return target.run(sampling), target.definition.skips


@cache
def on_a_fresh_target(recipe: Recipe, sampling: Sampling) -> Result:
    target = Target()
    if recipe != Recipe(None):
        target.attach(recipe)
    result = target.run(sampling)
    if recipe.threshold and sampling.loop != "video" and sampling.event != "detach":
        defined, skips = by_definition(recipe, sampling)
        assert result.skips == skips
        assert result.equals(defined)
    return result


class TeaCacheStates(RuleBasedStateMachine):
    """One long-lived pipeline that skips and one whose threshold is 0, side by side."""

    @initialize(threshold=st.sampled_from(THRESHOLDS))
    def begin(self, threshold: float) -> None:
        self.caching, self.neutral = Target(), Target()
        for target in (self.caching, self.neutral):
            target.run(PROBE)  # diffusers keeps a registry on the modules from then on
            with target.render.cache_context("any"):
                pass
        self.before = self.caching.attributes(), self.neutral.attributes()
        self._attach(threshold, None)

    def _attach(self, threshold: float, switch_step: int | None) -> None:
        self.recipe = Recipe(threshold, switch_step)
        self.caching.attach(self.recipe)
        self.neutral.attach(Recipe(0.0, switch_step))

    def _detach(self) -> None:
        for target in (self.caching, self.neutral):
            assert target.stack is not None
            target.stack.detach()
            target.stack = None

    def _run(self, sampling: Sampling) -> None:
        found = self.caching.run(sampling)
        fresh = on_a_fresh_target(self.recipe, sampling)
        assert found.outcome == fresh.outcome
        assert found.reused == fresh.reused
        assert found.equals(fresh)
        without = on_a_fresh_target(Recipe(None, self.recipe.switch_step), sampling)
        found = self.neutral.run(sampling)
        assert not any(found.skips)
        assert found.equals(without)

    @rule(
        steps=st.integers(2, 14),
        size=st.sampled_from(SIZES),
        guidance=st.sampled_from((1.0, 4.0)),
        prompts=st.sampled_from((1, 2)),
    )
    def a_full_run(self, steps: int, size: tuple[int, int], guidance: float, prompts: int) -> None:
        self._run(Sampling(steps, size, guidance, prompts))

    @rule(
        event=st.sampled_from(("interrupt", "error", "ctrl-c", "error in the model")),
        steps=st.sampled_from((8, 12)),
        at=st.integers(0, 6),  # not the last step: the model would not be called again
    )
    def a_run_that_breaks_off(self, event: str, steps: int, at: int) -> None:
        self._run(Sampling(steps, event=event, at=at))

    @rule(at=st.integers(1, 6))
    def a_run_in_which_guidance_pauses(self, at: int) -> None:
        self._run(Sampling(10, event="guidance pauses", at=at))

    @rule(at=st.integers(0, 6))
    def a_run_in_which_the_stack_comes_off_for_good(self, at: int) -> None:
        self._run(Sampling(8, event="detach", at=at))
        self.off_and_on_again()

    @rule(event=st.sampled_from((None, "interrupt")), steps=st.sampled_from((5, 10)))
    def a_loop_of_ones_own_with_three_branches(self, event: str | None, steps: int) -> None:
        self._run(Sampling(steps, event=event, at=3, loop="own"))

    @rule(steps=st.sampled_from((6, 12)))
    def a_run_that_begins_late(self, steps: int) -> None:
        self._run(Sampling(steps, loop="video"))

    @rule()
    def off_and_on_again(self) -> None:
        for target in (self.caching, self.neutral):
            assert target.stack is not None
            target.stack.detach()
            target.stack.attach()

    @rule(
        threshold=st.sampled_from(THRESHOLDS),
        switch_step=st.sampled_from((None, 1, 3, 5)),
    )
    def another_recipe(self, threshold: float, switch_step: int | None) -> None:
        self._detach()
        self._attach(threshold, switch_step)

    @invariant()
    def the_next_run_is_as_on_a_fresh_pipeline(self) -> None:
        self._run(PROBE)

    def teardown(self) -> None:
        if not hasattr(self, "before"):
            return
        self._detach()
        for target, before in zip((self.caching, self.neutral), self.before, strict=True):
            assert target.attributes() == before
            assert target.run(PROBE).equals(on_a_fresh_target(Recipe(None), PROBE))


TestTeaCacheStates = TeaCacheStates.TestCase
TestTeaCacheStates.settings = settings(
    max_examples=6,
    stateful_step_count=12,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking would outlast the timeout
)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_the_runs_above_do_skip(threshold: float) -> None:
    for sampling in (Sampling(14), Sampling(10, event="guidance pauses", at=4)):
        skips = on_a_fresh_target(Recipe(threshold), sampling).skips
        assert 0.2 < sum(skips) / len(skips) < 0.7
    assert any(on_a_fresh_target(Recipe(threshold), PROBE).skips)
