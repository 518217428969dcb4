"""The check as fixtures: `pytest_plugins = ["sraccel.testing.pytest_plugin"]` in a conftest.py.

It is not found by itself (no entry point `pytest11`): whoever has sraccel installed and tests
something else pays nothing for it. Torch is loaded by the first test that asks for a fixture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from sraccel.testing.check import Checked
from sraccel.testing.check import check_accelerator as check

if TYPE_CHECKING:
    from diffusers import WanPipeline, WanTransformer3DModel


@pytest.fixture(scope="session")
def check_accelerator() -> Callable[..., Checked]:
    """`sraccel.testing.check_accelerator`."""
    return check


@pytest.fixture
def tiny_pipeline() -> WanPipeline:
    """A Wan pipeline of the real classes with random weights; call it with `tiny_call()`."""
    from sraccel.testing import tiny_wan

    return tiny_wan.tiny_pipeline()


@pytest.fixture
def tiny_partner() -> WanTransformer3DModel:
    """A second model that can take over from the one of `tiny_pipeline`."""
    from sraccel.testing import tiny_wan

    return tiny_wan.tiny_transformer(seed=7, layers=2)


@pytest.fixture
def tiny_call() -> Callable[..., dict[str, Any]]:
    """Arguments for a call of `tiny_pipeline`, by `steps`, `seed`, `guidance` and others."""
    from sraccel.testing import tiny_wan

    return tiny_wan.call_arguments
