"""TeaCache takes the coefficients of the very model and variant that it runs with, or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from calibrations import fitted_entry
from diffusers import WanPipeline, WanTransformer3DModel
from hypothesis import given
from hypothesis import strategies as st
from tiny import LTX, QWEN_IMAGE, TinyFamily
from tiny import WAN as TINY_WAN
from tiny_models import IDENTITY, tiny_transformer

import sraccel
from sraccel.accelerators.teacache.calibration_file import CalibrationFile
from sraccel.accelerators.teacache.coefficients import Coefficients, choose, known, named
from sraccel.accelerators.teacache.published import PUBLISHED
from sraccel.accelerators.teacache.rule import Variant
from sraccel.loop.denoiser import Denoiser, recognise
from sraccel.models.checksum import weights_checksum
from sraccel.recipe.catalogue import installed

PLAIN, RETENTION = Variant
Generate = Callable[..., torch.Tensor]

WAN = {"num_attention_heads": 12, "num_layers": 30, "ffn_dim": 8960}
WAN_14B = {"num_attention_heads": 40, "num_layers": 40, "ffn_dim": 13824}
WAN_I2V = {**WAN_14B, "in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120}
COGVIDEOX_5B = {"num_attention_heads": 48, "num_layers": 42}
COGVIDEOX_1_5 = {**COGVIDEOX_5B, "patch_size_t": 2, "use_rotary_positional_embeddings": True}
COSMOS = {"num_attention_heads": 32, "num_layers": 28, "extra_pos_embed_type": "learnable"}
CONFIGURATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "Wan2.1 t2v 1.3B": ("WanTransformer3DModel", WAN),
    "Wan2.1 t2v 14B": ("WanTransformer3DModel", WAN_14B),
    "CogVideoX-2b": ("CogVideoXTransformer3DModel", {}),
    "CogVideoX-5b": ("CogVideoXTransformer3DModel", COGVIDEOX_5B),
    "CogVideoX-5b-I2V": ("CogVideoXTransformer3DModel", {**COGVIDEOX_5B, "in_channels": 32}),
    "CogVideoX1.5-5B": ("CogVideoXTransformer3DModel", COGVIDEOX_1_5),
    "CogVideoX1.5-5B-I2V": (
        "CogVideoXTransformer3DModel",
        {**COGVIDEOX_1_5, "in_channels": 32, "ofs_embed_dim": 512},
    ),
    "HunyuanVideo": ("HunyuanVideoTransformer3DModel", {}),
    "FramePack": (
        "HunyuanVideoFramepackTransformer3DModel",
        {"has_image_proj": True, "has_clean_x_embedder": True},
    ),
    "Flux.1 dev": ("FluxTransformer2DModel", {"guidance_embeds": True}),
    "Mochi": ("MochiTransformer3DModel", {}),
    "LTX-Video 2B": ("LTXVideoTransformer3DModel", {}),
    "Lumina 2": ("Lumina2Transformer2DModel", {}),
    "Cosmos 1.0 7B t2w": ("CosmosTransformer3DModel", {**COSMOS, "in_channels": 16}),
    "Cosmos 1.0 7B v2w": ("CosmosTransformer3DModel", {**COSMOS, "in_channels": 17}),
    "Cosmos 1.0 14B t2w": (
        "CosmosTransformer3DModel",
        {**COSMOS, "in_channels": 16, "num_attention_heads": 40, "num_layers": 36},
    ),
    "Cosmos 1.0 14B v2w": (
        "CosmosTransformer3DModel",
        {**COSMOS, "in_channels": 17, "num_attention_heads": 40, "num_layers": 36},
    ),
    "HiDream-I1 Full": (
        "HiDreamImageTransformer2DModel",
        {
            "num_layers": 16,
            "num_single_layers": 32,
            "patch_size": 2,
            "in_channels": 16,
            "caption_channels": [4096, 4096],
            "llama_layers": list(range(48)),
        },
    ),
}
"""What the published models' configurations hold beyond the defaults of diffusers' classes, which
are those of one of them."""


def denoiser_like(
    kind: str,
    config: dict[str, Any],
    *,
    name: str = "",
    pipeline: Any = None,
    role: str = "transformer",
) -> Denoiser:
    """A denoiser with the configuration of a real model, and no memory for its weights."""
    with torch.device("meta"):
        module = getattr(diffusers, kind)(**config)
    module.register_to_config(_name_or_path=name)
    found = recognise(role, module, installed().adapters)
    return Denoiser(role, module, found.adapter, pipeline)


def names_of(found: list[Coefficients]) -> list[str]:
    return [item.source.partition(",")[0] for item in found]


@pytest.mark.parametrize("model", CONFIGURATIONS)
def test_auto_recognises_every_published_model_by_its_configuration(model: str) -> None:
    kind, config = CONFIGURATIONS[model]
    assert names_of(known(denoiser_like(kind, config), PLAIN)) == [model]


def test_the_configurations_above_are_all_that_is_published() -> None:
    assert {entry.model for entry in PUBLISHED} - set(CONFIGURATIONS) == {
        "Wan2.1 i2v 480P",
        "Wan2.1 i2v 720P",
    }


@pytest.mark.parametrize("variant", Variant)
def test_each_variant_has_its_own_coefficients(variant: Variant) -> None:
    for config, model in ((WAN, "Wan2.1 t2v 1.3B"), (WAN_14B, "Wan2.1 t2v 14B")):
        (found,) = known(denoiser_like("WanTransformer3DModel", config), variant)
        (entry,) = (entry for entry in PUBLISHED if entry.model == model)
        assert found.source.startswith(f"{model}, {variant.value}")
        assert found.values == (entry.retention if variant is RETENTION else entry.plain)
        assert entry.plain != entry.retention


def test_a_family_without_a_retention_variant_is_refused() -> None:
    recipe = [{"use": "teacache", "retention": True, "coefficients": IDENTITY}]
    with pytest.raises(sraccel.ModelError, match="no retention variant for 'ltx'"):
        sraccel.compose(LTX.pipeline(), recipe)


@pytest.mark.parametrize(
    ("height", "width", "model"),
    [(60, 104, "480P"), (104, 60, "480P"), (48, 80, "480P"), (90, 160, "720P"), (120, 200, "720P")],
)
def test_i2v_480p_and_720p_are_told_apart_by_their_latents(
    height: int, width: int, model: str
) -> None:
    found = known(denoiser_like("WanTransformer3DModel", WAN_I2V), PLAIN)
    latents = torch.empty(1, 36, 21, height, width, device="meta")
    assert model in choose(found, latents).source


def test_a_size_between_480p_and_720p_is_refused_and_the_candidates_are_named() -> None:
    found = known(denoiser_like("WanTransformer3DModel", WAN_I2V), PLAIN)
    with pytest.raises(sraccel.ModelError, match=r"75 x 130.*`Wan2.1 i2v 480P` or `Wan2.1 i2v 7"):
        choose(found, torch.empty(1, 36, 21, 75, 130, device="meta"))


def test_the_models_name_tells_before_the_latents_do() -> None:
    name = "Wan-AI/Wan2.1-I2V-14B-720P-Diffusers"
    found = known(denoiser_like("WanTransformer3DModel", WAN_I2V, name=name), PLAIN)
    assert names_of(found) == ["Wan2.1 i2v 720P"]


class TwoExperts:
    transformer_2 = object()


class FluxKontextPipeline:
    pass


class WithLCM:
    scheduler = diffusers.FlowMatchLCMScheduler()


@pytest.mark.parametrize(
    ("model", "pipeline", "name", "what"),
    [
        ("Wan2.1 t2v 14B", TwoExperts(), "", "Wan2.2's experts"),
        ("Wan2.1 t2v 14B", None, "Wan-AI/Wan2.2-T2V-A14B-Diffusers", "Wan2.2's experts"),
        ("Flux.1 dev", FluxKontextPipeline(), "", "Flux.1 Kontext"),
        ("HiDream-I1 Full", WithLCM(), "", "HiDream-I1 Dev and Fast"),
        ("HiDream-I1 Full", None, "HiDream-ai/HiDream-I1-Fast", "HiDream-I1 Dev and Fast"),
    ],
)
def test_a_model_that_only_looks_like_a_published_one_is_refused(
    model: str, pipeline: Any, name: str, what: str
) -> None:
    kind, config = CONFIGURATIONS[model]
    denoiser = denoiser_like(kind, config, name=name, pipeline=pipeline)
    with pytest.raises(sraccel.ModelError, match=rf"one of {what}.*{model}.*sraccel calibrate"):
        known(denoiser, PLAIN)
    with pytest.raises(sraccel.ModelError, match=f"one of {what}"):
        named(model, denoiser, PLAIN)


def test_a_render_model_beside_two_experts_is_no_expert() -> None:
    kind, config = CONFIGURATIONS["Wan2.1 t2v 1.3B"]
    render = denoiser_like(kind, config, pipeline=TwoExperts(), role="render")
    assert names_of(known(render, PLAIN)) == ["Wan2.1 t2v 1.3B"]


@pytest.mark.parametrize(
    ("tiny", "candidates"),
    [(TINY_WAN, "Wan2.1 t2v 1.3B, "), (QWEN_IMAGE, "cogvideox, cosmos, ")],
    ids=str,
)
def test_an_unknown_model_is_refused_with_the_candidates_and_how_to_calibrate(
    tiny: TinyFamily, candidates: str
) -> None:
    expected = rf"none are published; there are some for {candidates}.*sraccel calibrate teac"
    with pytest.raises(sraccel.ModelError, match=expected):
        sraccel.compose(tiny.pipeline(), [{"use": "teacache"}])


def test_published_coefficients_can_be_named_for_their_own_model() -> None:
    found = named("Wan2.1 i2v 720P", denoiser_like("WanTransformer3DModel", WAN_I2V), RETENTION)
    assert found.source.startswith("Wan2.1 i2v 720P, retention")


def test_coefficients_named_for_another_model_are_refused_with_the_differences(pipe: Any) -> None:
    recipe = [{"use": "teacache", "coefficients": "Wan2.1 t2v 14B"}]
    with pytest.raises(sraccel.ModelError, match=r"num_layers is 3 \(published: 40\)"):
        sraccel.compose(pipe, recipe)
    recipe = [{"use": "teacache", "coefficients": "Mochi"}]
    with pytest.raises(sraccel.ModelError, match=r"family is 'wan' \(published: 'mochi'\)"):
        sraccel.compose(pipe, recipe)


@pytest.mark.parametrize(
    ("coefficients", "what"),
    [
        ([1.0], r"accelerators\[0\].coefficients: 5 numbers"),
        ([1.0] * 6, "5 numbers"),
        ({"transformer": [1.0]}, "5 numbers"),
        ([float("nan")] * 5, "finite"),
        ([float("inf")] * 5, "finite"),
        ("wan2.1 t2v 14b", r"did you mean 'Wan2.1 t2v 14B'\?"),
    ],
)
def test_coefficients_that_cannot_be_meant_are_refused(coefficients: Any, what: str) -> None:
    with pytest.raises(sraccel.RecipeError, match=what):
        sraccel.Recipe(accelerators=[{"use": "teacache", "coefficients": coefficients}])


def test_polynomials_are_evaluated_as_numpy_does_it() -> None:
    for entry in PUBLISHED:
        for variant in Variant:
            values = entry.values(variant)
            if values is not None:
                for x in (0.0, 0.01, 0.07, 0.3):
                    assert Coefficients(values, "")(x) == np.poly1d(values)(x)


@given(st.floats(0, 3), st.floats(0.01, 0.1), st.floats(0.2, 0.5))
def test_a_fitted_polynomial_grows_in_proportion_beyond_what_it_was_fitted_on(
    distance: float, low: float, high: float
) -> None:
    values = (0.0, -20.0, 10.0, 1.0, 0.1)  # deeply negative from 0.8 on
    entry = fitted_entry(tiny_transformer(), coefficients=list(values), x_range=(low, high))
    rescaled = Coefficients(values, "", entry=entry)(distance)
    if low <= distance <= high:
        assert rescaled == np.poly1d(values)(distance)
    else:
        end = low if distance < low else high
        assert np.isclose(rescaled, np.poly1d(values)(end) * distance / end)
    assert rescaled >= 0


def calibration_of(model: WanTransformer3DModel, **changed: Any) -> CalibrationFile:
    """A calibration file with the identity for this model."""
    return CalibrationFile(models={"transformer": fitted_entry(model, **changed)})


def test_a_recipe_takes_a_calibration_file_and_names_it_in_the_report(
    pipe: WanPipeline, generate: Generate, tmp_path: Path
) -> None:
    path = calibration_of(pipe.transformer).save(tmp_path / "mine.json")
    recipe = [{"use": "teacache", "threshold": 0.6, "coefficients": str(path)}]
    with sraccel.compose(pipe, recipe) as stack:
        generate(pipe, steps=12)
    (record,) = stack.report.accelerators
    assert (
        record.notes["coefficients_transformer"]
        == "transformer, plain, fitted (R^2 0.90, mine.json)"
    )
    assert record.reused_calls > 0


def test_a_calibration_file_of_another_model_or_variant_is_refused(
    pipe: WanPipeline, tmp_path: Path
) -> None:
    deeper = calibration_of(tiny_transformer(layers=4)).save(tmp_path / "deeper.json")
    with pytest.raises(
        sraccel.ModelError, match=r"num_layers: 4 \(file, transformer\), 3 \(model\)"
    ):
        sraccel.compose(pipe, [{"use": "teacache", "coefficients": str(deeper)}])
    plain = calibration_of(pipe.transformer).save(tmp_path / "plain.json")
    recipe = [{"use": "teacache", "retention": True, "coefficients": str(plain)}]
    with pytest.raises(sraccel.ModelError, match=r"plain variant.*`retention: false`"):
        sraccel.compose(pipe, recipe)


def test_a_calibration_file_beside_the_weights_is_found_for_its_own_model_only(
    pipe: WanPipeline, generate: Generate, tmp_path: Path
) -> None:
    tiny_transformer(seed=3).save_pretrained(tmp_path / "transformer")
    pipe.transformer = WanTransformer3DModel.from_pretrained(tmp_path, subfolder="transformer")
    beside = tmp_path / "teacache.json"
    calibration_of(pipe.transformer).save(beside)
    with sraccel.compose(pipe, [{"use": "teacache", "threshold": 0.6}]) as stack:
        generate(pipe, steps=12)
    assert stack.report.accelerators[0].reused_calls > 0
    calibration_of(tiny_transformer(layers=4)).save(beside)
    with pytest.raises(
        sraccel.ModelError, match=r"teacache.json was not made for the denoiser 'transformer'"
    ):
        sraccel.compose(pipe, [{"use": "teacache"}])


@pytest.mark.parametrize("content", ["a calibration of another model", '{"enabled": true}'])
def test_published_coefficients_are_taken_if_the_file_beside_the_weights_is_anothers(
    content: str, tmp_path: Path
) -> None:
    path = calibration_of(tiny_transformer()).save(tmp_path / "teacache.json")
    if content.startswith("{"):
        path.write_text(content)
    kind, config = CONFIGURATIONS["Wan2.1 t2v 1.3B"]
    found = known(denoiser_like(kind, config, name=str(tmp_path)), PLAIN)
    assert names_of(found) == ["Wan2.1 t2v 1.3B"]


def test_naming_480p_is_refused_where_the_models_name_says_720p() -> None:
    denoiser = denoiser_like("WanTransformer3DModel", WAN_I2V, name="Wan2.1-I2V-14B-720P")
    with pytest.raises(sraccel.ModelError, match=r"its name says Wan2.1 i2v 720P"):
        named("Wan2.1 i2v 480P", denoiser, PLAIN)


def test_a_file_fitted_on_other_weights_of_the_same_configuration_is_a_warning(
    pipe: WanPipeline, generate: Generate, tmp_path: Path
) -> None:
    warned = []
    for model in (pipe.transformer, tiny_transformer(seed=99)):
        facts = {"weights": weights_checksum(model), "dtype": "float32"}
        path = calibration_of(model, **facts).save(tmp_path / "fit.json")
        with sraccel.compose(pipe, [{"use": "teacache", "coefficients": str(path)}]) as stack:
            generate(pipe, steps=12)
        warned.append(any("fitted on other weights" in text for text in stack.report.warnings))
    assert warned == [False, True]


def test_the_right_file_is_found_behind_one_of_another_model(tmp_path: Path) -> None:
    own = tiny_transformer(seed=3)
    own.save_pretrained(tmp_path / "transformer")
    loaded = WanTransformer3DModel.from_pretrained(tmp_path / "transformer")
    calibration_of(tiny_transformer(layers=4)).save(tmp_path / "transformer" / "teacache.json")
    calibration_of(own).save(tmp_path / "teacache.json")
    denoiser = recognise("transformer", loaded, installed().adapters)
    assert known(denoiser, PLAIN)[0].values == tuple(IDENTITY)


def test_coefficients_for_a_role_that_nobody_plays_are_refused(pipe: WanPipeline) -> None:
    given = {"transformer": IDENTITY, "rendr": IDENTITY}
    with pytest.raises(sraccel.ConflictError, match=r"given for 'rendr', but.*are 'transformer'"):
        sraccel.compose(pipe, [{"use": "teacache", "coefficients": given}])
