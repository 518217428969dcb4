"""What a video comes from: checksums that differ between models, and reports that say all of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import sraccel
from sraccel.demo.pair import DEMO_WEIGHTS
from sraccel.models.source import ModelSource
from sraccel.report.model import Report
from sraccel.report.origin import (
    Origin,
    Source,
    fingerprint,
    frames_sha256,
    hub_commit,
    sources_of,
    tags,
)
from sraccel.report.repetition import Repetition, read_repetition
from sraccel.video.mp4 import load_video, save_video

SWITCH = {"use": "srdiffusion", "render": "demo", "switch_step": 3}


@pytest.fixture
def folder(pipe: Any, tmp_path: Path) -> Path:
    """A pipeline's folder."""
    pipe.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def weights_of(folder: Path) -> Path:
    return folder / "transformer" / "diffusion_pytorch_model.safetensors"


def test_a_copy_has_the_same_fingerprint_wherever_it_is(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "elsewhere" / "copy")
    assert fingerprint(copy) == fingerprint(folder)
    for name in ("README.md", ".cache.json", "preview.png"):
        (copy / name).write_text("does not count")
    assert fingerprint(copy) == fingerprint(folder)


def other_numbers(folder: Path) -> None:
    """The same header and the same size."""
    numbers = {name: value + 1e-3 for name, value in load_file(weights_of(folder)).items()}
    save_file(numbers, weights_of(folder), metadata={"format": "pt"})


def other_shapes(folder: Path) -> None:
    numbers = {name: value[None] for name, value in load_file(weights_of(folder)).items()}
    save_file(numbers, weights_of(folder), metadata={"format": "pt"})


def other_configuration(folder: Path) -> None:
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(path.read_text().replace('"flow_shift": 3.0', '"flow_shift": 5.0'))


def another_file(folder: Path) -> None:
    (folder / "teacache.json").write_text("{}")


def renamed(folder: Path) -> None:
    (folder / "transformer").rename(folder / "transformer_2")


@pytest.mark.parametrize(
    "change", [other_numbers, other_shapes, other_configuration, another_file, renamed]
)
def test_another_model_has_another_fingerprint(
    change: Callable[[Path], None], folder: Path
) -> None:
    before = fingerprint(folder)
    change(folder)
    assert fingerprint(folder) != before


def test_a_fingerprint_reads_little_of_large_weights(tmp_path: Path) -> None:
    """A sparse file of 64 GiB, of which reading all would take minutes."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "large.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 64 * 2**30)
    before = fingerprint(path)
    os.truncate(path, 64 * 2**30 + 4)
    assert fingerprint(path) != before


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\xff" * 20, b"\0" * 5])
def test_a_fingerprint_takes_any_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(content)
    assert len(fingerprint(tmp_path / "broken.safetensors")) == 64


def test_everything_that_makes_a_video_is_listed_once_the_pipeline_first(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "fitted.json").write_text("{}")
    save_file({"a": np.zeros(1)}, tmp_path / "lora.safetensors")
    coefficients = {"transformer": str(tmp_path / "fitted.json"), "render": "auto"}
    lora = str(tmp_path / "lora.safetensors")
    recipe = sraccel.Recipe(
        accelerators=[
            {**SWITCH, "render": str(folder), "render_lora": {"model": lora, "scale": 0.5}},
            {"use": "teacache", "coefficients": coefficients},
        ]
    )
    sources = sources_of([ModelSource(model="demo"), ModelSource(model=str(folder))], recipe)
    assert [source.name for source in sources] == [
        "demo",
        str(folder),
        lora,
        str(tmp_path / "fitted.json"),
    ]
    assert sources[0] == Source(name="demo", fingerprint=fingerprint(DEMO_WEIGHTS))
    assert all(source.fingerprint and source.revision is None for source in sources)


def test_a_folder_that_holds_no_weights_is_not_looked_through(tmp_path: Path) -> None:
    recipe = sraccel.Recipe(accelerators=[{**SWITCH, "render_lora": str(tmp_path)}])
    assert [source.name for source in sources_of([ModelSource(model="demo")], recipe)] == ["demo"]


def test_a_name_on_the_hub_is_identified_by_its_commit(hub_cache: Path) -> None:
    refs = hub_cache / "models--someone--large" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text("a" * 40)
    (refs / "v2").write_text("b" * 40)
    found = [hub_commit("someone/large", it) for it in (None, "v2", "v3", "c" * 40)]
    assert found == ["a" * 40, "b" * 40, None, "c" * 40]
    assert hub_commit("someone/other") is None
    assert hub_commit("someone/large", "../../../../etc/hostname") is None


def test_frames_have_the_same_checksum_if_every_bit_is_the_same() -> None:
    import torch

    frames = torch.rand(2, 3, 4, 5)
    other = frames.clone()
    other.view(torch.int32)[1, 1, 1, 1] ^= 1
    assert frames_sha256(frames) == frames_sha256(frames.clone())
    assert frames_sha256(frames.movedim(1, -1).contiguous().movedim(-1, 1)) == frames_sha256(frames)
    assert frames_sha256(frames) != frames_sha256(other)
    assert frames_sha256(frames) != frames_sha256(frames.reshape(2, 3, 5, 4))


# Reports and videos that can be repeated.


def made(**changes: Any) -> Report:
    recipe = sraccel.Recipe(
        name="fast", model="demo", sampling={"height": 32}, accelerators=[SWITCH]
    )
    source = Source(name="demo", fingerprint="f" * 64)
    origin = Origin(sources=[source], dtype="float32", device="cpu", fps=8, frames_sha256="0")
    fields: dict[str, Any] = {
        "outcome": "finished",
        "recipe": recipe.model_dump(mode="json"),
        "call": {"prompt": 'a "red" circle; ☃\n', "num_inference_steps": 6, "seed": 3},
        "num_inference_steps": 6,
        "versions": {"torch": "2.6"},
        "environment": {"device": "cpu: x", "threads": "1"},
        "origin": origin,
    }
    return Report(**{**fields, **changes})


def test_a_report_and_a_video_say_the_same_of_their_run(tmp_path: Path) -> None:
    report = made()
    report.save(tmp_path / "report.json")
    frames = np.zeros((2, 16, 16, 3), np.uint8)
    save_video(frames, tmp_path / "video.mp4", metadata={"comment": "c", **tags(report)})
    one, other = (read_repetition(tmp_path / name) for name in ("report.json", "video.mp4"))
    assert one == other
    assert (one.seed, one.arguments["prompt"]) == (3, 'a "red" circle; ☃\n')
    assert one.pipeline.name == "demo"
    assert load_video(tmp_path / "video.mp4").shape == (2, 256, 256, 3)
    with av.open(str(tmp_path / "video.mp4")) as container:
        assert container.metadata["comment"] == "c"


def test_the_recipe_of_a_report_is_the_recipe_that_was_given() -> None:
    """Its defaults are filled in there, and some options refuse to be given beside others."""
    for items in (
        [SWITCH],
        [{**SWITCH, "switch_step": None, "threshold": 0.02}, {"use": "teacache"}],
    ):
        recipe = sraccel.Recipe(name="a", model="demo", sampling={"width": 32}, accelerators=items)
        repetition = repetition_of(made(recipe=recipe.model_dump(mode="json")))
        assert sraccel.Recipe.load(repetition.recipe_content()) == recipe


def repetition_of(report: Report) -> Repetition:
    return Repetition.model_validate(json.loads(tags(report)["sraccel"]))


def test_a_default_that_is_another_one_today_stays_as_it_was() -> None:
    recipe = {"accelerators": [{"use": "teacache", "threshold": 0.123, "retention": False}]}
    content = repetition_of(made(recipe=recipe)).recipe_content()
    assert content == {"accelerators": [{"use": "teacache", "threshold": 0.123}]}


def test_what_differs_is_said_in_words() -> None:
    now = made(versions={"torch": "2.7", "new": "1"}, environment={"device": "cuda: y"})
    assert now.origin is not None
    now.origin.sources = [Source(name="demo", fingerprint="0" * 64)]
    assert repetition_of(made()).differences(now) == [
        "torch: 2.6 then, 2.7 now",
        "new: none then, 1 now",
        "device: cpu: x then, cuda: y now",
        "threads: 1 then, none now",
        f"demo: {'f' * 12} then, {'0' * 12} now",
    ]
    assert repetition_of(made()).differences(made()) == []


def test_a_changed_model_is_refused_by_name() -> None:
    repetition = repetition_of(made())
    repetition.check_sources([Source(name="demo", fingerprint="f" * 64)], "")
    repetition.check_sources([Source(name="another", fingerprint="0" * 64)], "")
    with pytest.raises(sraccel.ModelError, match=r"(?s)demo: f{12} then, 0{12} now.*do this") as no:
        repetition.check_sources([Source(name="demo", fingerprint="0" * 64)], "do this")
    assert no.value.differences == {"demo": ("f" * 64, "0" * 64)}
    assert no.value.model == "demo"


def test_frames_are_compared_only_where_the_same_video_was_asked_for() -> None:
    repetition, same, other = repetition_of(made()), made(), made()
    assert other.origin is not None
    other.origin.frames_sha256 = "1"
    assert repetition.same_frames(same) is True
    assert repetition.same_frames(other) is False
    assert repetition.same_frames(made(call={"prompt": "a blue circle", "seed": 3})) is None
    assert repetition.same_frames(made(origin=None)) is None


def test_models_from_the_hub_are_taken_at_their_commit_again() -> None:
    recipe = sraccel.Recipe(accelerators=[{**SWITCH, "render": "someone/small"}])
    source = Source(name="someone/small", revision="a" * 40)
    origin = Origin(sources=[source], dtype="float32", device="cpu", fps=8)
    (item,) = repetition_of(made(origin=origin)).pinned(recipe).accelerators
    assert str(item.render) == f"someone/small@{'a' * 40}"
    (item,) = repetition_of(made()).pinned(recipe).accelerators
    assert item.render == recipe.accelerators[0].render


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("none.json", None, "cannot be opened: No such file"),
        ("none.mp4", None, "cannot be opened: No such file"),
        ("text.json", "hello", "is no report"),
        ("deep.json", "[" * 100_000, "nested too deeply|is no report"),
        ("list.json", "[1]", "does not say which model made it"),
        ("python.json", made(origin=None).to_json(), "`sraccel generate` and `sraccel demo` write"),
        ("unseeded.json", made(call={"prompt": "a"}).to_json(), "its seed is not known"),
        ("newer.json", json.dumps({**made().model_dump(), "schema_version": 3}), "schema_version"),
        ("older.json", json.dumps({**made().model_dump(), "schema_version": 1}), "schema_version"),
        ("video.mp4", "no video", "is not a video that can be read"),
    ],
)
def test_what_cannot_be_repeated_says_why(
    name: str, text: str | None, message: str, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(sraccel.RecipeError, match=message) as refused:
        read_repetition(tmp_path / name)
    assert name in str(refused.value)


def test_a_video_without_a_tag_cannot_be_repeated(tmp_path: Path) -> None:
    save_video(np.zeros((1, 16, 16, 3), np.uint8), tmp_path / "video.mp4")
    with pytest.raises(sraccel.RecipeError, match="does not say how it was made"):
        read_repetition(tmp_path / "video.mp4")
