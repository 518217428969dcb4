"""The header of a study: whatever changes what is computed, or how fast, is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import cpu_offload
from accelerate.hooks import CpuOffload, SequentialHook, add_hook_to_module
from diffusers import FirstBlockCacheConfig, WanPipeline
from diffusers.hooks import apply_group_offloading
from diffusers.models import attention_dispatch
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from distribution import make_distribution
from PIL import Image
from small_study import CALL, TWO
from tiny_models import tiny_pipeline

import sraccel
from sraccel.report.build import _model_name
from sraccel.report.origin import Source
from sraccel.study.cell import BARE, Cell
from sraccel.study.runs.header import Header, header_of
from sraccel.testing import load_demo_pipeline

BARE_CELL = Cell(name=BARE, kind="bare")


@pytest.fixture
def sketch() -> WanPipeline:
    """The trained pair's, a new one each time: tests change it."""
    return load_demo_pipeline("transformer")


@pytest.fixture
def default_backend() -> Iterator[None]:
    """Setting a backend on a model also changes the one of the process."""
    registry = attention_dispatch._AttentionBackendRegistry
    before = registry._active_backend
    yield
    registry.set_active_backend(before)


def header(
    pipe: Any, *cells: Cell, sources: Sequence[Source] = (), call: Any = (), composed: bool = True
) -> Header:
    """Of a study of these cells, besides the bare one."""
    all_cells = [BARE_CELL, *cells]
    composing = all_cells if composed else [BARE_CELL]
    stacks = {cell.name: sraccel.compose(pipe, cell.accelerators) for cell in composing}
    return header_of(pipe, all_cells, stacks, sources, dict(call))


def changed(before: Header, after: Header) -> dict[str, tuple[object, object]]:
    """(then, now) by path, of headers that were on disk."""
    then, now = (Header.model_validate_json(item.model_dump_json()) for item in (before, after))
    return {path: (theirs, ours) for path, ours, theirs in now.differences(then)}


def stack_cell(*accelerators: Any, name: str = "a cell") -> Cell:
    return Cell(name=name, kind="stack", accelerators=list(accelerators))


def picture(value: int, mode: str = "RGB") -> Image.Image:
    return Image.fromarray(np.full((8, 6, 3), value, np.uint8)).convert(mode)


def palette(red: int) -> Image.Image:
    made = Image.new("P", (6, 8))
    made.putpalette([red, 0, 0])
    return made


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda n: torch.full((1, 3, 8, 8), float(n)), "<Tensor 1x3x8x8 float32 "),
        (lambda n: torch.full((2, 4), float(n), dtype=torch.bfloat16), "<Tensor 2x4 bfloat16 "),
        (lambda n: torch.tensor(n + 1j).conj(), "<Tensor scalar complex64 "),
        (lambda n: torch.full((4, 2), n).T, "<Tensor 2x4 int64 "),
        (lambda n: np.full((4, 2), n, np.float32), "<ndarray 4x2 float32 "),
        (lambda n: np.float32(n), "<float32 scalar float32 "),
        (picture, "<Image 6x8 RGB "),
        (palette, "<Image 6x8 P "),
        (lambda n: [picture(0), picture(n)], "<Image 6x8 RGB "),
        (lambda n: {"deep": [torch.full((1,), n)]}, "<Tensor 1 int64 "),
        (lambda n: (torch.float32, torch.float16)[n - 1], "torch.float"),
        (lambda n: Path("folder") / f"{n}.png", "folder"),
    ],
)
def test_arguments_that_json_cannot_hold_are_told_apart(
    sketch: WanPipeline, make: Callable[[int], Any], expected: str
) -> None:
    before = header(sketch, call={"given": make(1)})
    assert not changed(before, header(sketch, call={"given": make(1)}))
    assert expected in json.dumps(before.call)
    ((path, (then, now)),) = changed(before, header(sketch, call={"given": make(2)})).items()
    assert path.startswith("call.given")
    assert then != now


def test_an_image_is_the_same_whatever_it_was_read_from(
    sketch: WanPipeline, tmp_path: Path
) -> None:
    picture(3).save(tmp_path / "picture.png")
    read = Image.open(tmp_path / "picture.png")
    before = header(sketch, call={"image": picture(3)})
    assert not changed(before, header(sketch, call={"image": read}))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (print, "<builtin_function_or_method>"),
        (object(), "<object>"),
        (torch.empty(3, device="meta"), "<Tensor>"),
        (torch.eye(3).to_sparse(), "<Tensor>"),
        (np.array([object()]), "<ndarray>"),
    ],
)
def test_what_has_no_content_to_see_goes_by_its_class(
    sketch: WanPipeline, value: Any, expected: str
) -> None:
    assert header(sketch, call={"given": value}).call == {"given": expected}


def test_an_argument_of_a_cell_counts_like_one_of_all(sketch: WanPipeline) -> None:
    def of(value: float) -> Header:
        sampling = {"image": torch.full((2,), value), "num_inference_steps": 4}
        return header(sketch, Cell(name="a cell", kind="stack", sampling=sampling))

    assert set(changed(of(1.0), of(2.0))) == {"cells.a cell.sampling.image"}
    assert not changed(of(1.0), of(1.0))


class OtherProcessor(WanAttnProcessor):
    """Not the usual one."""


def other_backend(pipe: WanPipeline) -> None:
    pipe.transformer.set_attention_backend("_native_math")


def other_processor(pipe: WanPipeline) -> None:
    pipe.transformer.blocks[0].attn1.set_processor(OtherProcessor())


def other_processors(pipe: WanPipeline) -> None:
    pipe.transformer.set_attn_processor(OtherProcessor())


def eager_text(pipe: WanPipeline) -> None:
    pipe.text_encoder.set_attn_implementation("eager")


def tiling(pipe: WanPipeline) -> None:
    pipe.vae.enable_tiling()


def slicing(pipe: WanPipeline) -> None:
    pipe.vae.enable_slicing()


def offloaded_whole(pipe: WanPipeline) -> None:
    add_hook_to_module(pipe.text_encoder, CpuOffload("cpu"))


def offloaded_whole_and_hooked(pipe: WanPipeline) -> None:
    add_hook_to_module(pipe.text_encoder, SequentialHook(CpuOffload("cpu")))


def offloaded_by_layers(pipe: WanPipeline) -> None:
    cpu_offload(pipe.vae, execution_device=torch.device("cpu"))


def offloaded_in_groups(pipe: WanPipeline) -> None:
    cpu = torch.device("cpu")
    apply_group_offloading(pipe.transformer, cpu, cpu, "block_level", num_blocks_per_group=1)


def cached(pipe: WanPipeline) -> None:
    pipe.transformer.enable_cache(FirstBlockCacheConfig(threshold=0.25))


def compiled(pipe: WanPipeline) -> None:
    pipe.transformer.blocks[0].compile()


@pytest.mark.usefixtures("default_backend")
@pytest.mark.parametrize(
    ("change", "path", "expected"),
    [
        (other_backend, "transformer.attention", "WanAttnProcessor _native_math"),
        (other_processor, "transformer.attention", "OtherProcessor native, WanAttnProcessor"),
        (other_processors, "transformer.attention", "OtherProcessor native"),
        (eager_text, "text_encoder.attention", "eager"),
        (tiling, "vae.use_tiling", "on"),
        (slicing, "vae.use_slicing", "on"),
        (offloaded_whole, "text_encoder.hooks", "CpuOffload"),
        (offloaded_whole_and_hooked, "text_encoder.hooks", "CpuOffload"),
        (offloaded_by_layers, "vae.hooks", "AlignDevicesHook"),
        (offloaded_in_groups, "transformer.hooks", "GroupOffloadingHook"),
        (cached, "transformer.cache", 'FirstBlockCacheConfig {"threshold": 0.25}'),
        (compiled, "transformer.compiled", "WanTransformerBlock"),
    ],
)
def test_how_a_part_computes_is_noticed(
    sketch: WanPipeline, change: Callable[[WanPipeline], None], path: str, expected: str
) -> None:
    before = header(sketch)
    change(sketch)
    after = header(sketch)
    found = changed(before, after)
    assert str(found[f"models.{path}"][1]).startswith(expected)
    assert any(line.startswith(f"models.{path}: ") for line in after.difference_lines(before))
    part = path.split(".")[0]
    assert all(other.startswith(f"models.{part}.") for other in found)


def test_other_tiles_are_noticed(sketch: WanPipeline) -> None:
    sketch.vae.enable_tiling()
    before = header(sketch)
    sketch.vae.enable_tiling(tile_sample_min_height=32)
    path = "models.vae.tile_sample_min_height"
    assert changed(before, header(sketch)) == {path: ("256", "32")}
    sketch.vae.disable_tiling()
    assert set(header(sketch).models["vae"]) == {"class", "dtype", "weights"}


def test_versions_of_what_computes_and_judges_are_there(sketch: WanPipeline) -> None:
    found = header(sketch).versions
    assert found["numpy"] == np.__version__
    assert {"scipy", "torchmetrics", "torch", "sraccel"} <= set(found)
    assert "sraccel-example" not in found


def test_the_version_of_a_cells_plugin_counts(sketch: WanPipeline) -> None:
    example = pytest.importorskip("sraccel_example")
    cell = stack_cell(example.Bf16Linear.Options())
    found = changed(header(sketch), header(sketch, cell))
    assert found["versions.sraccel-example"] == (None, "0.1.0")


JUDGE = """
from sraccel.plugin import Metric, hookimpl

@hookimpl
def sraccel_metrics():
    return [Metric("mine", lambda ours, theirs: 0.0)]
"""


def test_the_version_of_a_metric_counts_a_broken_plugin_does_not(
    sketch: WanPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = header(sketch)
    make_distribution(tmp_path, "judge", JUDGE)
    make_distribution(tmp_path, "broken", "import not_there_at_all")
    make_distribution(tmp_path, "unused", "")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert changed(before, header(sketch)) == {"versions.judge": (None, "9.9")}


def swept(folder: Path) -> list[Cell]:
    """Two cells that name a model, and one of a module that names nothing."""
    given = [
        {"use": "srdiffusion", "render": str(folder), "switch_step": 2},
        {"use": "srdiffusion", "render": str(folder), "switch_step": 3},
        {"use": "srdiffusion", "render": tiny_pipeline().transformer, "switch_step": 3},
    ]
    recipes = [sraccel.Recipe(accelerators=[item]) for item in given]
    return [
        stack_cell(*recipe.accelerators, name=f"cell {number}")
        for number, recipe in enumerate(recipes)
    ]


def test_models_and_files_that_only_cells_name_are_sources(
    sketch: WanPipeline, tmp_path: Path
) -> None:
    folder = tmp_path / "render"
    tiny_pipeline().transformer.save_pretrained(folder)
    base = Source(name="base", fingerprint="a")
    before = header(sketch, *swept(folder), sources=[base], composed=False)
    assert [source.name for source in before.sources] == ["base", str(folder)]
    tiny_pipeline(layers=2).transformer.save_pretrained(folder)
    after = header(sketch, *swept(folder), sources=[base], composed=False)
    assert set(changed(before, after)) == {"sources[1].fingerprint"}
    given = Source(name=str(folder), revision="as it was given")  # goes over what cells name
    assert header(sketch, *swept(folder), sources=[given], composed=False).sources == [given]
    path = tmp_path / "calibrated.json"
    path.write_text("{}")
    cell = stack_cell({"use": "teacache", "coefficients": str(path)})
    assert [source.name for source in header(sketch, cell, composed=False).sources] == [str(path)]


def test_cells_whose_sources_cannot_be_read_break_nothing(
    sketch: WanPipeline, tmp_path: Path
) -> None:
    cells = [
        stack_cell({"use": "nobody's"}, name="unknown"),
        stack_cell({"use": "srdiffusion", "render": "./not there"}, name="missing"),
        stack_cell({"use": "teacache", "threshold": []}, name="wrong"),
    ]
    assert header(sketch, *cells, composed=False).sources == []


def test_the_processor_goes_by_its_model(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: A Maker's  CPU @ 2: fast\nmodel name\t: B\n")
    assert _model_name(path) == "A Maker's CPU @ 2: fast"
    path.write_text("processor\t: 0\nBogoMIPS\t: 50.0\n")
    assert _model_name(path) == ""
    assert _model_name(tmp_path / "missing") == ""


def test_a_header_of_before_is_read_and_what_it_lacks_is_named(sketch: WanPipeline) -> None:
    content = header(sketch).model_dump(mode="json")
    for part in content["models"].values():
        part.pop("attention", None)
    del content["versions"]["numpy"]
    before = Header.model_validate(content)
    assert set(changed(before, header(sketch))) == {
        "models.transformer.attention",
        "models.text_encoder.attention",
        "versions.numpy",
    }


PROGRAM = """
import sys
import torch
from test_header import everything
torch.set_num_threads(1)
print(everything().model_dump_json())
"""


def everything() -> Header:
    """With two accelerators, of a pipeline that was loaded for it."""
    cells = [stack_cell(*sraccel.Recipe(accelerators=TWO).accelerators)]
    call = {**CALL, "image": picture(1), "latents": torch.ones(2, 3), "called_back": picture}
    return header(load_demo_pipeline("transformer"), *cells, call=call)


@pytest.mark.slow
def test_two_processes_agree() -> None:
    here = Path(__file__).parent
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(here.parents[1] / "support"), str(here)]),
        "PYTHONHASHSEED": "7",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment
    )
    theirs = Header.model_validate_json(done.stdout.splitlines()[-1])
    assert not changed(theirs, everything())


def offloaded_in_leaves(pipe: WanPipeline) -> None:
    pipe.vae.enable_tiling()
    for part in (pipe.text_encoder, pipe.transformer):
        apply_group_offloading(part, torch.device("cpu"), torch.device("cpu"), "leaf_level")


def offloaded_by_parts(pipe: WanPipeline) -> None:
    pipe.enable_model_cpu_offload(device="cpu")


@pytest.mark.parametrize("prepare", [offloaded_in_leaves, offloaded_by_parts])
def test_running_changes_nothing(
    sketch: WanPipeline, prepare: Callable[[WanPipeline], None]
) -> None:
    prepare(sketch)
    cell = stack_cell(*sraccel.Recipe(accelerators=[*TWO, {"use": "sageattention"}]).accelerators)
    before = header(sketch, cell)
    with sraccel.compose(sketch, cell.accelerators):
        sketch(prompt="a red circle moving up", **CALL)
    sketch(prompt="a red circle moving up", **CALL)
    assert not changed(before, header(sketch, cell))
