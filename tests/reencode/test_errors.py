"""What a hand-off refuses, and what a failure leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from diffusers import WanPipeline
from tiny_models import IDENTITY
from two_pipelines import Pipes, call, recipe, roles

import sraccel
from sraccel.errors import ConflictError, LoopError, ModelError
from sraccel.loop.intercept import _Link
from sraccel.reencode.handoff import PipelinePair


def raising_at(pipeline_name: str) -> Callable[..., dict[str, Any]]:
    def callback(pipe: Any, step: int, *_: Any) -> dict[str, Any]:
        if type(pipe).__name__ == pipeline_name and step == 1:
            raise KeyboardInterrupt
        return {}

    return callback


@pytest.mark.parametrize("fails", [None, "WanPipeline", "WanVideoToVideoPipeline"])
def test_both_pipelines_are_as_before_whatever_happened(pipes: Pipes, fails: str | None):
    before = [pipe(**call(4)).frames for pipe in pipes]
    arguments = call(6)
    if fails is None:
        sraccel.handoff(*pipes, recipe(switch_step=3), **arguments)
    else:
        arguments["callback_on_step_end"] = raising_at(fails)
        with pytest.raises(KeyboardInterrupt):
            sraccel.handoff(*pipes, recipe(switch_step=3), **arguments)
    for pipe, bare in zip(pipes, before, strict=True):
        for part in (pipe, pipe.vae, pipe.transformer, pipe.scheduler):
            assert not any(isinstance(value, _Link) for value in vars(part).values())
        assert not pipe.interrupt
        assert np.array_equal(pipe(**call(4)).frames, bare)


def test_a_render_pipeline_that_fails_before_its_first_step_is_not_a_finished_run(
    pipes: Pipes, monkeypatch: pytest.MonkeyPatch
):
    pair = PipelinePair(*pipes, recipe(switch_step=3), **call())
    with pytest.raises(LoopError, match="no run yet"):
        _ = pair.report
    monkeypatch.setattr(pipes[1].vae, "encode", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pair.run()
    assert pair.report.outcome == "partial"
    assert roles(pair.report) == "sss"
    monkeypatch.undo()
    assert roles(pair.run().report) == "sssrrrrr"


def test_what_attaching_refuses_is_refused_before_the_sketch(pipes: Pipes) -> None:
    cache = {"use": "teacache", "coefficients": dict.fromkeys(("transformer", "render"), IDENTITY)}
    pipes[1].transformer.compile()
    calls: list[int] = []
    pipes[0].transformer.register_forward_pre_hook(lambda *_: calls.append(1))
    with pytest.raises(sraccel.ConflictError, match="compiled as a whole"):
        sraccel.handoff(*pipes, recipe(cache, switch_step=3), **call())
    assert not calls


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"recipe": []}, ConflictError, "takes srdiffusion"),
        ({"recipe": recipe(switch_step=0)}, ConflictError, "leaves the sketch pipeline nothing"),
        ({"recipe": recipe(switch_step=3, residency="swap")}, ConflictError, "residency would"),
        ({"height": 48}, ModelError, r"height 48 \(possible: 32, 64\)"),
        ({"strenght": 1.0}, ModelError, "does not know strenght"),
        ({"num_videos_per_prompt": 2}, ModelError, "repeat the prompt"),
        ({"sigmas": [1.0]}, ModelError, "give num_inference_steps"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_what_cannot_work_is_refused_before_anything_runs(
    pipes: Pipes,
    change: dict[str, Any],
    error: type[Exception],
    message: str,
):
    arguments = {"recipe": recipe(switch_step=3), **call(), **change}
    pipes[0].transformer.register_forward_hook(lambda *_: pytest.fail("it ran"))
    with pytest.raises(error, match=message):
        sraccel.handoff(*pipes, **arguments)


def test_a_pipeline_that_cannot_stop_or_go_on_is_refused(pipes: Pipes):
    class Unstoppable(WanPipeline):
        interrupt = None

        def __call__(self, prompt: str, num_inference_steps: int = 4) -> None: ...

    class Unknown:
        def __call__(self, prompt: str) -> None: ...

    unstoppable = Unstoppable(**pipes[0].components)
    with pytest.raises(ModelError, match=r"no `callback_on_step_end`, so it cannot be stopped"):
        sraccel.handoff(unstoppable, pipes[1], recipe(switch_step=3), prompt="")
    with pytest.raises(ModelError, match="Unknown cannot go on with a sketch"):
        sraccel.handoff(pipes[0], Unknown(), recipe(switch_step=3), **call())


def test_a_render_pipeline_that_begins_elsewhere_is_refused(
    pipes: Pipes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sraccel.reencode.handoff.strength_for", lambda *_: 0.5)
    with pytest.raises(LoopError, match="begins at position 4 of its schedule"):
        sraccel.handoff(*pipes, recipe(switch_step=3), **call())
