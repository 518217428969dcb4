"""What all tests share. It loads no torch: that comes with the first test that needs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    import torch
    from diffusers import WanPipeline, WanTransformer3DModel

os.environ["OMP_NUM_THREADS"] = "1"  # of torch, here and in the processes that tests start
settings.register_profile("sraccel", deadline=None)  # CI machines are shared: time says nothing
settings.load_profile("sraccel")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none, and say so; compute without gradients."""
    on_gpu = [item for item in items if item.get_closest_marker("gpu") is not None]
    if on_gpu or "torch" in sys.modules:
        import torch

        torch.set_grad_enabled(False)
        for item in [] if torch.cuda.is_available() else on_gpu:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device; none is usable here"))


@pytest.fixture(scope="session")
def tiny_models() -> ModuleType:
    """The module of that name, and torch with it."""
    import tiny_models as models
    import torch

    torch.set_grad_enabled(False)
    return models


@pytest.fixture
def pipe(tiny_models: Any) -> WanPipeline:
    """A tiny Wan pipeline."""
    return tiny_models.tiny_pipeline()


@pytest.fixture
def render(tiny_models: Any) -> WanTransformer3DModel:
    """A tiny render model that fits `pipe`."""
    return tiny_models.tiny_transformer(seed=7, layers=1)


@pytest.fixture
def generate(tiny_models: Any) -> Callable[..., torch.Tensor]:
    """Run a pipeline with `call_arguments`; returns its latents."""

    def run(pipeline: WanPipeline, **arguments: Any) -> torch.Tensor:
        return pipeline(**tiny_models.call_arguments(**arguments)).frames

    return run


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of the hub's client, which is offline."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A real filesystem of 16 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no filesystem can be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"no filesystem can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
