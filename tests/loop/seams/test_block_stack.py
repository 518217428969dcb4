"""The block-stack seam: it watches the ends of a stack, and skips what lies between."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from tiny_models import tiny_pipeline, tiny_transformer
from torch import nn

import sraccel
from sraccel.plugin import Accelerator, Call, hookimpl

Generate = Callable[..., torch.Tensor]


class EveryOther(Accelerator):
    """Reuses the residual of the step before in every other step."""

    name = "every-other"

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        return call.step.index % 2 == 1


RECIPE = [EveryOther.Options()]


def attributes(*modules: nn.Module) -> list[dict[str, Any]]:
    return [dict(vars(module)) for one in modules for module in one.modules()]


def reused(stack: sraccel.Stack) -> list[bool]:
    return [all(call.reused for call in step.calls) for step in stack.report.steps]


class RunOrAdd(nn.Module):
    """The definition: a block stack that runs or adds its last residual, by turns."""

    def __init__(self, blocks: nn.ModuleList) -> None:
        super().__init__()
        self.inner, self.count, self.residuals = blocks, 0, {}

    def forward(self, hidden: torch.Tensor, *more: Any) -> torch.Tensor:
        step, branch = divmod(self.count, 2)
        self.count += 1
        if step % 2:
            return hidden + self.residuals[branch]
        original = hidden
        for block in self.inner:
            hidden = block(hidden, *more)
        self.residuals[branch] = hidden - original
        return hidden


@pytest.mark.parametrize("layers", [1, 2, 3, 5])
def test_a_stack_of_any_depth_runs_or_adds_its_residual(layers: int, generate: Generate) -> None:
    pipe, defined = tiny_pipeline(layers=layers), tiny_pipeline(layers=layers)
    defined.transformer.blocks = nn.ModuleList([RunOrAdd(defined.transformer.blocks)])
    generate(pipe, steps=1)  # diffusers keeps a registry on the modules from then on
    before = attributes(pipe.transformer)
    ran = []
    for block in pipe.transformer.blocks:
        block.register_forward_pre_hook(lambda *_: ran.append(stack.current_run.current_step.index))
    with sraccel.compose(pipe, RECIPE) as stack:
        ours = generate(pipe, steps=6)
    assert torch.equal(ours, generate(defined, steps=6))
    assert reused(stack) == [False, True] * 3
    assert ran == [step for step in (0, 2, 4) for _ in range(2 * layers)], (
        "blocks of a skipped step"
    )
    assert attributes(pipe.transformer) == before


def test_detaching_within_a_skipped_forward_leaves_every_block_as_it_was(
    pipe: WanPipeline, generate: Generate
) -> None:
    bare = generate(pipe)
    before = attributes(*pipe.transformer.blocks)
    stack = sraccel.compose(pipe, RECIPE).attach()

    def detach(*_: Any) -> None:
        if stack.attached and stack.current_run.current_step.index == 3:
            stack.detach()

    hook = pipe.transformer.proj_out.register_forward_hook(detach)
    generate(pipe)
    hook.remove()
    assert stack.report.outcome == "partial"
    assert attributes(*pipe.transformer.blocks) == before
    assert torch.equal(generate(pipe), bare)


@pytest.mark.parametrize("foreign", [False, True])
def test_a_denoiser_called_by_an_accelerator_in_its_own_forward_is_an_error(
    foreign: bool, pipe: WanPipeline, generate: Generate
) -> None:
    """With the loop's timestep the call within is one of the step; with another it is foreign."""

    class Probes(EveryOther):
        """Asks the model within the call that it is asked about."""

        name = "probes"
        probing = False

        @hookimpl
        def skip_blocks(self, call: Call) -> bool:
            if call.step.index == 1 and not self.probing:
                self.probing = True
                timestep = torch.tensor([7 if foreign else call.step.timestep])
                call.denoiser.module(call.model_input, timestep, torch.ones(1, 6, 16))
            return super().skip_blocks(call)

    bare = generate(pipe)
    before = attributes(*pipe.transformer.blocks)
    with sraccel.compose(pipe, [Probes.Options()]):
        with pytest.raises(sraccel.LoopError, match="within its own forward"):
            generate(pipe)
    assert attributes(*pipe.transformer.blocks) == before
    assert torch.equal(generate(pipe), bare)


class TestSharedBlocks:
    """Models that share blocks, as a small one made of a large one's first blocks does."""

    @staticmethod
    def truncated(model: WanTransformer3DModel, layers: int = 2) -> WanTransformer3DModel:
        small = tiny_transformer(seed=7, layers=layers)
        small.blocks = nn.ModuleList(model.blocks[:layers])
        return small

    @pytest.mark.parametrize("layers", [1, 2, 3])
    def test_by_the_two_models_of_one_stack(
        self, layers: int, pipe: WanPipeline, generate: Generate
    ) -> None:
        render = self.truncated(pipe.transformer, layers)
        apart = copy.deepcopy(render)
        before = attributes(*pipe.transformer.blocks)
        results = []
        for model in (render, apart):
            recipe = [{"use": "srdiffusion", "render": model, "switch_step": 4}, *RECIPE]
            with sraccel.compose(pipe, recipe) as stack:
                results.append(generate(pipe, steps=9))
            assert reused(stack) == [False, True, False, True] + [False, True] * 2 + [False]
        assert torch.equal(*results)
        assert attributes(*pipe.transformer.blocks) == before

    @pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
    def test_by_the_models_of_two_stacks_that_come_off_in_any_order(
        self, order: tuple[int, ...], generate: Generate
    ) -> None:
        one, two = tiny_pipeline(), tiny_pipeline()
        two.transformer = self.truncated(one.transformer)
        pipes, alone = (one, two), []
        bare = [generate(pipe) for pipe in pipes]
        before = attributes(*one.transformer.blocks)
        for pipe in pipes:
            with sraccel.compose(pipe, RECIPE):
                alone.append(generate(pipe))
        stacks = [sraccel.compose(pipe, RECIPE).attach() for pipe in pipes]
        for pipe, expected in zip(pipes, alone, strict=True):
            assert torch.equal(generate(pipe), expected)
        first, second = order
        stacks[first].detach()
        assert torch.equal(generate(pipes[first]), bare[first])
        assert torch.equal(generate(pipes[second]), alone[second])
        stacks[second].detach()
        assert attributes(*one.transformer.blocks) == before
        assert [torch.equal(generate(pipe), bare[k]) for k, pipe in enumerate(pipes)] == [True] * 2

    @pytest.mark.parametrize("order", [(0, 0, 1), (0, 1, 1), (0, 1, 0), (0, 1, 1, 2)])
    def test_one_that_a_model_runs_twice_is_refused(
        self, order: tuple[int, ...], pipe: WanPipeline, generate: Generate
    ) -> None:
        blocks = list(pipe.transformer.blocks)
        pipe.transformer.blocks = nn.ModuleList([blocks[number] for number in order])
        before = attributes(pipe.transformer)
        with pytest.raises(sraccel.ConflictError, match="one block several times"):
            sraccel.compose(pipe, RECIPE).attach()
        assert attributes(pipe.transformer) == before
        with sraccel.compose(pipe, []):
            generate(pipe)


@pytest.mark.parametrize("change", ["replaced", "appended", "left out"])
def test_a_change_of_the_blocks_while_attached_is_an_error(
    change: str, pipe: WanPipeline, generate: Generate
) -> None:
    blocks = pipe.transformer.blocks
    with sraccel.compose(pipe, RECIPE):
        generate(pipe)
        if change == "replaced":
            blocks[1] = copy.deepcopy(blocks[1])
        elif change == "appended":
            blocks.append(copy.deepcopy(blocks[1]))
        else:
            del blocks[1]
        with pytest.raises(sraccel.LoopError, match="were changed while"):
            generate(pipe)


def test_a_block_replaced_in_mid_run_is_an_error(pipe: WanPipeline, generate: Generate) -> None:
    def replace(pipe: Any, index: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        pipe.transformer.blocks[0] = copy.deepcopy(pipe.transformer.blocks[0])
        return {}

    with (
        sraccel.compose(pipe, RECIPE),
        pytest.raises(sraccel.LoopError, match="were its blocks replaced"),
    ):
        generate(pipe, callback_on_step_end=replace)
