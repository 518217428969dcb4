"""Reports and model folders from elsewhere execute nothing.

Each file here would leave a mark if anything in it were run. See also
`recipe/reading/test_recipe_places.py` (YAML makes no objects) and `report/test_page.py` (what a
page shows is escaped).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from safetensors import safe_open
from tiny_models import tiny_pipeline

import sraccel
from sraccel.demo.pair import DEMO_WEIGHTS
from sraccel.models.loading import load_pipeline
from sraccel.models.source import ModelSource


class Bomb:
    """What loading its pickle runs."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    """A folder that would be there if something was run; at the end of each test it is not."""
    yield tmp_path / "ran"
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The demo pair's folder, to be changed."""
    return Path(shutil.copytree(DEMO_WEIGHTS, tmp_path / "model"))


def bomb(path: Path, mark: Path) -> None:
    torch.save({"weight": Bomb(mark)}, path)


def change(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}))


def test_the_bomb_works(tmp_path: Path) -> None:
    bomb(tmp_path / "bomb.bin", tmp_path / "gone off")
    torch.load(tmp_path / "bomb.bin", weights_only=False)
    assert (tmp_path / "gone off").is_dir()


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder"])
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside safetensors"])
def test_pickled_weights_of_no_part_are_ever_opened(
    part: str, beside: bool, folder: Path, mark: Path
) -> None:
    (weights,) = (folder / part).glob("*.safetensors")
    stem = "pytorch_model" if part == "text_encoder" else weights.stem
    bomb(folder / part / f"{stem}.bin", mark)
    if beside:
        load_pipeline(folder, device="cpu")
    else:
        weights.unlink()
        with pytest.raises(sraccel.ModelError, match="Only safetensors"):
            load_pipeline(folder, device="cpu")


def test_pickled_weights_of_a_render_model_are_never_opened(
    pipe: WanPipeline, mark: Path, tmp_path: Path
) -> None:
    tiny_pipeline(seed=7, layers=1).save_pretrained(tmp_path / "render")
    (weights,) = (tmp_path / "render" / "transformer").glob("*.safetensors")
    weights.unlink()
    bomb(weights.with_suffix(".bin"), mark)
    for render in (tmp_path / "render", tmp_path / "render" / "transformer"):
        with pytest.raises(sraccel.ModelError, match="Only safetensors weights are loaded"):
            sraccel.compose(pipe, [{"use": "srdiffusion", "render": str(render)}])


@pytest.mark.parametrize("name", ["pytorch_lora_weights.bin", "lora.pt", "lora.ckpt"])
def test_a_pickled_lora_is_never_opened(
    name: str, pipe: WanPipeline, render: Any, mark: Path, tmp_path: Path
) -> None:
    bomb(tmp_path / name, mark)
    for lora in (
        str(tmp_path),
        str(tmp_path / name),
        {"model": str(tmp_path), "weight_name": name},
    ):
        recipe = [{"use": "srdiffusion", "render": render, "render_lora": lora}]
        with pytest.raises(sraccel.ModelError, match="render_lora"):
            sraccel.compose(pipe, recipe)


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder"])
def test_an_index_of_safetensors_that_names_pickles_is_refused(
    part: str, folder: Path, mark: Path
) -> None:
    (weights,) = (folder / part).glob("*.safetensors")
    with safe_open(weights, "pt") as file:
        names = dict.fromkeys(file.keys(), "shard.bin")
    index = {"metadata": {"total_size": 1}, "weight_map": names}
    weights.with_name(f"{weights.name}.index.json").write_text(json.dumps(index))
    weights.unlink()
    bomb(folder / part / "shard.bin", mark)
    with pytest.raises(sraccel.ModelError, match="Only safetensors weights are loaded") as refused:
        load_pipeline(folder, device="cpu")
    assert "weights_only" not in str(refused.value)


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder"])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: len(text) // 2],
        lambda text: b"\xff" * 8 + text[8:],
        lambda text: b"",
        lambda text: b"<html>not found</html>",
    ],
    ids=["cut off", "another length", "empty", "a web page"],
)
def test_damaged_files_are_one_kind_of_error(
    part: str, change: Callable[[bytes], bytes], folder: Path
) -> None:
    for pattern in ("*.safetensors", "config.json"):
        (path,) = (folder / part).glob(pattern)
        whole = path.read_bytes()
        path.write_bytes(change(whole))
        with pytest.raises(sraccel.ModelError, match="cannot load"):
            load_pipeline(folder, device="cpu")
        path.write_bytes(whole)


def code(path: Path, mark: Path) -> None:
    """A module that leaves its mark, with a class of every name that could be asked for."""
    path.write_text(
        f"import os\nos.mkdir({str(mark)!r})\n"
        "from diffusers import WanPipeline, WanTransformer3DModel\n"
        "class Mine(WanTransformer3DModel): pass\nclass MyPipeline(WanPipeline): pass\n"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transformer": ["mine", "Mine"]}, "cannot load"),
        ({"_class_name": ["mine", "MyPipeline"]}, "sraccel never does"),
    ],
    ids=["a part's", "the pipeline's"],
)
def test_a_class_of_its_own_is_refused(
    changes: dict[str, Any], message: str, folder: Path, mark: Path
) -> None:
    for path in (folder / "mine.py", folder / "transformer" / "mine.py"):
        code(path, mark)
    change(folder / "model_index.json", **changes)
    with pytest.raises(sraccel.ModelError, match=message):
        load_pipeline(folder, device="cpu")


def test_code_that_lies_in_a_model_s_folder_is_not_run(folder: Path, mark: Path) -> None:
    for name in ("pipeline.py", "transformer/modeling.py", "text_encoder/modeling.py"):
        code(folder / name, mark)
    maps = {"AutoModel": "modeling.Mine", "AutoConfig": "modeling.Mine"}
    for part in ("transformer", "render", "text_encoder"):
        change(folder / part / "config.json", auto_map=maps)
    assert type(load_pipeline(folder, device="cpu")) is WanPipeline
    assert type(ModelSource(model=str(folder)).load()) is WanTransformer3DModel
    with pytest.raises(sraccel.ModelError, match="code of its own, which sraccel never does"):
        ModelSource(model=str(folder / "render")).load()


def test_a_class_that_is_no_model_of_diffusers_is_not_made(folder: Path, mark: Path) -> None:
    for name in ("os.mkdir", "mkdir", "DiffusionPipeline"):
        change(folder / "render" / "config.json", _class_name=name)
        with pytest.raises(sraccel.ModelError):
            ModelSource(model=str(folder / "render")).outline()
        with pytest.raises(sraccel.ModelError):
            ModelSource(model=str(folder / "render")).load()


def test_reading_a_report_makes_nothing_but_a_report(mark: Path) -> None:
    text = sraccel.Report(
        outcome=f"__import__('os').mkdir({str(mark)!r})",
        num_inference_steps=1,
        recipe={"accelerators": [{"use": "srdiffusion", "render": "<WanTransformer3DModel>"}]},
        call={"prompt": "!!python/object/apply:os.mkdir"},
    ).to_json()
    assert sraccel.Report.from_json(text).to_json() == text
    with pytest.raises(ValueError, match="Extra inputs"):
        sraccel.Report.from_json(json.dumps({**json.loads(text), "__class__": "os.mkdir"}))


def test_nowhere_in_the_package_is_a_model_s_code_trusted_or_a_pickle_read() -> None:
    words = ("trust_remote_code=True", "use_safetensors=False", "torch.load(", "pickle.load")
    package = Path(sraccel.__file__).parent
    in_memory = package / "testing/invariants/copies.py"  # reads back what it has just written
    for path in {*package.rglob("*.py")} - {in_memory}:
        text = path.read_text(encoding="utf-8")
        for word in (*words, "yaml.load(", "eval("):
            assert word not in text.replace(".eval(", ""), f"{path} has {word}"


def test_a_model_that_lacks_weights_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(DEMO_WEIGHTS, tmp_path, dirs_exist_ok=True)
    path = next((tmp_path / "transformer").glob("*.safetensors"))
    weights = load_file(path)
    lost = sorted(weights)[0]
    save_file({name: weights[name] for name in weights if name != lost}, path)
    for load in (
        lambda: load_pipeline(tmp_path),
        lambda: ModelSource(model=str(tmp_path), subfolder="transformer").load(),
    ):
        with pytest.raises(sraccel.ModelError, match=f"not complete: {lost} of "):
            load()


@pytest.mark.parametrize("where", ["transformer/config.json", "model_index.json"])
def test_configurations_that_have_no_end_are_refused_at_once(tmp_path: Path, where: str) -> None:
    tiny_pipeline().save_pretrained(tmp_path)
    (tmp_path / where).unlink()
    os.mkfifo(tmp_path / where)
    with pytest.raises(sraccel.ModelError, match="not a regular file"):
        load_pipeline(tmp_path)


def test_a_configuration_of_countless_layers_is_refused(tmp_path: Path) -> None:
    tiny_pipeline().save_pretrained(tmp_path)
    path = tmp_path / "transformer" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_layers": 10_000_000}))
    for load in (
        lambda: load_pipeline(tmp_path),
        lambda: ModelSource(model=str(tmp_path)).outline(),
    ):
        with pytest.raises(sraccel.ModelError, match="num_layers 10000000 is more than the 1000"):
            load()
