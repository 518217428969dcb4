"""Invariant 3: runs, branches, pipelines and threads do not meet."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from tiny_models import IDENTITY, call_arguments, tiny_pipeline, tiny_transformer

import sraccel
from sraccel.plugin import Accelerator, Call, Step, hookimpl

Generate = Callable[..., torch.Tensor]
CACHE = {"use": "teacache", "threshold": 0.6, "coefficients": IDENTITY}


def skipped(report: sraccel.Report) -> list[list[bool]]:
    return [[call.reused for call in step.calls] for step in report.steps]


def test_two_pipelines_in_one_process_do_not_meet(generate: Generate) -> None:
    one, two = tiny_pipeline(seed=1), tiny_pipeline(seed=2)
    alone = []
    for pipe in (one, two):
        with sraccel.compose(pipe, [CACHE]):
            alone.append(generate(pipe, steps=12))
    results: dict[str, torch.Tensor] = {}

    def run_the_other(pipe: Any, index: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        if index == 5:
            results["two"] = generate(two, steps=12)
        return {}

    with sraccel.compose(one, [CACHE]), sraccel.compose(two, [CACHE]):
        results["one"] = generate(one, steps=12, callback_on_step_end=run_the_other)
    assert torch.equal(results["one"], alone[0])
    assert torch.equal(results["two"], alone[1])


def test_a_call_with_another_timestep_passes_through_bare(
    pipe: WanPipeline, generate: Generate
) -> None:
    """Somebody uses the denoiser between two steps: not a call of the watched loop."""
    calls = []

    def use_the_denoiser(pipe: Any, index: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        arguments = call_arguments()
        calls.append(
            pipe.transformer(
                hidden_states=torch.ones(1, 4, 2, 8, 8),
                timestep=torch.tensor([7]),
                encoder_hidden_states=arguments["prompt_embeds"],
                return_dict=False,
            )[0]
        )
        return {}

    with sraccel.compose(pipe, [CACHE]) as stack:
        expected = generate(pipe, steps=12)
        assert torch.equal(
            generate(pipe, steps=12, callback_on_step_end=use_the_denoiser), expected
        )
    assert skipped(stack.reports[0]) == skipped(stack.reports[1])
    assert all(torch.equal(call, calls[0]) for call in calls), "a foreign call was answered by us"


class Recorder(Accelerator):
    """Records what each branch's history holds; skips every other step."""

    name = "recorder"

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.held: dict[tuple[int, str], list[float]] = {}

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        held = [float(computed.value.sum()) for computed in call.history]
        self.held[call.step.index, call.branch] = held
        assert call.memory(self, lambda: held[:]) == held, "a state lives as long as a history"
        return call.step.index % 2 == 1

    @hookimpl
    def residual_computed(self, call: Call, residual: torch.Tensor) -> None:
        call.memory(self, list)[:] = [float(residual.sum())]

    @hookimpl
    def step_finished(self, step: Step) -> None:
        for call in step.calls:  # its tensors are gone; the memory can still be read
            assert len(call.memory(self, list)) == 1


def held_in(pipe: WanPipeline, *steps: list[str]) -> dict[tuple[int, str], list[float]]:
    """What a recorder's history holds in a loop whose steps have these branches, by both."""
    with sraccel.compose(pipe.transformer, [Recorder.Options()]) as stack:
        with stack.run(num_inference_steps=len(steps)) as run:
            for index, branches in enumerate(steps):
                with run.step(index, timestep=900.0 - index, sigma=0.5) as step:
                    for branch in branches:
                        with step.branch(branch):
                            denoise(pipe, torch.full((1, 6, 16), float(len(branch))))
    recorder = stack.accelerators[0]
    assert isinstance(recorder, Recorder)
    return recorder.held


def denoise(pipe: WanPipeline, text: torch.Tensor, *, by_position: bool = False) -> None:
    args = (torch.ones(1, 4, 2, 8, 8), torch.tensor([900]))
    if by_position:
        pipe.transformer(*args, text)
    else:
        pipe.transformer(*args, encoder_hidden_states=text)


@pytest.mark.parametrize("branches", [["cond"], ["cond", "uncond"], ["cond", "uncond", "image"]])
def test_each_of_one_two_or_three_branches_keeps_its_own_state(
    branches: list[str], pipe: WanPipeline
) -> None:
    held = held_in(pipe, *[branches] * 4)
    assert all(held[1, branch] == held[3, branch] for branch in branches)
    assert len({tuple(held[1, branch]) for branch in branches} - {()}) == len(branches)


def test_state_is_fresh_after_a_guidance_interval(pipe: WanPipeline) -> None:
    """uncond is left out of steps 2 and 3: what it held is stale at step 4."""
    both = ["cond", "uncond"]
    held = held_in(pipe, both, both, ["cond"], ["cond"], both, both)
    assert [bool(held[index, "uncond"]) for index in (0, 1, 4, 5)] == [False, True] * 2


@pytest.mark.parametrize("by_position", [False, True])
def test_branches_without_a_name_differ_by_their_conditioning(
    pipe: WanPipeline, by_position: bool
) -> None:
    texts = [torch.full((1, 6, 16), value) for value in (1.0, 2.0)]
    with sraccel.compose(pipe.transformer, []) as stack, stack.run(num_inference_steps=2) as run:
        for order in ([0, 1], [1, 0]):
            with run.step(timestep=900.0):
                for number in order:
                    denoise(pipe, texts[number], by_position=by_position)
    named = [[call.branch for call in step.calls] for step in stack.report.steps]
    assert named == [["branch0", "branch1"], ["branch1", "branch0"]]


def test_a_second_thread_is_refused_while_a_run_is_open(
    pipe: WanPipeline, generate: Generate
) -> None:
    errors: list[BaseException] = []

    def in_a_thread() -> None:
        torch.set_grad_enabled(False)
        try:
            generate(pipe)
        except sraccel.LoopError as error:
            errors.append(error)

    def callback(pipe: Any, index: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        if index == 2:
            thread = threading.Thread(target=in_a_thread)
            thread.start()
            thread.join()
        return {}

    bare = generate(pipe)
    with sraccel.compose(pipe, []) as stack:
        assert torch.equal(generate(pipe, callback_on_step_end=callback), bare)
    assert [type(error) for error in errors] == [sraccel.LoopError]
    assert "two threads" in str(errors[0])
    assert [report.outcome for report in stack.reports] == ["finished"]


def test_a_thread_that_is_refused_does_not_end_the_other_ones_run(
    pipe: WanPipeline, generate: Generate
) -> None:
    """It has set its timesteps first, and leaves its progress bar when the other one has, too."""
    opened, leave = threading.Event(), threading.Event()

    def refused() -> None:
        pipe.scheduler.set_timesteps(8)
        with pipe.progress_bar(total=8):
            opened.set()
            leave.wait(timeout=60)

    def after_the_other_left(*args: Any, **kwargs: Any) -> Any:
        leave.set()
        thread.join()
        return progress_bar(*args, **kwargs)

    with sraccel.compose(pipe, []) as stack:
        progress_bar = pipe.progress_bar
        thread = threading.Thread(target=refused)
        thread.start()
        assert opened.wait(timeout=60)
        pipe.progress_bar = after_the_other_left
        generate(pipe)
    assert [report.outcome for report in stack.reports] == ["finished"]


def test_threads_that_call_a_pipeline_at_once_get_the_right_video_or_an_error(
    pipe: WanPipeline, generate: Generate
) -> None:
    """Whoever comes first, and whatever the refused call has set on the pipeline by then."""
    outcomes: list[str] = []
    with sraccel.compose(pipe, [CACHE]):
        right = {scale: generate(pipe, guidance=scale) for scale in (5.0, 1.0)}

        def in_a_thread(scale: float, begin: threading.Barrier, delay: float) -> None:
            torch.set_grad_enabled(False)
            begin.wait(timeout=60)
            time.sleep(delay)
            try:
                outcomes.append(f"{torch.equal(generate(pipe, guidance=scale), right[scale])}")
            except sraccel.LoopError as error:
                outcomes.append("refused" if "for each" in str(error) else str(error))

        for delay in (0.0, 0.0, 0.005, 0.01, 0.02, 0.04):
            begin = threading.Barrier(2)
            given = [(5.0, begin, 0.0), (1.0, begin, delay)]
            threads = [threading.Thread(target=in_a_thread, args=each) for each in given]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(outcomes) == 12
        assert set(outcomes) <= {"True", "refused"}
        assert torch.equal(generate(pipe, guidance=5.0), right[5.0])


def test_a_refused_call_that_changed_what_the_run_goes_on_with_ends_that_run(
    pipe: WanPipeline, generate: Generate
) -> None:
    refused: list[BaseException] = []

    def in_a_thread() -> None:
        try:
            generate(pipe, guidance=1.0)
        except sraccel.LoopError as error:
            refused.append(error)

    def callback(pipe: Any, index: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        if index == 2:
            thread = threading.Thread(target=in_a_thread)
            thread.start()
            thread.join()
        return {}

    with sraccel.compose(pipe, []) as stack:
        with pytest.raises(sraccel.LoopError, match="changed what it runs with"):
            generate(pipe, callback_on_step_end=callback)
        assert len(refused) == 1
        assert generate(pipe) is not None

        def own_change(pipe: Any, *_: Any) -> dict[str, Any]:
            pipe._guidance_scale = 2.0
            return {}

        generate(pipe, callback_on_step_end=own_change)  # one's own callback may
    assert stack.report.outcome == "finished"


def test_another_thread_may_use_the_render_model_but_not_its_skipped_blocks(
    pipe: WanPipeline, generate: Generate
) -> None:
    """In the middle of a call of the stack: it gets the bare answer, or an error."""
    render = tiny_transformer(seed=7, layers=3)
    given = {
        "hidden_states": torch.ones(1, 4, 2, 8, 8),
        "timestep": torch.tensor([7]),
        "encoder_hidden_states": call_arguments()["prompt_embeds"],
    }
    bare, answers = render(**given)[0], []

    def use() -> None:
        torch.set_grad_enabled(False)
        try:
            answers.append(torch.equal(render(**given)[0], bare))
        except sraccel.LoopError as error:
            answers.append("two threads" in str(error))

    def in_a_thread(*_: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            thread = threading.Thread(target=use)
            thread.start()
            thread.join()

    cache = {**CACHE, "coefficients": {"transformer": IDENTITY, "render": IDENTITY}}
    with sraccel.compose(
        pipe, [{"use": "srdiffusion", "render": render, "switch_step": 4}, cache]
    ) as stack:
        right = generate(pipe, steps=12)
        handle = render.proj_out.register_forward_pre_hook(in_a_thread)
        assert torch.equal(generate(pipe, steps=12), right)
        handle.remove()
    assert {any(step) for step in skipped(stack.report)[4:]} == {True, False}
    assert answers
    assert all(answers)


def test_a_thread_that_comes_later_is_welcome(pipe: WanPipeline, generate: Generate) -> None:
    results: list[torch.Tensor] = []

    def in_a_thread() -> None:
        with torch.no_grad():
            results.append(generate(pipe))

    with sraccel.compose(pipe, [CACHE]) as stack:
        results.append(generate(pipe))
        thread = threading.Thread(target=in_a_thread)
        thread.start()
        thread.join()
    assert torch.equal(*results)
    assert len(stack.reports) == 2


def test_a_second_stack_on_the_same_denoiser_is_refused(
    pipe: WanPipeline, render: WanTransformer3DModel
) -> None:
    other = tiny_pipeline(seed=3)
    with sraccel.compose(pipe, [{"use": "srdiffusion", "render": render}]):
        for target in (pipe, pipe.transformer, render):
            with pytest.raises(sraccel.ConflictError, match="attached"):
                sraccel.compose(target, [])
        with pytest.raises(sraccel.ConflictError, match="attached"):
            sraccel.compose(other, [{"use": "srdiffusion", "render": render}])
    sraccel.compose(pipe, []).attach().detach()


def test_a_deep_copy_of_an_attached_pipeline_is_bare(pipe: WanPipeline, generate: Generate) -> None:
    bare = generate(pipe, steps=12)
    with sraccel.compose(pipe, [CACHE]) as stack:
        copied = copy.deepcopy(pipe)
        assert torch.equal(generate(copied, steps=12), bare)
        assert not stack.reports
        assert not torch.equal(generate(pipe, steps=12), bare)
