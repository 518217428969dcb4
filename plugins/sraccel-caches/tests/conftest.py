"""What these tests share with sraccel's own."""

from __future__ import annotations

from typing import Any

import pytest
from tiny_models import tiny_transformer


@pytest.fixture
def render() -> Any:
    """A tiny render model of two blocks."""
    return tiny_transformer(seed=7, layers=2)
