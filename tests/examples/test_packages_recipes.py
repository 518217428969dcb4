"""The recipes of `examples/packages` use every package, and run where these are installed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from sraccel.recipe.catalogue import installed
from sraccel.recipe.discovery.requirements import unmet

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "examples/packages").glob("*.yaml"))
JUDGES = {"sraccel-metrics"}
"""It brings no accelerator: its metric is in every report."""


def used(path: Path) -> list[str]:
    return [item["use"] for item in yaml.safe_load(path.read_text("utf-8"))["accelerators"]]


def test_each_package_is_in_one_of_them_beside_srdiffusion() -> None:
    assert all("srdiffusion" in used(path) for path in RECIPES)
    named = {name for path in RECIPES for name in used(path)}
    for package in sorted((ROOT / "plugins").iterdir()):
        source = "".join(path.read_text("utf-8") for path in (package / "src").rglob("*.py"))
        brought = {*re.findall(r'^    name = "([\w-]+)"', source, re.MULTILINE)}
        assert brought & named or package.name in JUDGES, package.name


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_one_runs_and_leaves_the_demo_pipeline_as_it_was(path: Path) -> None:
    known = installed().accelerators
    lacking = [name for name in used(path) if name not in known or any(unmet(known[name].requires))]
    if lacking:
        pytest.skip(f"not installed: {', '.join(lacking)}")
    import torch

    import sraccel
    from sraccel.testing import load_demo_pipeline

    eager = ["regional-compile.backend=aot_eager"] if "regional-compile" in used(path) else []
    recipe = sraccel.Recipe.load(path, ["srdiffusion.switch_step=8", *eager])
    pipe = load_demo_pipeline()

    def generate() -> torch.Tensor:
        seeded = torch.Generator().manual_seed(0)
        call = {"num_inference_steps": 14, "generator": seeded, "output_type": "latent"}
        return pipe("a red circle moving left", **call).frames

    bare = generate()
    with sraccel.compose(pipe, recipe) as stack:
        first, second = generate(), generate()
    assert first.isfinite().all()
    assert torch.equal(first, second)
    assert not torch.equal(first, bare)
    assert stack.report.switch_step == 8
    assert torch.equal(generate(), bare)
