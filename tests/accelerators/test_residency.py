"""Which model is where, and when it moves.

Without a GPU the order of moves is recorded on the CPU; figures are for tests marked `gpu`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import accelerate
import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from tiny_models import IDENTITY, call_arguments, tiny_pipeline, tiny_transformer

import sraccel
from sraccel.accelerators.srdiffusion.residency import HostedWeights
from sraccel.plugin import Accelerator, Run, hookimpl

Generate = Callable[..., torch.Tensor]
TEACACHE = {
    "use": "teacache",
    "threshold": 5.0,
    "coefficients": dict.fromkeys(("transformer", "transformer_2", "denoiser", "render"), IDENTITY),
}


def recipe(render: Any, residency: str, **options: Any) -> list[Any]:
    switch = {"switch_step": 4, **options}
    switch = {name: value for name, value in switch.items() if value is not None}
    return [{"use": "srdiffusion", "render": render, "residency": residency, **switch}, TEACACHE]


@pytest.fixture
def moves(pipe: WanPipeline, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What moves, and between which calls of which model, in order."""
    happened: list[str] = []

    def note(kind: Any, name: str, label: str) -> None:
        original = getattr(kind, name)

        def recorded(self: Any, *args: Any, **kwargs: Any) -> Any:
            happened.append(label.format(*args, **kwargs))
            return original(self, *args, **kwargs)

        monkeypatch.setattr(kind, name, recorded)

    note(HostedWeights, "load", "render comes")
    note(HostedWeights, "wait", "wait for render")
    note(HostedWeights, "drop", "render leaves")
    note(HostedWeights, "restore", "render restored")
    send = pipe.transformer.to

    def to(*args: Any, **kwargs: Any) -> Any:
        happened.append(f"sketch to {args[0]}")
        return send(*args, **kwargs)

    monkeypatch.setitem(pipe.transformer.__dict__, "to", to)
    return happened


def steps(module: torch.nn.Module, name: str, moves: list[str]) -> None:
    """Add a model's calls to the record, several in a row as one."""

    def called(*_: Any) -> None:
        if not moves or moves[-1] != name:
            moves.append(name)

    module.register_forward_pre_hook(called)


EXPECTED = {
    "both": ["transformer", "render"],
    "swap": [
        *("transformer", "sketch to cpu", "render comes", "render"),
        *("wait for render", "render leaves", "sketch to cpu"),
    ],
    "prefetch": [
        *("transformer", "render comes", "transformer", "wait for render", "render"),
        *("wait for render", "render leaves"),
    ],
}
"""On the CPU the device that the sketch model comes back to is called cpu, too."""


@pytest.mark.parametrize("residency", EXPECTED)
def test_models_move_in_this_order_in_every_run(
    residency: str,
    pipe: WanPipeline,
    render: WanTransformer3DModel,
    generate: Generate,
    moves: list[str],
) -> None:
    steps(pipe.transformer, "transformer", moves)
    steps(render, "render", moves)
    with sraccel.compose(pipe, recipe(render, residency)):
        moves.clear()
        generate(pipe)
        assert moves == EXPECTED[residency]
        moves.clear()
        generate(pipe)
        assert moves == EXPECTED[residency]
    if residency != "both":
        assert moves[-1] == "render restored"


@pytest.mark.parametrize("residency", ["swap", "prefetch"])
@pytest.mark.parametrize("first", [{"switch_step": 0}, {"switch_step": None, "switch_sigma": 5.0}])
def test_the_render_model_comes_also_where_it_takes_the_first_step(
    residency: str,
    first: dict[str, Any],
    pipe: WanPipeline,
    render: WanTransformer3DModel,
    generate: Generate,
    moves: list[str],
) -> None:
    steps(render, "render", moves)
    with sraccel.compose(pipe, recipe(render, residency, **first)):
        moves.clear()
        generate(pipe)
    assert moves.count("render comes") == 1
    assert moves.index("render comes") < moves.index("render")


@pytest.mark.parametrize("residency", ["swap", "prefetch"])
def test_a_copy_that_fails_is_let_go_of_and_the_sketch_model_comes_back(
    residency: str,
    pipe: WanPipeline,
    render: WanTransformer3DModel,
    generate: Generate,
    moves: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bare = generate(pipe)

    def full(self: HostedWeights) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with sraccel.compose(pipe, recipe(render, residency)):
        with monkeypatch.context() as patch:
            patch.setattr(HostedWeights, "_copy", full)
            moves.clear()
            with pytest.raises(sraccel.PluginError, match="out of memory"):
                generate(pipe)
        assert moves[-1] == ("sketch to cpu" if residency == "swap" else "render leaves")
        assert "render leaves" in moves
    assert torch.equal(generate(pipe), bare)


class RaisesAtTheEnd(Accelerator):
    """Raises when a run has finished, before those listed after it hear of that."""

    name = "raises-at-the-end"

    @hookimpl
    def run_finished(self, run: Run) -> None:
        raise ValueError("no")


def test_both_models_are_back_after_leaving_whatever_another_accelerator_raises(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate, moves: list[str]
) -> None:
    stack = sraccel.compose(pipe, [RaisesAtTheEnd.Options(), *recipe(render, "swap")])
    with pytest.raises(sraccel.PluginError, match="raises-at-the-end"):
        with stack:
            generate(pipe)
    assert moves[-2:] == ["sketch to cpu", "render restored"]


@pytest.mark.parametrize("options", [{}, {"switch_step": None, "min_step": 3, "max_step": 5}])
def test_the_prefetch_begins_before_the_switch(
    options: dict[str, Any],
    pipe: WanPipeline,
    render: WanTransformer3DModel,
    generate: Generate,
    moves: list[str],
) -> None:
    counted: list[int] = []
    pipe.transformer.register_forward_pre_hook(
        lambda *_: counted.append(moves.count("render comes"))
    )
    with sraccel.compose(pipe, recipe(render, "prefetch", **options)):
        generate(pipe)
    assert counted[:4] == [0] * 4  # steps 0 and 1, two branches each
    assert counted[-2:] == [1] * 2


@pytest.mark.parametrize("failure", ["exception", "interrupt", "Ctrl-C"])
@pytest.mark.parametrize("residency", ["swap", "prefetch"])
def test_a_run_that_breaks_off_leaves_both_models_where_they_were(
    residency: str,
    failure: str,
    pipe: WanPipeline,
    render: WanTransformer3DModel,
    generate: Generate,
    moves: list[str],
) -> None:
    bare, weights = generate(pipe), [parameter.clone() for parameter in render.parameters()]

    def callback(pipe: WanPipeline, step: int, *_: Any) -> dict[str, Any]:
        if step == 5 and failure == "interrupt":
            pipe._interrupt = True
        elif step == 5:
            raise KeyboardInterrupt if failure == "Ctrl-C" else ValueError
        return {}

    with sraccel.compose(pipe, recipe(render, residency)):
        expected = generate(pipe)
        try:
            generate(pipe, callback_on_step_end=callback)
        except (ValueError, KeyboardInterrupt):
            assert failure != "interrupt"
        assert "render leaves" in moves
        assert moves.count("render comes") == moves.count("render leaves") - 1  # one on attaching
        assert torch.equal(generate(pipe), expected)
    assert torch.equal(generate(pipe), bare)
    assert all(map(torch.equal, render.parameters(), weights))


def plain(pipe: WanPipeline) -> None:
    """Nothing offloads."""


def model_offloading(pipe: WanPipeline) -> None:
    """As `enable_model_cpu_offload` does, with the CPU as the device."""
    _, hook = accelerate.cpu_offload_with_hook(pipe.transformer, torch.device("cpu"))
    pipe._all_hooks = [hook]


def sequential_offloading(pipe: WanPipeline) -> None:
    """As `enable_sequential_cpu_offload` does, with the CPU as the device."""
    for module in (pipe.transformer, pipe.vae):
        accelerate.cpu_offload(module, torch.device("cpu"), offload_buffers=True)


def group_offloading(pipe: WanPipeline) -> None:
    pipe.transformer.enable_group_offload(
        onload_device=torch.device("cpu"), offload_type="block_level", num_blocks_per_group=1
    )


@pytest.mark.parametrize("residency", EXPECTED)
@pytest.mark.parametrize(
    "offload", [plain, model_offloading, sequential_offloading, group_offloading]
)
def test_offloading_and_residency_go_together(
    offload: Callable[[WanPipeline], None],
    residency: str,
    render: WanTransformer3DModel,
    generate: Generate,
) -> None:
    reference = tiny_pipeline()
    bare = generate(reference)
    with sraccel.compose(reference, recipe(render, "both")):
        expected = generate(reference)
    pipe = tiny_pipeline()
    offload(pipe)
    with sraccel.compose(pipe, recipe(render, residency)) as stack:
        for _ in range(2):
            assert torch.equal(generate(pipe), expected)
            assert stack.report.switch_step == 4
    assert torch.equal(generate(pipe), bare)


def test_a_render_model_that_is_itself_offloaded_is_left_to_its_hooks(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
) -> None:
    with sraccel.compose(pipe, recipe(render, "both")):
        expected = generate(pipe)
    accelerate.cpu_offload(render, torch.device("cpu"), offload_buffers=True)
    with sraccel.compose(pipe, recipe(render, "both")):
        assert torch.equal(generate(pipe), expected)
    with pytest.raises(sraccel.ConflictError, match="offloads already"):
        sraccel.compose(pipe, recipe(render, "swap"))


def test_a_bare_denoiser_that_is_offloaded_takes_a_render_model_along(
    pipe: WanPipeline, render: WanTransformer3DModel
) -> None:
    accelerate.cpu_offload(pipe.transformer, torch.device("cpu"), offload_buffers=True)
    weights = [parameter.clone() for parameter in render.parameters()]
    with sraccel.compose(pipe.transformer, recipe(render, "both")) as stack:
        assert stack.device == torch.device("cpu")
    assert all(map(torch.equal, render.parameters(), weights))


def test_swap_lets_model_offloading_move_the_model_and_moves_nothing_itself(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate, moves: list[str]
) -> None:
    model_offloading(pipe)
    hook = pipe._all_hooks[0]
    offload = hook.offload
    hook.offload = lambda: (moves.append("offloaded"), offload())
    with sraccel.compose(pipe, recipe(render, "swap")):
        moves.clear()
        generate(pipe)
    assert moves[:3] == ["offloaded", "sketch to cpu", "render comes"]  # the hook's own move
    assert moves.count("sketch to cpu") == 1


def test_quantised_weights_do_not_come_and_go() -> None:
    source = {"model": "demo", "quantization_config": {"quant_method": "torchao"}}
    with pytest.raises(sraccel.RecipeError, match="quantised ones stay where they were loaded"):
        sraccel.Recipe(accelerators=recipe(source, "swap"))


def test_two_experts_leave_together(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate, moves: list[str]
) -> None:
    pipe.register_modules(transformer_2=tiny_transformer(seed=5))
    pipe.register_to_config(boundary_ratio=0.8)
    second = pipe.transformer_2.to
    pipe.transformer_2.to = lambda *args: (moves.append("expert to cpu"), second(*args))[1]
    with sraccel.compose(pipe, recipe(render, "swap", switch_step=6)) as stack:
        moves.clear()
        generate(pipe, steps=8)
    assert {step.denoiser for step in stack.report.steps} == {
        "transformer",
        "transformer_2",
        "render",
    }
    assert moves[:3] == ["sketch to cpu", "expert to cpu", "render comes"]


def test_costs_of_a_model_that_comes_and_goes_are_estimates(
    pipe: WanPipeline, render: WanTransformer3DModel
) -> None:
    arguments = call_arguments(steps=6)
    del arguments["generator"]
    found = sraccel.compare(pipe, recipe(render, "swap"), warmup=False, **arguments)
    records = {record.name: record for record in found.report.accelerators}
    assert records["srdiffusion"].estimated
    assert records["srdiffusion"].factor is not None


@pytest.mark.gpu
def test_swap_needs_hardly_more_than_the_larger_model() -> None:
    pipe = tiny_pipeline(num_attention_heads=32, attention_head_dim=64, ffn_dim=8192, layers=8)
    render = tiny_transformer(num_attention_heads=16, attention_head_dim=64, ffn_dim=4096, layers=8)
    pipe.to("cuda")
    arguments = {**call_arguments(), "generator": torch.Generator("cuda").manual_seed(0)}
    pipe(**arguments)
    torch.cuda.reset_peak_memory_stats()
    pipe(**arguments)
    alone = torch.cuda.max_memory_allocated()
    with sraccel.compose(pipe, recipe(render, "swap")) as stack:
        pipe(**arguments)
    assert stack.report.peak_memory_bytes is not None
    assert stack.report.peak_memory_bytes <= 1.1 * alone


@pytest.mark.gpu
def test_a_switch_costs_less_than_one_render_step_where_both_models_stay() -> None:
    pipe, render = tiny_pipeline().to("cuda"), tiny_transformer(seed=7, layers=1).to("cuda")
    with sraccel.compose(pipe, recipe(render, "both")) as stack:
        for _ in range(3):
            pipe(**{**call_arguments(12), "generator": torch.Generator("cuda").manual_seed(0)})
    seconds = [step.seconds or 0.0 for step in stack.report.steps]
    usual = sorted(seconds[5:])[len(seconds[5:]) // 2]
    assert seconds[4] - usual < usual


@pytest.mark.gpu
def test_a_prefetched_model_gives_what_a_resident_one_gives_and_memory_does_not_grow() -> None:
    pipe, render = tiny_pipeline().to("cuda"), tiny_transformer(seed=7, layers=1)
    results, reserved = [], []
    for residency in ("both", "prefetch"):
        with sraccel.compose(pipe, recipe(render, residency)):
            for _ in range(4):
                generator = torch.Generator("cuda").manual_seed(0)
                results.append(pipe(**{**call_arguments(), "generator": generator}).frames)
                reserved.append(torch.cuda.memory_reserved())
    assert all(torch.equal(result, results[0]) for result in results)
    assert reserved[-1] == reserved[-2]
