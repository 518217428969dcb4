"""Predicting on the demo pair and on tiny configurations, through the public API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sraccel.errors import ConflictError, ModelError, OutputError, RecipeError
from sraccel.prediction.bench import bench, subsets
from sraccel.prediction.bench_page import save_bench_page
from sraccel.prediction.configuration import CONFIGURATIONS, known_configuration
from sraccel.prediction.measurements_file import NAME
from sraccel.prediction.predict import predict
from sraccel.prediction.prediction import Prediction
from sraccel.prediction.target import check_size
from sraccel.prediction.workbench import Workbench
from sraccel.recipe.catalogue import installed

QUICK: dict[str, Any] = {"rounds": 1, "samples": 1, "device": "cpu", "num_inference_steps": 10}
SWITCH = {"use": "srdiffusion", "render": "demo", "switch_step": 4}
CACHE = {"use": "teacache", "threshold": 0.08}
TINY_WAN = {
    "_class_name": "WanTransformer3DModel",
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "num_layers": 3,
    "ffn_dim": 32,
    "text_dim": 16,
    "freq_dim": 16,
}
TINY_COGVIDEOX = {
    "_class_name": "CogVideoXTransformer3DModel",
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "num_layers": 3,
    "time_embed_dim": 8,
    "text_embed_dim": 16,
    "use_rotary_positional_embeddings": True,
}
TINY_HUNYUAN = {
    "_class_name": "HunyuanVideoTransformer3DModel",
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "num_layers": 2,
    "num_single_layers": 2,
    "num_refiner_layers": 1,
    "text_embed_dim": 16,
    "pooled_projection_dim": 12,
    "rope_axes_dim": [4, 6, 6],
}
TINY_LTX = {
    "_class_name": "LTXVideoTransformer3DModel",
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "cross_attention_dim": 32,
    "num_layers": 3,
    "caption_channels": 16,
}
TINY_FLUX = {
    "_class_name": "FluxTransformer2DModel",
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "num_layers": 2,
    "num_single_layers": 2,
    "joint_attention_dim": 16,
    "pooled_projection_dim": 12,
    "guidance_embeds": True,
    "axes_dims_rope": [4, 6, 6],
}
TINY = {
    "wan2.1-t2v-14b": (TINY_WAN, {"height": 32, "width": 32, "num_frames": 5}),
    "wan2.2-t2v-a14b": (TINY_WAN, {"height": 32, "width": 32, "num_frames": 5}),
    "cogvideox-5b": (TINY_COGVIDEOX, {"height": 32, "width": 32, "num_frames": 9}),
    "hunyuanvideo": (TINY_HUNYUAN, {"height": 32, "width": 32, "num_frames": 5}),
    "ltx-video": (TINY_LTX, {"height": 32, "width": 32, "num_frames": 9}),
    "flux.1-dev": (TINY_FLUX, {"height": 32, "width": 32}),
}
"""Small transformers in the place of published ones, and sizes."""


def tiny(name: str, folder: Path) -> Path:
    """The published configuration with a small transformer, as a folder."""
    published = CONFIGURATIONS[name]
    denoisers = dict.fromkeys(published.denoisers, TINY[name][0])
    return published.model_copy(update={"denoisers": denoisers}).write(folder)


def calls(prediction: Prediction) -> dict[str, tuple[int, int]]:
    return {one.what: (one.bare_calls, one.calls) for one in prediction.counts}


def test_the_demo_recipe_is_measured_decided_and_replayed():
    found = predict([SWITCH, CACHE], "demo", given=None, **{**QUICK, "num_inference_steps": 50})
    assert found.switch_step == 4
    assert found.skipped.keys() == {"transformer", "render"}
    assert calls(found)["transformer, computed"][0] == 100
    assert sum(accelerated for _, accelerated in calls(found).values()) == 100
    assert found.bare.value > found.accelerated.value > 0
    assert found.speedup.value == pytest.approx(found.bare.value / found.accelerated.value)
    factors = [one.value for one in found.factors]
    assert factors[0] * factors[1] == pytest.approx(found.speedup.value)
    assert any(line.startswith("a call of render, blocks skipped: ") for line in found.measured)
    assert any("a switch at step 4" in line for line in found.assumed)
    assert "encoding the prompt, and decoding the latents" in found.left_out
    assert found.memory.weights.keys() == {"transformer", "render"}
    assert Prediction.model_validate_json(found.model_dump_json()) == found


def test_the_bare_recipe_is_once_the_speed():
    found = predict([], "demo", **QUICK)
    assert found.speedup.value == found.speedup.low == found.speedup.high == 1.0
    assert calls(found) == {"transformer, computed": (20, 20)}


def test_planned_steps_are_fewer_calls():
    found = predict([{"use": "steps", "number": 5, "placement": "uniform"}], "demo", **QUICK)
    assert found.steps == 5
    assert calls(found) == {"transformer, computed": (20, 10)}
    assert found.speedup.value == pytest.approx(2.0)


def test_a_kernel_is_measured_and_an_emulated_one_is_a_cost():
    found = predict([{"use": "sageattention", "kernel": "emulated"}], "demo", **QUICK)
    assert "transformer, computed, under sageattention" in calls(found)
    assert not found.factors[0].claims_speed


@pytest.mark.parametrize("name", TINY)
def test_each_pipeline_class_is_called_without_encoders(name: str, tmp_path: Path):
    found = predict([], str(tiny(name, tmp_path / "model")), **{**QUICK, **TINY[name][1]})
    assert found.bare.value > 0
    branches = 2 if name.startswith(("wan", "cogvideox", "ltx")) else 1
    batched = name.startswith(("cogvideox", "ltx"))  # both branches in one call
    assert sum(bare for bare, _ in calls(found).values()) == 10 * (1 if batched else branches)
    if name == "wan2.2-t2v-a14b":  # the pipeline's own change of experts
        assert list(calls(found)) == [
            "transformer, computed",
            "transformer_2, computed",
        ]


def test_few_blocks_are_counted_up_to_the_whole_model(tmp_path: Path):
    folder = str(tiny("hunyuanvideo", tmp_path / "model"))
    size = TINY["hunyuanvideo"][1]
    found = predict([], folder, few_blocks=True, **{**QUICK, **size})
    assert found.blocks == "few"
    assert any("each further block" in line for line in found.assumed)
    assert found.bare.value > 0
    whole = predict([], folder, few_blocks=False, **{**QUICK, **size})
    assert whole.memory.weights == found.memory.weights


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_published_configuration_says_where_it_comes_from_and_can_be_outlined(
    name: str, tmp_path: Path
):
    from sraccel.check.pipeline_outline import outline_of
    from sraccel.composer import compose

    published = CONFIGURATIONS[name]
    assert published.source
    assert known_configuration(published.name) is published
    outline = outline_of(str(published.write(tmp_path / name)))
    stack = compose(outline, [])
    sizes = {role: one.describe()["parameters"] for role, one in stack.denoisers.items()}
    assert all(size > 5e8 for size in sizes.values()), sizes


def test_a_wan_recipe_finds_the_render_models_configuration(tmp_path: Path):
    with pytest.raises(ModelError, match=r"do not fit each other"):
        predict([{**SWITCH, "render": "wan2.1-t2v-1.3b"}], "demo", **QUICK)


def test_what_cannot_be_predicted_is_refused_in_words(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ModelError, match=r"no configuration of 'wan2.1-t2v-14' .*did you mean"):
        predict([], "wan2.1-t2v-14", **QUICK)
    with pytest.raises(ModelError, match=r"height 65 is no multiple of 16: take 64 or 80"):
        predict([], "demo", **QUICK, height=65)
    with pytest.raises(ModelError, match=r"num_frames is 12"):
        predict([], "demo", **QUICK, num_frames=12)
    with pytest.raises(ModelError, match=r"80 frames do not divide: take 77 or 81"):
        check_size({"num_frames": 80}, 16, 4)
    monkeypatch.setattr("sraccel.models.memory.free_bytes", lambda device: 10_000)
    with pytest.raises(ModelError, match=r"needs .* MiB, and 9.77 KiB are free on cpu"):
        predict([], "demo", **QUICK)


def test_decisions_of_a_report_are_taken(tmp_path: Path):
    path = tmp_path / "report.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(RecipeError, match="is no report"):
        predict([], "demo", decisions=path, **QUICK)


def test_a_bench_has_each_subset_and_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    recipe = [SWITCH, CACHE, {"use": "forecast"}]
    steps = {**QUICK, "num_inference_steps": 50}
    found = bench(recipe, "demo", folder=tmp_path, **steps)
    assert found.rows[0].accelerators == []
    assert len(found.rows) == 8
    speedups = [row.speedup.value for row in found.rows[1:] if row.speedup is not None]
    assert speedups == sorted(speedups, reverse=True)
    lines = (tmp_path / NAME).read_text("utf-8").splitlines()

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("measured again")

    with monkeypatch.context() as patched:
        patched.setattr("sraccel.prediction.measuring.probed", never)
        again = bench(recipe, "demo", folder=tmp_path, **steps)
    assert [row.speedup for row in again.rows] == [row.speedup for row in found.rows]
    (tmp_path / NAME).write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:40], encoding="utf-8")
    bench(recipe, "demo", folder=tmp_path, **steps)
    with pytest.raises(OutputError, match=r"other conditions \(call\)"):
        bench(recipe, "demo", folder=tmp_path, **{**steps, "height": 32})
    text = save_bench_page(found, tmp_path / "bench.html").read_text("utf-8")
    assert "srdiffusion + teacache" in text
    assert "What this rests on" in text


def test_a_bench_of_few_blocks_goes_on_with_the_blocks_that_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    bench([], "demo", folder=tmp_path, few_blocks=True, **QUICK)
    file = tmp_path / NAME
    head, first, second = file.read_text("utf-8").splitlines()
    file.write_text(f"{head}\n{first}\n", encoding="utf-8")
    built: list[dict[str, int]] = []
    build = Workbench.build

    def recorded(self: Workbench, stack: Any, blocks: Any) -> Any:
        built.append(dict(blocks))
        return build(self, stack, blocks)

    monkeypatch.setattr(Workbench, "build", recorded)
    bench([], "demo", folder=tmp_path, few_blocks=True, **QUICK)
    assert built == [{"num_layers": 1}, {"num_layers": 3}]
    assert '"3 of num_layers"' in second


def test_subsets_of_many_are_singles_pairs_and_all():
    assert list(subsets("ab")) == [(), ("a",), ("b",), ("a", "b")]
    many = list(subsets("abcdef"))
    assert len(many) == 1 + 6 + 15 + 1
    assert many[-1] == tuple("abcdef")


def test_what_skips_by_what_the_model_computes_is_refused(monkeypatch: pytest.MonkeyPatch):
    from sraccel_diffusers_caches.blocks import FirstBlockCache

    monkeypatch.setitem(installed().accelerators, FirstBlockCache.name, FirstBlockCache)
    with pytest.raises(ConflictError, match="random weights do not"):
        predict([{"use": "diffusers-firstblock"}], "demo", **QUICK)
