"""The render model is found, checked and loaded from wherever it is; LoRAs do not get lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    EDMEulerScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from tiny_models import tiny_pipeline, tiny_transformer

import sraccel
from sraccel.models import memory
from sraccel.plugin import ModelSource

Generate = Callable[..., torch.Tensor]


def recipe(render: Any, **options: Any) -> list[dict[str, Any]]:
    return [{"use": "srdiffusion", "render": render, "switch_step": 4, **options}]


@pytest.fixture
def render_pipe() -> WanPipeline:
    """A pipeline whose transformer is the render model of the fixtures."""
    return tiny_pipeline(seed=7, layers=1)


@pytest.fixture
def expected(pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate) -> torch.Tensor:
    with sraccel.compose(pipe, recipe(render)):
        return generate(pipe)


def as_given(how: str, pipe: WanPipeline, folder: Path) -> Any:
    """A render model as a recipe may give it."""
    pipe.save_pretrained(folder)
    if how == "folder without an index":
        (folder / "model_index.json").unlink()
    if how == "lone model's folder":
        pipe.transformer.save_pretrained(folder / "alone")
    folders = {"its transformer's folder": "transformer", "lone model's folder": "alone"}
    return pipe if how == "pipeline" else str(folder / folders.get(how, ""))


WITH_A_VAE = ("pipeline", "folder", "folder without an index", "its transformer's folder")


@pytest.mark.parametrize("how", [*WITH_A_VAE, "lone model's folder"])
def test_a_render_model_comes_as_a_pipeline_or_a_folder(
    how: str,
    pipe: WanPipeline,
    render_pipe: WanPipeline,
    expected: torch.Tensor,
    generate: Generate,
    tmp_path: Path,
) -> None:
    with sraccel.compose(pipe, recipe(as_given(how, render_pipe, tmp_path))):
        torch.testing.assert_close(generate(pipe), expected)


@pytest.mark.parametrize("how", WITH_A_VAE)
def test_whatever_comes_with_the_render_model_is_compared(
    how: str, pipe: WanPipeline, render_pipe: WanPipeline, tmp_path: Path
) -> None:
    render_pipe.vae.register_to_config(latents_std=[2.0] * 4)
    with pytest.raises(
        sraccel.ModelError, match=r"VAE latents_std: \[1.0.*transformer.*2.0.*render"
    ):
        sraccel.compose(pipe, recipe(as_given(how, render_pipe, tmp_path)))


def test_a_vae_saved_by_an_older_diffusers_is_compared_with_the_defaults_filled_in(
    pipe: WanPipeline, render_pipe: WanPipeline, tmp_path: Path
) -> None:
    render_pipe.save_pretrained(tmp_path)
    path = tmp_path / "vae" / "config.json"
    config = json.loads(path.read_text())
    for key in ("scale_factor_spatial", "scale_factor_temporal", "patch_size"):
        config.pop(key, None)
    path.write_text(json.dumps(config))
    sraccel.compose(pipe, recipe(str(tmp_path)))


def test_variant_subfolder_and_dtype_are_heeded(
    pipe: WanPipeline, render: WanTransformer3DModel, tmp_path: Path
) -> None:
    render.half().save_pretrained(tmp_path / "small", variant="fp16")
    source = {"model": str(tmp_path), "subfolder": "small", "variant": "fp16", "dtype": "bfloat16"}
    stack = sraccel.compose(pipe, recipe(source))
    assert stack.denoisers["render"].module.dtype == torch.bfloat16
    assert stack.recipe.model_dump(mode="json")["accelerators"][0]["render"] == source
    with pytest.raises(sraccel.ModelError, match="cannot load"):
        sraccel.compose(pipe, recipe({**source, "variant": "int3"}))


def test_a_name_and_a_revision_on_the_hub_are_heeded(
    render_pipe: WanPipeline, hub_cache: Path
) -> None:
    repository = hub_cache / "models--someone--small"
    for commit, width in (("a" * 40, 8), ("b" * 40, 16)):
        snapshot = repository / "snapshots" / commit
        render_pipe.save_pretrained(snapshot)
        tiny_transformer(layers=1, freq_dim=width).save_pretrained(snapshot / "transformer")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    (repository / "refs" / "v2").write_text("b" * 40)
    for revision, name, width in ((None, "someone/small", 8), ("v2", "someone/small@v2", 16)):
        source = ModelSource(model="someone/small", revision=revision)
        assert str(source) == name
        widths = [module.config.freq_dim for module in (source.outline(), source.load())]
        assert widths == [width, width]
        assert source.vae_config()["z_dim"] == 4
        assert type(source.scheduler()).__name__ == "UniPCMultistepScheduler"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"quant_method": "guesswork"}, "Unknown quantization type"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes|No GPU"),
    ],
)
def test_a_quantisation_that_cannot_be_had_is_an_error_with_its_reason(
    config: dict[str, Any],
    message: str,
    pipe: WanPipeline,
    render: WanTransformer3DModel,
    tmp_path: Path,
) -> None:
    render.save_pretrained(tmp_path)
    source = {"model": str(tmp_path), "quantization_config": config}
    with pytest.raises(sraccel.ModelError, match=message):
        sraccel.compose(pipe, recipe(source))


@pytest.mark.parametrize(
    ("render", "path"),
    [
        ({"model": "demo", "revison": "v2"}, r"accelerators\[0\]\.render\.revison"),
        ({"revision": "v2"}, r"accelerators\[0\]\.render\.model"),
        ({"model": "demo", "dtype": "float8"}, r"accelerators\[0\]\.render\.dtype.*float8"),
        (17, r"accelerators\[0\]\.render: a folder, a name on the hub"),
    ],
)
def test_a_malformed_source_is_refused_where_it_is_wrong(render: Any, path: str) -> None:
    with pytest.raises(sraccel.RecipeError, match=path):
        sraccel.Recipe(accelerators=recipe(render))


@pytest.mark.parametrize(
    ("own", "theirs"),
    [
        (UniPCMultistepScheduler(), EDMEulerScheduler()),
        (FlowMatchEulerDiscreteScheduler(invert_sigmas=True), FlowMatchEulerDiscreteScheduler()),
    ],
    ids=["the render model's", "the pipeline's"],
)
def test_schedulers_are_refused_where_one_has_noise_levels_that_are_not_known(
    own: Any, theirs: Any, pipe: WanPipeline, render_pipe: WanPipeline
) -> None:
    pipe.scheduler, render_pipe.scheduler = own, theirs
    kinds = f"{type(theirs).__name__}.*{type(own).__name__}.*how their noise levels compare"
    with pytest.raises(sraccel.ModelError, match=kinds):
        sraccel.compose(pipe, recipe(render_pipe))


def test_a_pipelines_folder_may_have_a_config_of_its_own(
    pipe: WanPipeline, render_pipe: WanPipeline, tmp_path: Path
) -> None:
    render_pipe.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    sraccel.compose(pipe, recipe(str(tmp_path)))


def test_conditioning_channels_and_a_change_of_noise_level_do_not_go_together(
    render_pipe: WanPipeline,
) -> None:
    pipe = tiny_pipeline(in_channels=9)
    render_pipe.transformer = tiny_transformer(layers=1, in_channels=9)
    sraccel.compose(pipe, recipe(render_pipe))
    render_pipe.vae.register_to_config(scaling_factor=0.5)
    with pytest.raises(
        sraccel.ModelError, match=r"latent scale: 1.0 \(transformer\), 0.5 \(render\)"
    ):
        sraccel.compose(pipe, recipe(render_pipe))


def test_a_render_model_that_does_not_fit_into_memory_is_refused_before_it_is_loaded(
    pipe: WanPipeline,
    render: WanTransformer3DModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    render.save_config(tmp_path)  # no weights: loading them would fail in another way
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1000)
    with pytest.raises(
        sraccel.ModelError, match=r"render model .* needs .* KiB, and 1,?000 bytes are free on cpu"
    ):
        sraccel.compose(pipe, recipe(str(tmp_path)))


def add_lora(module: Any, seed: int) -> None:
    """A random LoRA with an effect."""
    from peft import LoraConfig

    torch.manual_seed(seed)
    module.add_adapter(
        LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
    )


def lora_of(adapted: Any, folder: Path) -> str:
    """The LoRA of a transformer, as a Wan pipeline saves it."""
    from peft import get_peft_model_state_dict

    WanPipeline.save_lora_weights(
        folder,
        transformer_lora_layers=get_peft_model_state_dict(adapted),
        transformer_lora_adapter_metadata=adapted.peft_config["default"].to_dict(),
    )
    return str(folder)


@pytest.fixture
def lora_folder(tmp_path: Path) -> Path:
    """A LoRA for the render model of the fixtures, as a Wan pipeline saves it."""
    adapted = tiny_transformer(seed=7, layers=1)
    add_lora(adapted, seed=3)
    return Path(lora_of(adapted, tmp_path / "lora"))


def test_render_lora_is_loaded_into_the_render_model(
    pipe: WanPipeline, generate: Generate, lora_folder: Path, tmp_path: Path
) -> None:
    adapted = tiny_transformer(seed=7, layers=1)
    adapted.save_pretrained(tmp_path / "render")
    add_lora(adapted, seed=3)
    with sraccel.compose(pipe, recipe(adapted)):
        expected = generate(pipe)
    source = str(tmp_path / "render")
    with sraccel.compose(pipe, recipe(source, render_lora=str(lora_folder))):
        with_lora = generate(pipe)
    with sraccel.compose(pipe, recipe(source)):
        without = generate(pipe)
    weak = {"model": str(lora_folder), "scale": 0.0}
    with sraccel.compose(pipe, recipe(source, render_lora=weak)):
        torch.testing.assert_close(generate(pipe), without)
    torch.testing.assert_close(with_lora, expected)
    assert not torch.allclose(with_lora, without)


def test_render_lora_has_the_strength_that_its_file_says(
    pipe: WanPipeline, generate: Generate, tmp_path: Path
) -> None:
    """As the pipeline itself loads it: the scaling is alpha / rank."""
    from peft import LoraConfig

    reference = tiny_pipeline(seed=7, layers=1)
    reference.save_pretrained(tmp_path / "render")
    torch.manual_seed(3)
    config = LoraConfig(r=4, lora_alpha=1, target_modules=["to_q"], init_lora_weights=False)
    reference.transformer.add_adapter(config)
    with sraccel.compose(pipe, recipe(reference.transformer)):
        expected = generate(pipe)
    lora = lora_of(reference.transformer, tmp_path / "lora")
    with sraccel.compose(pipe, recipe(str(tmp_path / "render"), render_lora=lora)):
        torch.testing.assert_close(generate(pipe), expected)


def test_a_lora_on_the_sketch_model_alone_is_refused_and_none_says_that_it_is_meant(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
) -> None:
    add_lora(pipe.transformer, seed=1)
    with pytest.raises(sraccel.ModelError, match=r"do not reach the render model.*render_lora"):
        sraccel.compose(pipe, recipe(render))
    with sraccel.compose(pipe, recipe(render, render_lora="none")) as stack:
        generate(pipe)
    assert stack.report.switch_step == 4
    add_lora(render, seed=2)
    sraccel.compose(pipe, recipe(render))


def test_a_lora_loaded_later_is_refused_by_the_next_run_and_on_attaching(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
) -> None:
    with sraccel.compose(pipe, recipe(render)) as stack:
        generate(pipe)
        add_lora(pipe.transformer, seed=1)
        with pytest.raises(sraccel.ModelError, match="LoRAs"):
            generate(pipe)
    with pytest.raises(sraccel.ModelError, match="LoRAs"):
        stack.attach()


def test_a_fused_lora_counts_and_a_disabled_one_does_not(
    pipe: WanPipeline, render: WanTransformer3DModel
) -> None:
    add_lora(pipe.transformer, seed=1)
    pipe.transformer.disable_lora()
    sraccel.compose(pipe, recipe(render))
    pipe.transformer.enable_lora()
    pipe.fuse_lora()
    pipe.unload_lora_weights()
    with pytest.raises(sraccel.ModelError, match="LoRAs"):
        sraccel.compose(pipe, recipe(render))


def test_render_lora_does_not_change_a_module_of_the_users(
    pipe: WanPipeline, render: WanTransformer3DModel, lora_folder: Path
) -> None:
    with pytest.raises(sraccel.ModelError, match="load it into your module yourself"):
        sraccel.compose(pipe, recipe(render, render_lora=str(lora_folder)))
    assert not getattr(render, "peft_config", None)


@pytest.mark.parametrize("wrong", ["missing", "other size"])
def test_a_lora_that_cannot_be_loaded_is_an_error(
    wrong: str, pipe: WanPipeline, lora_folder: Path, tmp_path: Path
) -> None:
    other = tiny_transformer(seed=7, layers=1, num_attention_heads=4)
    other.save_pretrained(tmp_path / "render")
    if wrong == "missing":
        shutil.rmtree(lora_folder)
    with pytest.raises(sraccel.ModelError, match=r"render_lora .*lora.* cannot be loaded"):
        sraccel.compose(pipe, recipe(str(tmp_path / "render"), render_lora=str(lora_folder)))
