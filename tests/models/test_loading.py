"""Models load by name, from safetensors only; what cannot be loaded is refused with advice."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline, WanPipeline

from sraccel.demo.pair import DEMO_WEIGHTS, demo_call
from sraccel.errors import ModelError
from sraccel.models.loading import load_pipeline, locate
from sraccel.models.source import ModelSource
from sraccel.testing import load_demo_pipeline


def test_the_demo_pipeline_is_a_wan_pipeline_with_the_sketch_or_the_render_transformer():
    sketch, render = load_demo_pipeline(), load_demo_pipeline("render")
    assert isinstance(sketch, WanPipeline)
    sizes = [
        sum(parameter.numel() for parameter in pipe.transformer.parameters())
        for pipe in (sketch, render)
    ]
    assert sizes[0] > 2 * sizes[1]
    with pytest.raises(ValueError, match="'transformer' or 'render'"):
        load_demo_pipeline("painter")  # type: ignore[arg-type]


def test_the_demo_pipeline_s_call_defaults_to_its_own_size_and_takes_others():
    pipe = load_demo_pipeline()
    call = {"prompt": "a red circle moving left", "num_inference_steps": 1}
    video = pipe(**call).frames
    size = demo_call()["height"]
    assert video.shape[2:] == (size, size, 3)
    assert pipe(**call, height=32, num_frames=5).frames.shape[1:3] == (6, 32)
    with pytest.raises(ValueError, match="num_frames is 4, but must be a multiple of 3, less one"):
        pipe(**call, num_frames=4)


def test_a_plain_wan_pipeline_given_the_same_arguments_gives_the_same_bits():
    demo, plain = load_demo_pipeline(), WanPipeline.from_pretrained(DEMO_WEIGHTS)
    call = {"prompt": "a red circle moving left", "num_inference_steps": 2, "output_type": "pt"}
    ours = demo(**call, generator=torch.Generator().manual_seed(0)).frames
    theirs = plain(**call, **demo_call(), generator=torch.Generator().manual_seed(0)).frames
    assert torch.equal(ours, theirs)


def test_the_demo_pipeline_has_every_argument_of_a_wan_pipeline():
    ours = inspect.signature(load_demo_pipeline().__call__).parameters
    assert list(ours) == list(inspect.signature(WanPipeline.__call__).parameters)[1:]


def test_a_saved_demo_pipeline_loads_with_diffusers_alone(tmp_path: Path):
    load_demo_pipeline().save_pretrained(tmp_path)
    assert type(DiffusionPipeline.from_pretrained(tmp_path)) is WanPipeline


def test_a_folder_loads_as_the_pipeline_that_it_names():
    pipe = load_pipeline(DEMO_WEIGHTS, device="cpu", dtype="bfloat16")
    assert type(pipe) is WanPipeline
    assert pipe.transformer.dtype == torch.bfloat16
    assert pipe.vae.dtype == torch.float32


def test_a_denoiser_loads_by_name_ready_for_inference():
    render = ModelSource(model="demo").load()
    sketch = ModelSource(model=str(DEMO_WEIGHTS), dtype="float16").load()
    assert not render.training
    assert len(render.blocks) < len(sketch.blocks)
    assert sketch.proj_out.weight.dtype == torch.float16


@pytest.mark.parametrize("name", ["/no/such/folder", "./here", "name-without-owner", "a/b/c"])
def test_a_name_that_is_neither_folder_nor_hub_name_is_refused_with_advice(name: str):
    with pytest.raises(ModelError, match="folder in diffusers' format, a name on the hub"):
        locate(name)


def test_a_file_is_refused(tmp_path: Path):
    (tmp_path / "model.safetensors").write_text("")
    with pytest.raises(ModelError, match=r"model\.safetensors is a file"):
        locate(tmp_path / "model.safetensors")


def test_a_folder_in_another_format_is_refused_with_advice(tmp_path: Path):
    with pytest.raises(ModelError, match=r"no model_index\.json.*-Diffusers"):
        load_pipeline(tmp_path)
    with pytest.raises(ModelError, match=r"no transformer/config\.json"):
        ModelSource(model=str(tmp_path)).load()


def test_an_incomplete_folder_is_refused_with_advice(tmp_path: Path):
    shutil.copytree(DEMO_WEIGHTS, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "vae")
    with pytest.raises(ModelError, match="Is the folder complete"):
        load_pipeline(tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for CUDA where there is none")
def test_asking_for_cuda_where_there_is_none_is_an_error():
    with pytest.raises(ModelError, match="no CUDA device"):
        load_pipeline("demo", device="cuda")
    with pytest.raises(ModelError, match="no CUDA device"):
        load_pipeline("demo", offload="model")
