"""The composer refuses what cannot work before anything is touched, and says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import CogVideoXTransformer3DModel, WanPipeline
from misbehaving import made
from tiny import WAN_2_2
from tiny_models import IDENTITY, TEXT_DIM, tiny_pipeline, tiny_transformer
from untouched import untouched

import sraccel
from sraccel.plugin import Accelerator, Denoiser, Stack, hookimpl

OtherCache = made("other-cache", skip_blocks=hookimpl(lambda self, call: None))
OtherSwitch = made("other-switch", select_denoiser=hookimpl(lambda self, step: None))
OtherAttention = made("other-attention", claims=frozenset({"attention"}))
FluxOnly = made("flux-only", families=frozenset({"flux"}))
Lost = made("lost", select_denoiser=hookimpl(lambda self, step: "nowhere"))


NeedsMuch = made("needs-much", requires=("nothing-of-the-kind>=2", "pluggy>=1"))


def test_an_accelerator_that_lacks_a_package_is_refused_with_what_to_install() -> None:
    expected = r"'needs-much' cannot run here: it needs nothing-of-the-kind>=2, .*: pip install"
    with pytest.raises(sraccel.PluginError, match=expected):
        sraccel.compose(tiny_transformer(), [NeedsMuch.Options()])


def test_what_is_no_pipeline_and_no_denoiser_is_refused() -> None:
    with pytest.raises(sraccel.ModelError, match="cannot accelerate a str"):
        sraccel.compose("Wan-AI/Wan2.1-T2V-14B-Diffusers", [])
    with pytest.raises(
        sraccel.ModelError, match=r"Linear is no denoiser.*takes no timestep.*families: .*wan"
    ):
        sraccel.compose(torch.nn.Linear(2, 2), [])


def test_a_pipeline_of_two_experts_has_not_one_role_to_give() -> None:
    with pytest.raises(sraccel.ModelError, match="two experts cannot be used as 'render'"):
        sraccel.compose(WAN_2_2.pipeline(), [], role="render")


def test_a_role_that_nobody_brings_is_an_error_that_names_the_accelerator(
    pipe: WanPipeline, generate: Any
) -> None:
    with sraccel.compose(pipe, [Lost.Options()]):
        with pytest.raises(sraccel.PluginError, match=r"'lost' chose the denoiser 'nowhere'"):
            generate(pipe)


class Noting(Accelerator):
    """Notes when it is asked."""

    name = "noting"
    log: list[str] = []

    @hookimpl
    def contribute_denoisers(self, stack: Stack) -> dict[str, Any]:
        self.log.append(f"contribute {self.name}")
        return {self.name: tiny_transformer(seed=4, layers=1)}

    @hookimpl
    def prepare_denoiser(self, denoiser: Denoiser) -> AbstractContextManager[None]:
        return self._prepared(denoiser.role)

    @contextmanager
    def _prepared(self, role: str) -> Iterator[None]:
        self.log.append(f"enter {self.name} {role}")
        yield
        self.log.append(f"leave {self.name} {role}")

    @hookimpl
    def run_started(self) -> None:  # a hook may take fewer arguments
        self.log.append(f"run_started {self.name}")


class One(Noting):
    """First of the recipe."""

    name = "one"


class Two(Noting):
    """Second of the recipe."""

    name = "two"


def test_accelerators_act_in_recipe_order_and_contexts_nest(
    pipe: WanPipeline, generate: Any
) -> None:
    Noting.log.clear()
    with sraccel.compose(pipe, [One.Options(), Two.Options(use="two")]):
        generate(pipe, steps=1)
    roles = ["transformer", "one", "two"]
    entered = [f"{name} {role}" for role in roles for name in ("one", "two")]
    assert Noting.log == (
        ["contribute one", "contribute two"]
        + [f"enter {each}" for each in entered]
        + ["run_started one", "run_started two"]
        + [f"leave {each}" for each in reversed(entered)]
    )


def test_inline_options_need_no_registration(pipe: WanPipeline, generate: Any) -> None:
    with sraccel.compose(pipe, [OtherCache.Options()]) as stack:
        generate(pipe)
    assert stack.report.accelerators[0].name == "other-cache"
    assert "other-cache skipped nothing in 8 steps" in stack.report.warnings


def unusable(folder: Path) -> dict[str, Any]:
    """Recipes and models that cannot be used, by what is wrong with them."""
    (folder / "malformed.yaml").write_text("accelerators: [{use: teacache}\n")
    (folder / "list.json").write_text("[1]")
    (folder / "empty").mkdir()
    other_vae = tiny_pipeline(seed=7, layers=1)
    other_vae.vae.register_to_config(latents_std=[2.0] * 4)

    def switch(render: Any, **more: Any) -> list[Any]:
        return [{"use": "srdiffusion", "render": render, "switch_step": 4, **more}]

    return {
        "unknown accelerator": [{"use": "teacash"}],
        "unknown option": [{"use": "teacache", "treshold": 0.1}],
        "wrong option": [{"use": "teacache", "threshold": "much"}],
        "malformed file": folder / "malformed.yaml",
        "file of something else": folder / "list.json",
        "missing file": folder / "missing.yaml",
        "missing model": switch(str(folder / "missing")),
        "folder without a model": switch(str(folder / "empty")),
        "another VAE": switch(other_vae),
        "another family": switch(other_family()),
        "two rules": [{"use": "teacache", "coefficients": IDENTITY}, OtherCache.Options()],
        "two switches": [*switch(tiny_transformer(seed=7, layers=1)), OtherSwitch.Options()],
        "two kernels": [{"use": "sageattention", "kernel": "emulated"}, OtherAttention.Options()],
        "made for another family": [FluxOnly.Options()],
    }


def other_family() -> CogVideoXTransformer3DModel:
    return CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=4,
        time_embed_dim=8, text_embed_dim=TEXT_DIM, num_layers=1,
    )  # fmt: skip


RECIPE, MODEL, CONFLICT = sraccel.RecipeError, sraccel.ModelError, sraccel.ConflictError
REFUSED = {
    "unknown accelerator": (RECIPE, "no accelerator is called 'teacash'.*did you mean"),
    "unknown option": (RECIPE, r"accelerators\[0\].treshold"),
    "wrong option": (RECIPE, r"accelerators\[0\].threshold.*'much'"),
    "malformed file": (RECIPE, r"malformed\.yaml.*cannot be read as a recipe"),
    "file of something else": (RECIPE, r"list\.json.*a recipe is a mapping"),
    "missing file": (RECIPE, r"no file .*missing\.yaml.*shipped: .*demo"),
    "missing model": (MODEL, "no model folder .*missing"),
    "folder without a model": (MODEL, r"no transformer/config\.json"),
    "another VAE": (MODEL, r"VAE latents_std: \[1.0.*transformer.*\[2.0.*render"),
    "another family": (MODEL, r"family: 'wan' \(transformer\), 'cogvideox' \(render\)"),
    "two rules": (CONFLICT, "'teacache' and 'other-cache' both decide when to skip"),
    "two switches": (CONFLICT, "'srdiffusion' and 'other-switch' both choose which model"),
    "two kernels": (CONFLICT, "'sageattention' and 'other-attention' both replace how attention"),
    "made for another family": (CONFLICT, r"'flux-only' works with flux; .* family 'wan'"),
}
FIELDS = {
    "missing model": lambda error: error.model.endswith("missing"),
    "another VAE": lambda error: error.differences == {"VAE latents_std": ([1.0] * 4, [2.0] * 4)},
    "another family": lambda error: error.differences["family"] == ("wan", "cogvideox"),
    "two rules": lambda error: error.accelerators == ("teacache", "other-cache"),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_cannot_be_composed_says_why_and_leaves_the_pipeline_alone(
    wrong: str, pipe: WanPipeline, tmp_path: Path
) -> None:
    kind, message = REFUSED[wrong]
    recipe = unusable(tmp_path)[wrong]
    with untouched(pipe):
        with pytest.raises(kind, match=f"(?s){message}") as refused:
            sraccel.compose(pipe, recipe)
    assert wrong not in FIELDS or FIELDS[wrong](refused.value)


def test_an_empty_recipe_runs_bare_and_says_so(
    pipe: WanPipeline, generate: Any, tmp_path: Path
) -> None:
    (tmp_path / "empty.yaml").write_text("accelerators: []\n")
    bare = generate(pipe)
    with untouched(pipe), sraccel.compose(pipe, tmp_path / "empty.yaml") as stack:
        assert torch.equal(generate(pipe), bare)
    assert stack.report.warnings == ["the recipe is empty: nothing was accelerated"]
