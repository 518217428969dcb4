"""Within `shared_loading()`, equal model sources load once; outside it, each on its own."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from peft import LoraConfig, get_peft_model_state_dict
from tiny_models import IDENTITY, tiny_transformer

import sraccel
from sraccel.models import memory
from sraccel.models.shared import shared_loading
from sraccel.models.source import ModelSource

Generate = Callable[..., torch.Tensor]
COEFFICIENTS = dict.fromkeys(("transformer", "render"), IDENTITY)
CACHE = {"use": "teacache", "threshold": 5.0, "coefficients": COEFFICIENTS}


@pytest.fixture
def folder(render: WanTransformer3DModel, tmp_path: Path) -> Path:
    """The render model of the fixtures, saved."""
    render.save_pretrained(tmp_path / "render")
    return tmp_path / "render"


@pytest.fixture
def lora(tmp_path: Path) -> str:
    """A LoRA for the render model."""
    adapted = tiny_transformer(seed=7, layers=1)
    torch.manual_seed(3)
    adapted.add_adapter(LoraConfig(r=4, target_modules=["to_q"], init_lora_weights=False))
    layers = get_peft_model_state_dict(adapted)
    WanPipeline.save_lora_weights(tmp_path / "lora", transformer_lora_layers=layers)
    return str(tmp_path / "lora")


def render_of(pipe: WanPipeline, render: Any, **options: Any) -> torch.nn.Module:
    return composed(pipe, render, **options).denoisers["render"].module


def composed(pipe: WanPipeline, render: Any, *others: Any, **options: Any) -> sraccel.Stack:
    render = str(render) if isinstance(render, Path) else render
    return sraccel.compose(
        pipe, [{"use": "srdiffusion", "render": render, "switch_step": 4, **options}, *others]
    )


def test_equal_sources_are_one_module_inside_and_two_outside(folder: Path) -> None:
    source, equal = ModelSource(model=str(folder)), ModelSource(model=str(folder), dtype="float32")
    assert source.load(torch.float32) is not source.load(torch.float32)
    with shared_loading():
        assert source.loaded(torch.float32) is None
        module = source.load(torch.float32)
        assert source.loaded(torch.float32) is source.load(torch.float32) is module
        assert equal.load() is equal.load(torch.float16) is module  # of equal precision
    assert source.loaded(torch.float32) is None
    assert source.load(torch.float32) is not module


def test_another_precision_folder_or_quantisation_is_another_module(folder: Path) -> None:
    with shared_loading():
        source = ModelSource(model=str(folder))
        others = [
            ModelSource(model=str(folder.parent), subfolder=folder.name),
            ModelSource(model=str(folder), dtype="bfloat16"),
        ]
        modules = [source.load(), source.load(torch.float16), *(item.load() for item in others)]
        assert len({id(module) for module in modules}) == 4
        assert [module.dtype for module in modules[1:]] == [
            torch.float16,
            torch.float32,
            torch.bfloat16,
        ]
        quantised = ModelSource(model=str(folder), quantization_config={"quant_method": "torchao"})
        assert quantised.loaded() is None


def test_quantised_sources_are_shared_as_well(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(ModelSource, "_load", lambda self, like: torch.nn.Linear(1, 1))
    config = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    one, two = (ModelSource(model="demo", quantization_config=dict(config)) for _ in range(2))
    with shared_loading():
        assert one.load() is two.load()
        assert one.load() is not ModelSource(model="demo").load()


def test_a_caller_that_changes_the_module_gets_its_own_and_shares_it_with_nobody(
    folder: Path,
) -> None:
    source = ModelSource(model=str(folder))
    with shared_loading():
        own = source.load(shared=False)
        assert source.loaded() is None
        shared = source.load()
        assert len({id(own), id(shared), id(source.load(shared=False))}) == 3


def test_a_block_inside_another_shares_with_it_and_an_exception_leaves_nothing(
    folder: Path,
) -> None:
    source = ModelSource(model=str(folder))
    with shared_loading():
        outer = source.load()
        with contextlib.suppress(KeyError), shared_loading():
            assert source.load() is outer
            raise KeyError
        assert source.load() is outer
    assert source.loaded() is None
    with contextlib.suppress(KeyError), shared_loading():
        assert source.load() is not outer
        raise KeyError
    assert source.loaded() is None


def test_nothing_keeps_what_was_shared_after_the_block(folder: Path) -> None:
    with shared_loading():
        known = weakref.ref(ModelSource(model=str(folder)).load())
        assert known() is not None
    gc.collect()
    assert known() is None


def test_other_threads_load_for_themselves(folder: Path) -> None:
    source, found = ModelSource(model=str(folder)), []
    with shared_loading():
        mine = source.load()
        thread = threading.Thread(target=lambda: found.append(source.loaded()))
        thread.start()
        thread.join()
        assert source.loaded() is mine
    assert found == [None]


def test_stacks_share_a_render_model_unless_a_lora_changes_it(
    pipe: WanPipeline, folder: Path, lora: str
) -> None:
    with shared_loading():
        shared = render_of(pipe, folder)
        assert render_of(pipe, folder, residency="swap") is shared
        assert render_of(pipe, folder, render_lora="none") is shared
        adapted = [render_of(pipe, folder, render_lora=lora) for _ in range(2)]
        assert len({id(shared), *map(id, adapted)}) == 3
        assert not hasattr(shared, "peft_config")
    assert render_of(pipe, folder) is not shared


@pytest.mark.parametrize("residency", ["both", "swap", "prefetch"])
def test_stacks_that_share_compute_what_stacks_of_their_own_do(
    pipe: WanPipeline, folder: Path, generate: Generate, residency: str
) -> None:
    """One after the other, and the first once more; the bare run stays what it was."""
    kinds: list[tuple[Any, ...]] = [(), (CACHE,)]
    bare, expected = generate(pipe), []
    for others in kinds:
        with composed(pipe, folder, *others, residency=residency):
            expected.append(generate(pipe))
    with shared_loading():
        stacks = [composed(pipe, folder, *others, residency=residency) for others in kinds]
    assert stacks[0].denoisers["render"].module is stacks[1].denoisers["render"].module
    for number in (0, 1, 0):
        with stacks[number]:
            assert torch.equal(generate(pipe), expected[number])
        assert torch.equal(generate(pipe), bare)
    assert not torch.equal(*expected)


def test_room_is_not_asked_for_again_where_the_render_model_is_loaded(
    pipe: WanPipeline, folder: Path, lora: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shared_loading():
        module = render_of(pipe, folder)
        monkeypatch.setattr(memory, "free_bytes", lambda device: 1000)
        assert render_of(pipe, folder) is module
        with pytest.raises(sraccel.ModelError, match="free on cpu"):
            render_of(pipe, folder, render_lora=lora)
        with pytest.raises(sraccel.ModelError, match="free on cpu"):
            render_of(pipe, {"model": str(folder), "dtype": "bfloat16"})
    with pytest.raises(sraccel.ModelError, match="free on cpu"):
        render_of(pipe, folder)
