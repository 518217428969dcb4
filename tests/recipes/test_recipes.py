"""The shipped recipes load, fit their models, and hold published settings only."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import docs_tables
import outlined
import pytest
from tiny import HALF, WAN_2_2

import sraccel
from sraccel.check.model_check import check_model
from sraccel.check.recipe_check import check_recipe
from sraccel.loop.finding import Finding
from sraccel.models.known_pairs import PAIRS
from sraccel.models.loading import HUB_NAME
from sraccel.recipe.catalogue import installed
from sraccel.recipe.recipe import Recipe, gather
from sraccel.text import byte_size

SHIPPED = {
    name: path for name, path in installed().recipes.items() if "sraccel/recipes" in path.as_posix()
}
NAMES = sorted(SHIPPED)
NOT_RUN = [name for name in NAMES if not name.startswith("demo")]
PUBLISHED_AS = {
    "wan2.1-14b-quality": ["t2v 1.3B"],  # below the lowest of t2v 14B, as its comment says
    "wan2.1-14b-balanced": ["t2v 14B", "t2v 1.3B"],
    "wan2.1-14b-fast": ["t2v 14B", "t2v 1.3B"],
    "wan2.1-1.3b": ["t2v 1.3B"],
    "wan2.2-a14b": ["t2v 1.3B"],
    "wan2.1-i2v-480p": ["i2v 480P"],
    "wan2.1-i2v-720p": ["i2v 720P"],
}


def options(name: str) -> dict[str, dict[str, Any]]:
    return {item.use: item.model_dump() for item in Recipe.load(name).accelerators}


def test_the_promised_recipes_are_there() -> None:
    assert {"demo", "demo-best", "demo-cache", "cogvideox-5b", *PUBLISHED_AS} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_valid_and_says_what_for(name: str) -> None:
    recipe = Recipe.load(name)
    assert recipe.name == name
    assert recipe.description
    assert not [one for one in check_recipe(recipe, gather(name)) if one.level == "error"]


@pytest.mark.parametrize("name", NOT_RUN)
def test_each_that_was_not_run_says_so_and_comments_on_every_accelerator(name: str) -> None:
    text = SHIPPED[name].read_text(encoding="utf-8")
    assert "Not run in this project" in " ".join(re.sub(r"\n#? *", " ", text).split())
    assert "not run in this project" in Recipe.load(name).description
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("  - use:"):
            assert lines[number - 1].startswith("  #"), f"{name}: no comment above {line}"


@pytest.mark.parametrize("name", PUBLISHED_AS)
def test_the_caches_threshold_is_in_the_table_of_published_ones(name: str) -> None:
    teacache = options(name)["teacache"]
    variant = "retention" if teacache["retention"] else "plain"
    for model in PUBLISHED_AS[name]:
        assert teacache["threshold"] in published(model, variant)


@cache
def published(model: str, variant: str) -> list[float]:
    page = (docs_tables.DOCS / "reference" / "recipes.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| {model} \| {variant} \|.*\|(.*)\|$", page, re.MULTILINE)
    return [float(number) for number in re.findall(r"([\d.]+): ", row)]


@pytest.mark.parametrize("name", [name for name in NOT_RUN if "srdiffusion" in options(name)])
def test_the_switchs_threshold_is_the_papers_and_the_models_are_a_known_pair(name: str) -> None:
    srdiffusion = options(name)["srdiffusion"]
    assert srdiffusion["threshold"] in (0.01, 0.02, 0.03)
    pair = (Recipe.load(name).model, srdiffusion["render"])
    assert pair in [(one.sketch, one.render) for one in PAIRS]


@pytest.mark.parametrize("name", NOT_RUN)
def test_each_names_a_model_on_the_hub(name: str) -> None:
    model = Recipe.load(name).model
    assert model is not None
    assert HUB_NAME.fullmatch(model)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {
        "Wan2.1-T2V-14B": outlined.wan(root / "Wan2.1-T2V-14B", outlined.WAN_14B),
        "Wan2.1-T2V-1.3B": outlined.wan(root / "Wan2.1-T2V-1.3B", outlined.WAN_1_3B),
        "Wan2.2-T2V-A14B": outlined.wan(
            root / "Wan2.2-T2V-A14B", outlined.WAN_14B, transformer_2=outlined.WAN_14B
        ),
        "Wan2.1-I2V-14B-480P": outlined.wan(root / "Wan2.1-I2V-14B-480P", outlined.WAN_I2V),
        "Wan2.1-I2V-14B-720P": outlined.wan(root / "Wan2.1-I2V-14B-720P", outlined.WAN_I2V),
        "CogVideoX-5b": outlined.cogvideox(root / "CogVideoX-5b", outlined.COGVIDEOX_5B, 0.7, 1.0),
        "CogVideoX-2b": outlined.cogvideox(
            root / "CogVideoX-2b", outlined.COGVIDEOX_2B, 1.15258426, 3.0
        ),
    }


def check(name: str, models: dict[str, Path], *overrides: str) -> list[Finding]:
    """Check a recipe with the configurations of its models."""
    recipe = Recipe.load(name)
    local = [*overrides]
    for item in recipe.accelerators:
        if item.use == "srdiffusion":
            local.append(f"srdiffusion.render={models[folder(item.model_dump()['render'])]}")
    assert recipe.model is not None
    return check_model(
        Recipe.load(name, local), str(models[folder(recipe.model)]), dtype="bfloat16"
    )


def folder(model: str) -> str:
    return model.partition("/")[2].removesuffix("-Diffusers")


@pytest.mark.parametrize("name", NOT_RUN)
def test_each_fits_the_configurations_of_its_models(name: str, models: dict[str, Path]) -> None:
    found = check(name, models)
    assert not [one for one in found if one.level == "error"]
    roles = [one.message.partition(":")[0] for one in found if one.about == "model"]
    assert ("render" in roles) == ("srdiffusion" in options(name))
    sources = [one.message for one in found if one.about == "teacache"]
    for model in PUBLISHED_AS.get(name, []):
        assert any(f"Wan2.1 {model}, " in source for source in sources)


def test_for_the_experts_of_wan_2_2_nothing_is_published_and_the_recipe_does_without(
    models: dict[str, Path],
) -> None:
    errors = [
        one for one in check("wan2.2-a14b", models, "teacache.coefficients=auto")
        if one.level == "error"
    ]  # fmt: skip
    assert [one.about for one in errors] == ["teacache"]
    assert "it is one of Wan2.2's experts" in errors[0].message


def test_what_the_models_weigh_is_listed(models: dict[str, Path]) -> None:
    found = check("wan2.1-14b-quality", models)
    (weights,) = [
        one.message for one in found if one.about == "memory" and "weights" in one.message
    ]
    for part in ("transformer 26.6 GiB", "render 2.64 GiB", "vae 484 MiB", "together 29.7 GiB"):
        assert part in weights
    found = check("wan2.1-i2v-480p", models, "sampling.num_frames=81")
    (cached,) = [one.message for one in found if "cached residuals" in one.message]
    tokens = 21 * 30 * 52  # 81 frames of 480 x 832, VAE 4 x 8 x 8, patches of 1 x 2 x 2
    assert f"{byte_size(tokens * 5120 * 2)} a guidance branch" in cached


def test_a_constant_polynomial_as_for_wan_2_2_never_skips_and_the_render_model_does() -> None:
    teacache = options("wan2.2-a14b")["teacache"]
    assert teacache["coefficients"]["transformer"] == teacache["coefficients"]["transformer_2"]
    never = teacache["coefficients"]["transformer"]
    always = [0, 0, 0, 0, 0]  # no change at all, whatever the distance
    recipe = [
        {"use": "srdiffusion", "render": WAN_2_2.render(), "switch_step": HALF},
        {
            "use": "teacache",
            "threshold": teacache["threshold"],
            "coefficients": {"transformer": never, "transformer_2": never, "render": always},
        },
    ]
    pipe = WAN_2_2.pipeline()
    with sraccel.compose(pipe, recipe) as stack:
        WAN_2_2.generate(pipe)
    skipped = {
        call.denoiser for step in stack.report.steps for call in step.calls if call.reused_by
    }
    assert {step.denoiser for step in stack.report.steps} == {
        "transformer",
        "transformer_2",
        "render",
    }
    assert skipped == {"render"}
