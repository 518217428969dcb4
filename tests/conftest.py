"""Fixtures that all tests share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from hypothesis import settings
from tiny_models import call_arguments, tiny_pipeline, tiny_transformer

torch.set_num_threads(1)
torch.set_grad_enabled(False)
settings.register_profile("sraccel", deadline=None)  # CI machines are shared: time says nothing
settings.load_profile("sraccel")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none, and say so."""
    if torch.cuda.is_available():
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device; none is usable here"))


@pytest.fixture
def pipe() -> WanPipeline:
    """A tiny Wan pipeline."""
    return tiny_pipeline()


@pytest.fixture
def render() -> WanTransformer3DModel:
    """A tiny render model that fits `pipe`."""
    return tiny_transformer(seed=7, layers=1)


@pytest.fixture
def generate() -> Callable[..., torch.Tensor]:
    """Run a pipeline with `call_arguments`; returns its latents."""

    def run(pipeline: WanPipeline, **arguments: Any) -> torch.Tensor:
        return pipeline(**call_arguments(**arguments)).frames

    return run
