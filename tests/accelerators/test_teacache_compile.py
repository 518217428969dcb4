"""TeaCache under `torch.compile`: compiled blocks stay as they are, a compiled whole is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from diffusers import WanPipeline
from tiny_models import IDENTITY, tiny_pipeline, tiny_transformer
from torch import nn
from torch._dynamo.backends.registry import lookup_backend
from torch._dynamo.utils import counters

import sraccel

Generate = Callable[..., torch.Tensor]
STEPS = 20
RECIPE = [{"use": "teacache", "threshold": 1.2, "coefficients": IDENTITY}]
ADVICE = r"compile_repeated_blocks\(\)"
COMPILER = shutil.which("g++") or shutil.which("clang++") or shutil.which("c++")
needs_a_compiler = pytest.mark.skipif(COMPILER is None, reason="inductor needs a C++ compiler")
BEFORE, AFTER, BETWEEN = "before attaching", "after attaching", "between two runs"


@pytest.fixture(autouse=True)
def _fresh_dynamo() -> Iterator[None]:
    """Graphs of other tests neither help nor count."""
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()
    counters.clear()


class Graphs:
    """A backend that counts the graphs which it is given to compile."""

    def __init__(self, backend: str = "eager") -> None:
        self.count = 0
        self._compile = lookup_backend(backend)

    def __call__(self, graph: Any, inputs: Any) -> Any:
        self.count += 1
        return self._compile(graph, inputs)

    def compile_blocks(self, model: nn.Module) -> None:
        """Without graph breaks, or not at all."""
        model.compile_repeated_blocks(backend=self, fullgraph=True)


def skips(stack: sraccel.Stack) -> list[bool]:
    return [call.reused for step in stack.report.steps for call in step.calls]


def uncompiled(generate: Generate, **arguments: Any) -> tuple[torch.Tensor, list[bool]]:
    """Latents and skips under the recipe, all eager."""
    with sraccel.compose(tiny_pipeline(), RECIPE) as stack:
        latents = generate(stack.pipeline, steps=STEPS, **arguments)
    return latents, skips(stack)


class RunOrAdd(nn.Module):
    """A block stack that runs, or adds the residual of the last time, as a list of skips says."""

    def __init__(self, blocks: nn.ModuleList, skipped: list[bool]) -> None:
        super().__init__()
        self.inner, self.skipped = blocks, iter(skipped)
        self.residuals: dict[int, torch.Tensor] = {}

    def forward(self, hidden: torch.Tensor, text: torch.Tensor, *more: Any) -> torch.Tensor:
        branch = round(float(text.sum()) * 1e4)
        if next(self.skipped):
            return hidden + self.residuals[branch]
        original = hidden
        for block in self.inner:
            hidden = block(hidden, text, *more)
        self.residuals[branch] = hidden - original
        return hidden


@pytest.mark.parametrize(
    ("when", "backend"),
    [
        (BEFORE, "eager"),
        (AFTER, "eager"),
        (BETWEEN, "eager"),
        (BETWEEN, "aot_eager"),
        pytest.param(BETWEEN, "inductor", marks=[pytest.mark.slow, needs_a_compiler]),
    ],
)
def test_a_run_with_skips_compiles_what_the_bare_pipeline_compiles_once(
    when: str, backend: str, pipe: WanPipeline, generate: Generate
) -> None:
    """One graph for all blocks, and the latents of the same compiled blocks, bit for bit."""
    expected, wanted = uncompiled(generate)
    graphs = Graphs(backend)
    if when == BEFORE:
        graphs.compile_blocks(pipe.transformer)
    with sraccel.compose(pipe, RECIPE) as stack:
        if when == BETWEEN:
            assert torch.equal(generate(pipe, steps=STEPS), expected)
        if when != BEFORE:
            graphs.compile_blocks(pipe.transformer)
        ours = generate(pipe, steps=STEPS)
        assert skips(stack) == wanted
        assert 0.3 < sum(wanted) / len(wanted) < 0.7
        assert graphs.count == 1
        with torch.compiler.set_stance("fail_on_recompile"):
            assert torch.equal(generate(pipe, steps=STEPS), ours)
    with torch.compiler.set_stance("fail_on_recompile"):
        bare = generate(pipe, steps=STEPS)
    assert graphs.count == 1
    assert not counters["graph_break"]

    compiled = tiny_pipeline()
    graphs.compile_blocks(compiled.transformer)
    assert torch.equal(generate(compiled, steps=STEPS), bare), "detached, it is the bare pipeline"
    compiled.transformer.blocks = nn.ModuleList([RunOrAdd(compiled.transformer.blocks, wanted)])
    assert torch.equal(generate(compiled, steps=STEPS), ours)
    assert torch.allclose(ours, expected, atol=1e-4)


def test_other_sizes_cost_no_more_graphs_than_without_the_stack(generate: Generate) -> None:
    changes = ({}, {"height": 32}, {"height": 48}, {"guidance": 1.0}, {})

    def counted(pipe: WanPipeline) -> list[int]:
        torch._dynamo.reset()
        graphs = Graphs()
        graphs.compile_blocks(pipe.transformer)
        after = []
        for change in changes:
            generate(pipe, steps=STEPS, **change)
            after.append(graphs.count)
        return after

    bare = counted(tiny_pipeline())
    with sraccel.compose(tiny_pipeline(), RECIPE) as stack:
        ours = counted(stack.pipeline)
    assert ours == bare
    assert bare[0] == 1


def test_attaching_and_detaching_again_and_again_recompiles_nothing(
    pipe: WanPipeline, generate: Generate
) -> None:
    graphs = Graphs()
    graphs.compile_blocks(pipe.transformer)
    bare = generate(pipe, steps=8)
    results = []
    with torch.compiler.set_stance("fail_on_recompile"):
        for _ in range(10):  # more often than Dynamo's limit of 8 recompilations
            with sraccel.compose(pipe, RECIPE):
                results.append(generate(pipe, steps=8))
            assert torch.equal(generate(pipe, steps=8), bare)
    assert graphs.count == 1
    assert all(torch.equal(result, results[0]) for result in results)
    assert not torch.equal(results[0], bare)


def test_blocks_of_both_models_may_be_compiled(pipe: WanPipeline, generate: Generate) -> None:
    both = {"transformer": IDENTITY, "render": IDENTITY}
    recipe = [
        {"use": "srdiffusion", "switch_step": 8},
        {"use": "teacache", "threshold": 1.2, "coefficients": both},
    ]
    found = []
    for compiled in (False, True):
        pipe, render = tiny_pipeline(), tiny_transformer(seed=7, layers=2, num_attention_heads=1)
        graphs = Graphs()
        if compiled:
            for model in (pipe.transformer, render):
                graphs.compile_blocks(model)
        with sraccel.compose(pipe, [{**recipe[0], "render": render}, recipe[1]]) as stack:
            found.append((generate(pipe, steps=STEPS), skips(stack)))
    assert graphs.count == 2
    assert found[0][1] == found[1][1]
    assert torch.allclose(found[0][0], found[1][0], atol=1e-4)


def test_an_error_in_a_skipped_forward_leaves_the_compiled_blocks_as_they_were(
    pipe: WanPipeline, generate: Generate
) -> None:
    graphs = Graphs()
    graphs.compile_blocks(pipe.transformer)
    bare = generate(pipe, steps=STEPS)
    before = [dict(vars(block)) for block in pipe.transformer.blocks]

    def fail(module: nn.Module, args: Any) -> None:
        if stack.current_run.current_step.calls[-1].reused_by:
            raise ValueError("after the skipped blocks")

    with sraccel.compose(pipe, RECIPE) as stack:
        hook = pipe.transformer.proj_out.register_forward_pre_hook(fail)
        with pytest.raises(ValueError, match="skipped blocks"):
            generate(pipe, steps=STEPS)
        hook.remove()
        generate(pipe, steps=STEPS)
        assert sum(skips(stack)) > 0
    assert [dict(vars(block)) for block in pipe.transformer.blocks] == before
    assert torch.equal(generate(pipe, steps=STEPS), bare)
    assert graphs.count == 1


class TestCompiledAsAWhole:
    """Nothing inside can be watched then: refused, loudly, and with what to do instead."""

    def test_already_compiled_is_refused_before_anything_runs(
        self, pipe: WanPipeline, generate: Generate
    ) -> None:
        graphs = Graphs()
        pipe.transformer.compile(backend=graphs)
        bare = generate(pipe)
        before = [dict(vars(module)) for module in pipe.transformer.modules()]
        with pytest.raises(sraccel.ConflictError, match=ADVICE), sraccel.compose(pipe, RECIPE):
            pytest.fail("it was attached")
        assert [dict(vars(module)) for module in pipe.transformer.modules()] == before
        with torch.compiler.set_stance("fail_on_recompile"):
            assert torch.equal(generate(pipe), bare)

    def test_already_wrapped_is_refused_at_compose(
        self, pipe: WanPipeline, generate: Generate
    ) -> None:
        bare = generate(pipe)
        pipe.transformer = torch.compile(pipe.transformer, backend=Graphs())
        with pytest.raises(sraccel.ConflictError, match=ADVICE):
            sraccel.compose(pipe, RECIPE)
        assert torch.allclose(generate(pipe), bare, atol=1e-4)

    @pytest.mark.parametrize("runs_before", [0, 1])
    def test_compiled_while_attached_raises_at_the_first_forward(
        self, runs_before: int, pipe: WanPipeline, generate: Generate
    ) -> None:
        bare, forwards = generate(pipe), []
        with sraccel.compose(pipe, RECIPE) as stack:
            for _ in range(runs_before):
                generate(pipe)
            pipe.transformer.register_forward_hook(lambda *_: forwards.append(1))
            pipe.transformer.compile(backend=Graphs())
            for attempt in (1, 2):
                with pytest.raises(sraccel.LoopError, match=ADVICE):
                    generate(pipe)
                assert len(forwards) == attempt
                assert stack.report.outcome.startswith("failed: LoopError")
        assert torch.allclose(generate(pipe), bare, atol=1e-4)

    def test_wrapped_while_attached_raises_before_the_first_forward(
        self, pipe: WanPipeline, generate: Generate
    ) -> None:
        bare, model, forwards = generate(pipe), pipe.transformer, []
        with sraccel.compose(pipe, RECIPE):
            cached = generate(pipe)
            model.register_forward_hook(lambda *_: forwards.append(1))
            pipe.transformer = torch.compile(model, backend=Graphs())
            with pytest.raises(sraccel.LoopError, match=ADVICE):
                generate(pipe)
            assert not forwards
            pipe.transformer = model
            assert torch.equal(generate(pipe), cached)
            pipe.transformer = torch.compile(model, backend=Graphs())
        assert torch.allclose(generate(pipe), bare, atol=1e-4)
