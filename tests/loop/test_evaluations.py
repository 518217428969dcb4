"""Steps of the solver and evaluations of the model are not the same thing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers
import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2DiscreteScheduler,
    PNDMScheduler,
    SchedulerMixin,
    UniPCMultistepScheduler,
    WanTransformer3DModel,
)
from tiny import COGVIDEOX_DDIM, WAN, TinyFamily
from tiny_models import IDENTITY, tiny_pipeline

import sraccel
from sraccel.loop.evaluations import evaluations_of
from sraccel.plugin import Accelerator, Call, Step, hookimpl

Generate = Callable[..., torch.Tensor]
FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}
FIRST_ORDER = {
    "unipc": lambda: UniPCMultistepScheduler(**FLOW),
    "dpm": lambda: DPMSolverMultistepScheduler(**FLOW),
    "euler": lambda: FlowMatchEulerDiscreteScheduler(shift=3.0),
}
SECOND_ORDER = {
    "flow heun": lambda: FlowMatchHeunDiscreteScheduler(shift=3.0),
    "heun": lambda: HeunDiscreteScheduler(),
    "kdpm2": lambda: KDPM2DiscreteScheduler(),
}
SCHEDULERS: dict[str, Callable[[], Any]] = {**FIRST_ORDER, **SECOND_ORDER}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_teacache_at_a_threshold_near_0_skips_nothing_under_any_scheduler(
    name: str, generate: Generate
) -> None:
    pipe = tiny_pipeline(scheduler=SCHEDULERS[name]())
    recipe = [{"use": "teacache", "threshold": 1e-12, "coefficients": IDENTITY}]
    with sraccel.compose(pipe, recipe) as stack:
        generate(pipe)
    report = stack.report
    assert not any(call.reused for step in report.steps for call in step.calls)
    assert report.outcome == "finished"
    second = name in SECOND_ORDER
    assert report.num_solver_steps == 8
    assert report.num_inference_steps == len(report.steps) == (15 if second else 8)
    found = [(step.solver_step, step.evaluation) for step in report.steps]
    assert found == ([divmod(k, 2) for k in range(15)] if second else [(k, 0) for k in range(8)])


def test_teacache_at_a_threshold_near_0_changes_nothing_under_every_scheduler_of_diffusers():
    """All that one of two tiny pipelines runs bare; the rest are for other kinds of models."""
    ran = set()
    recipe = [{"use": "teacache", "threshold": 1e-12, "coefficients": IDENTITY}]
    for tiny in (WAN, COGVIDEOX_DDIM):
        pipe = tiny.pipeline()
        for kind in every_scheduler() - ran:
            try:
                pipe.scheduler = kind()
                bare = generated(pipe, tiny)
            except Exception:
                continue  # not for this pipeline
            pipe.scheduler = kind()
            with sraccel.compose(pipe, recipe) as stack:
                stack.logs_warnings = False
                cached = generated(pipe, tiny)
            assert torch.equal(cached.nan_to_num(), bare.nan_to_num()), kind
            assert not any(call.reused for step in stack.report.steps for call in step.calls), kind
            assert stack.report.outcome == "finished", kind
            ran.add(kind)
    assert len(ran) >= 25


def every_scheduler() -> set[type[SchedulerMixin]]:
    """All that diffusers exports."""
    names = [name for name in dir(diffusers) if name.endswith("Scheduler")]
    return {getattr(diffusers, name) for name in names}


def generated(pipe: Any, tiny: TinyFamily) -> torch.Tensor:
    torch.manual_seed(0)  # some schedulers draw noise of their own
    return tiny.generate(pipe, 4)


@pytest.mark.parametrize("name", SECOND_ORDER)
@pytest.mark.parametrize("switch_step", [1, 4])
def test_a_predictor_and_its_corrector_are_never_cut_by_a_switch(
    name: str, switch_step: int, render: WanTransformer3DModel, generate: Generate
) -> None:
    pipe = tiny_pipeline(scheduler=SECOND_ORDER[name]())
    recipe = [{"use": "srdiffusion", "render": render, "switch_step": switch_step}]
    with sraccel.compose(pipe, recipe) as stack:
        generate(pipe)
    by_step: dict[Any, set[str]] = {}
    for step in stack.report.steps:
        by_step.setdefault(step.solver_step, set()).add(step.denoiser)
    expected = [{"render" if step >= switch_step else "transformer"} for step in range(8)]
    assert list(by_step.values()) == expected


class SwitchesEverySecondEvaluation(Accelerator):
    """Would cut every pair, if it were asked within one."""

    name = "switches-every-second-evaluation"

    @hookimpl
    def contribute_denoisers(self) -> dict[str, Any]:
        return {"other": tiny_pipeline(seed=3).transformer}

    @hookimpl
    def select_denoiser(self, step: Step) -> str | None:
        return "other" if step.index % 2 else None


def test_no_accelerator_is_asked_for_a_model_within_a_pair(generate: Generate) -> None:
    pipe = tiny_pipeline(scheduler=SECOND_ORDER["flow heun"]())
    accelerator = SwitchesEverySecondEvaluation()
    with sraccel.compose(pipe, [accelerator]) as stack:
        generate(pipe)
    assert {step.denoiser for step in stack.report.steps} == {"transformer"}


class KnowsItsEvaluation(Accelerator):
    """Skips the corrector of every second step, by its own history."""

    name = "knows-its-evaluation"

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        step = call.step
        held = [item.step_index for item in call.history]
        computed_before = step.solver_step - 1 if step.evaluation == 0 else step.solver_step // 2
        assert not held or step.evaluation or held == [computed_before]
        return step.evaluation == 1 and step.solver_step % 2 == 1


def test_rules_are_asked_for_each_evaluation_and_know_which_they_are_in(
    generate: Generate,
) -> None:
    pipe = tiny_pipeline(scheduler=SECOND_ORDER["flow heun"]())
    rule = KnowsItsEvaluation()
    with sraccel.compose(pipe, [rule]) as stack:
        generate(pipe)
    skipped = {
        (step.solver_step, step.evaluation)
        for step in stack.report.steps
        if any(call.reused for call in step.calls)
    }
    assert skipped == {(1, 1), (3, 1), (5, 1)}  # the last step, 7, has no corrector


def test_pndm_evaluates_the_model_twice_in_its_first_step_only() -> None:
    scheduler = PNDMScheduler(skip_prk_steps=True)
    scheduler.set_timesteps(5)
    found = [tuple(one) for one in evaluations_of(scheduler)]
    assert found == [(0, 0), (0, 1), (1, 0), (2, 0), (3, 0), (4, 0)]


def test_a_loop_of_ones_own_says_which_evaluation_a_step_is(pipe: Any) -> None:
    with sraccel.compose(pipe.transformer, []) as stack:
        with stack.run(num_inference_steps=3, num_solver_steps=2) as run:
            for evaluation in (0, 1, 0):
                with run.step(timestep=9.0, evaluation=evaluation):
                    pass
    assert [step.solver_step for step in stack.report.steps] == [0, 0, 1]
    assert (stack.report.num_inference_steps, stack.report.num_solver_steps) == (3, 2)
