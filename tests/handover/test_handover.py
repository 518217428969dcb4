"""A run that is handed over at the switch equals the run in one process, bit for bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanTransformer3DModel,
)
from hypothesis import given
from hypothesis import strategies as st
from tiny import (
    COGVIDEOX_2B,
    COGVIDEOX_DDIM,
    COGVIDEOX_DPM,
    LTX,
    SD3,
    SDXL,
    WAN,
    WAN_2_2,
    WAN_IMAGE_TO_VIDEO,
    WAN_VIDEO_TO_VIDEO,
    TinyFamily,
)
from tiny_models import IDENTITY
from torch.utils._pytree import tree_leaves

from sraccel.composer import compose
from sraccel.demo.pair import demo_weights
from sraccel.errors import HandoverError
from sraccel.handover.encoded_prompt import EncodedPrompt, RecalledPrompt
from sraccel.handover.half_stack import load_render_pipeline, sketch_stack
from sraccel.handover.handover import Handover, read_handover
from sraccel.handover.resuming import Resumed, resume
from sraccel.handover.sketching import until_switch
from sraccel.models.loading import load_pipeline

STEPS = 8
FLOW: dict[str, Any] = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
SCHEDULERS: dict[str, Callable[[], Any]] = {
    "unipc": lambda: UniPCMultistepScheduler(solver_order=3, flow_shift=3.0, **FLOW),
    "flow-euler": lambda: FlowMatchEulerDiscreteScheduler(shift=3.0),
    "dpm++": lambda: DPMSolverMultistepScheduler(flow_shift=3.0, solver_order=3, **FLOW),
}


def recipe(render: Any, adaptive: bool = False) -> list[dict[str, Any]]:
    """The switch comes within a run; the cache skips in either half."""
    switch = {"max_step": 3, "threshold": 1e-9} if adaptive else {"switch_step": 4}
    cache = {"use": "teacache", "threshold": 3.0, "coefficients": IDENTITY}
    coefficients = dict.fromkeys(("transformer", "transformer_2", "unet", "render"), IDENTITY)
    del coefficients["unet"]
    return [
        {"use": "srdiffusion", "render": render, **switch},
        {**cache, "coefficients": coefficients},
    ]


def without_cache(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return items[:1]


class Split:
    """The run of a tiny family in one process, and in two halves by way of a file."""

    def __init__(
        self,
        tiny: TinyFamily,
        items: Callable[[Any], list[dict[str, Any]]],
        scheduler: Callable[[], Any] | None = None,
        **more: Any,
    ) -> None:
        self._tiny, self._items, self._scheduler, self._more = tiny, items, scheduler, more

    def pipe(self) -> Any:
        pipe = self._tiny.pipeline()
        if self._scheduler is not None:
            pipe.scheduler = self._scheduler()
        return pipe

    def stack(self) -> Any:
        return compose(self.pipe(), self._items(self._tiny.render()))

    def call(self) -> dict[str, Any]:
        return self._tiny.arguments(STEPS, **self._more)

    def whole(self) -> tuple[Any, Any]:
        with self.stack() as stack:
            return stack.pipeline(**self.call())[0], stack.report

    def handover(self) -> Handover:
        made = until_switch(self.stack(), self.call()).handover
        assert made is not None
        return made

    def resumed(self, handover: Handover) -> Resumed:
        return resume(self.stack(), handover, self.call())


def check_equal(split: Split, folder: Path) -> None:
    whole, report = split.whole()
    path = split.handover().save(folder / "run.handover")
    made = split.resumed(read_handover(path))
    assert torch.equal(made.output[0], whole)
    decisions = [
        (step.index, step.denoiser, step.timestep, [call.reused for call in step.calls])
        for step in report.steps
    ]
    assert decisions == [
        (step.index, step.denoiser, step.timestep, [call.reused for call in step.calls])
        for step in made.report.steps
    ]
    assert made.report.switch_step == report.switch_step
    assert made.report.num_inference_steps == report.num_inference_steps
    counts = [(item.chosen_calls, item.reused_calls) for item in report.accelerators]
    assert counts == [(item.chosen_calls, item.reused_calls) for item in made.report.accelerators]
    assert made.report.outcome == "finished"
    assert made.report.warnings == report.warnings
    if len(report.accelerators) > 1:
        halves = (report.steps[: report.switch_step], report.steps[report.switch_step :])
        assert all(any(call.reused for step in half for call in step.calls) for half in halves)


@pytest.mark.parametrize("adaptive", [False, True], ids=["fixed", "adaptive"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_split_run_equals_the_whole_one_with_every_kind_of_solver(
    scheduler: str, adaptive: bool, tmp_path: Path
) -> None:
    split = Split(WAN, lambda render: recipe(render, adaptive), SCHEDULERS[scheduler])
    check_equal(split, tmp_path)


FAMILIES = [
    WAN_2_2,
    WAN_IMAGE_TO_VIDEO,
    WAN_VIDEO_TO_VIDEO,
    COGVIDEOX_DDIM,
    COGVIDEOX_DPM,
    SD3,
    LTX,
]


@pytest.mark.parametrize("tiny", FAMILIES, ids=str)
def test_a_split_run_equals_the_whole_one_in_every_family(tiny: TinyFamily, tmp_path: Path) -> None:
    check_equal(Split(tiny, recipe), tmp_path)


def test_euler_of_a_unet_goes_on_bit_for_bit(tmp_path: Path) -> None:
    split = Split(SDXL, lambda render: without_cache(recipe(render)), EulerDiscreteScheduler)
    check_equal(split, tmp_path)


def test_a_change_of_variables_survives_the_hand_over(tmp_path: Path) -> None:
    """5B sketches, 2B renders: another scale, another schedule; the sampler draws noise, too."""

    def items(render: Any) -> list[dict[str, Any]]:
        return without_cache(recipe(COGVIDEOX_2B.pipeline()))

    check_equal(Split(COGVIDEOX_DPM, items, use_dynamic_cfg=True), tmp_path)


def test_the_first_half_does_not_call_the_render_model_nor_the_second_the_sketch_model() -> None:
    split = Split(WAN, recipe)
    calls: list[str] = []

    def counted(name: str) -> Any:
        stack = split.stack()
        for role, denoiser in stack.denoisers.items():
            module = denoiser.module
            module.register_forward_pre_hook(lambda *_, role=role: calls.append(f"{name} {role}"))
        return stack

    handover = until_switch(counted("first"), split.call()).handover
    assert handover is not None
    resume(counted("second"), handover, split.call())
    assert {*calls} == {"first transformer", "second render"}


def test_one_stack_makes_run_after_run_split_or_whole() -> None:
    split = Split(WAN, recipe)
    whole, _ = split.whole()
    with split.stack() as stack:
        for _ in range(2):
            handover = until_switch(stack, split.call()).handover
            assert handover is not None
            assert torch.equal(resume(stack, handover, split.call()).output[0], whole)
        assert torch.equal(stack.pipeline(**split.call())[0], whole)


def test_a_run_without_a_switch_comes_back_whole() -> None:
    split = Split(WAN, lambda render: [{"use": "srdiffusion", "render": render, "switch_step": 99}])
    whole, _ = split.whole()
    made = until_switch(split.stack(), split.call())
    assert made.handover is None
    assert torch.equal(made.output[0], whole)


def refusal(split: Split, handover: Handover, call: dict[str, Any] | None = None) -> HandoverError:
    with pytest.raises(HandoverError) as caught:
        resume(split.stack(), handover, call or split.call())
    return caught.value


def test_what_does_not_fit_is_refused_with_both_values() -> None:
    split = Split(WAN, recipe)
    handover = split.handover()

    def other(render: Any) -> list[dict[str, Any]]:
        items = recipe(render)
        items[1]["threshold"] = 0.3
        return items

    error = refusal(Split(WAN, other), handover)
    assert error.differences == {"accelerators[1].threshold": (3.0, 0.3)}
    assert "3.0 in the hand-over, 0.3 here" in str(error)

    another = Split(WAN, lambda _: recipe(WAN.render(seed=8)))
    assert {*refusal(another, handover).differences} == {"render.checksum"}

    error = refusal(Split(WAN, recipe, SCHEDULERS["dpm++"]), handover)
    assert error.differences["class"] == ("UniPCMultistepScheduler", "DPMSolverMultistepScheduler")

    error = refusal(split, handover, {**split.call(), "guidance_scale": 5.0})
    assert error.differences == {"guidance_scale": (4.0, 5.0)}

    prompt = torch.zeros_like(split.call()["prompt_embeds"])
    error = refusal(split, handover, {**split.call(), "prompt_embeds": prompt})
    assert {*error.differences} == {"prompt_embeds"}

    arguments = {name: value for name, value in split.call().items() if name != "generator"}
    assert "generator" in str(refusal(split, handover, arguments))


def test_a_file_that_is_torn_changed_or_of_another_version_is_refused(tmp_path: Path) -> None:
    handover = Split(WAN, recipe).handover()
    path = handover.save(tmp_path / "run.handover")
    data = path.read_bytes()

    def said(content: bytes) -> str:
        path.write_bytes(content)
        with pytest.raises(HandoverError) as caught:
            read_handover(path)
        return str(caught.value)

    for length in (0, 7, 100, len(data) // 2, len(data) - 1):
        assert "torn" in said(data[:length]) or "holds no run" in said(data[:length])
    changed = bytearray(data)
    changed[-5] ^= 1
    assert "its checksum was" in said(bytes(changed))
    older = handover.content.model_copy(update={"version": 2})
    assert "version 2 of the format, and this sraccel reads 1" in said(
        Handover(older, handover.tensors).to_bytes()
    )
    assert "holds no run" in said(b"\x02\0\0\0\0\0\0\0{}")
    with pytest.raises(HandoverError, match="cannot read"):
        read_handover(tmp_path / "missing")


PLACES = [
    ("cpu", "none"),
    pytest.param("cuda", "none", marks=pytest.mark.gpu),
    pytest.param("cuda", "model", marks=pytest.mark.gpu),
]


@pytest.mark.parametrize(("device", "offload"), PLACES)
def test_the_second_half_needs_no_weights_of_the_first_ones_models_nor_of_encoders(
    device: Any, offload: Any
) -> None:
    """Nor the first half those of the render model: neither machine holds both."""
    items, placing = recipe("demo"), {"dtype": "float32", "device": device, "offload": offload}
    call = {"prompt": "a red circle moving left", "num_inference_steps": STEPS}

    def arguments() -> dict[str, Any]:
        return {**call, "output_type": "pt", "generator": torch.Generator().manual_seed(3)}

    with compose(load_pipeline("demo", **placing), items) as stack:
        whole = stack.pipeline(**arguments())[0]
    first = sketch_stack(load_pipeline("demo", **placing), items)
    assert next(first.denoisers["render"].module.parameters()).is_meta
    handover = until_switch(first, arguments()).handover
    assert handover is not None
    pipe = load_render_pipeline("demo", **placing)
    assert next(pipe.transformer.parameters()).is_meta is (offload == "none")
    assert pipe.text_encoder is None
    assert isinstance(pipe.transformer, WanTransformer3DModel)
    stack = compose(pipe, items)
    assert stack.device.type == device  # where the pipeline makes its noise
    for _ in range(2):  # what the first run made of the embeddings does not reach the second
        assert torch.equal(resume(stack, handover, arguments()).output[0], whole)


def save_with_encoders(pipe: Any, folder: Path) -> None:
    """As published: with text encoders, here none whose weights could be loaded."""
    pipe.save_pretrained(folder)
    index = json.loads((folder / "model_index.json").read_text())
    for name, part in pipe.components.items():
        if part is None and name.startswith("text_encoder"):
            index[name] = ["transformers", "T5EncoderModel"]
        elif part is None and name.startswith("tokenizer"):
            index[name] = ["transformers", "PreTrainedTokenizerFast"]
            shutil.copytree(demo_weights() / "tokenizer", folder / name)
    (folder / "model_index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("tiny", [*FAMILIES, SDXL], ids=str)
def test_in_every_family_the_second_half_goes_on_with_outlines(
    tiny: TinyFamily, tmp_path: Path
) -> None:
    """Also where the first model by name, whose device is the pipeline's, is an outline."""
    split = Split(tiny, lambda render: without_cache(recipe(render)))
    whole, _ = split.whole()
    handover = split.handover()
    save_with_encoders(split.pipe(), tmp_path)
    pipe = load_render_pipeline(str(tmp_path), device="cpu")
    own = [getattr(pipe, name) for name in tiny.attributes]
    assert all(next(module.parameters()).is_meta for module in own)
    stack = compose(pipe, without_cache(recipe(tiny.render())))
    assert torch.equal(resume(stack, handover, split.call()).output[0], whole)


NESTED = st.recursive(
    st.none() | st.integers(-9, 9) | st.sampled_from([torch.float32, torch.bfloat16, torch.bool]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


def with_tensors(value: Any) -> Any:
    """The same with tensors for dtypes."""
    if isinstance(value, torch.dtype):
        return torch.arange(6).reshape(2, 3).to(value)
    return [with_tensors(item) for item in value] if isinstance(value, list) else value


@given(st.lists(NESTED, max_size=3))
def test_a_prompt_comes_back_as_it_was_encoded_call_by_call(answers: list[Any]) -> None:
    """However a pipeline nests its embeddings and masks, and whatever it does to them then."""
    taken = EncodedPrompt()
    for answer in map(with_tensors, answers):
        assert taken(lambda answer=answer: answer) is answer
        for tensor in tree_leaves(answer):
            if isinstance(tensor, torch.Tensor):
                tensor.zero_()
    recalled = RecalledPrompt(taken.answers, taken.tensors, torch.device("cpu"))
    for answer in map(with_tensors, answers):
        found = recalled(lambda: "not asked")
        expected = tuple(answer) if isinstance(answer, list) else answer
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert recalled(lambda: "encoded here") == "encoded here"
    with pytest.raises(HandoverError, match="is a dict, which no file can hold"):
        taken(lambda: [{}])


def test_a_switch_before_the_first_step_has_nothing_to_hand_over() -> None:
    split = Split(WAN, lambda render: [{"use": "srdiffusion", "render": render, "switch_step": 0}])
    with pytest.raises(HandoverError, match="before the first step"):
        until_switch(split.stack(), split.call())


def test_a_hand_over_holds_latents_and_history_and_little_else() -> None:
    """Latents once for what the scheduler returned, last sample, and an output an order."""
    handover = Split(WAN, recipe).handover()
    latents = handover.latents.nbytes
    history = [name for name in handover.tensors if "model_outputs" in name]
    assert len(history) == 2
    assert handover.latents.dtype == torch.float32
    assert sum(t.nbytes for n, t in handover.tensors.items() if t.nbytes == latents) == 4 * latents
