"""Two denoisers go together, or the error lists side by side what differs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sraccel.errors import ModelError
from sraccel.models.partners import check_partners
from sraccel.noise.space import NoiseSpace, VariancePreservingSchedule


def denoiser(role: str, levels: float, out_channels: int) -> Any:
    """One whose schedule has a thousand timesteps and falls with this power."""
    falling = tuple((1 - step / 1001) ** levels for step in range(1, 1001))
    adapter = SimpleNamespace(
        interface=lambda module: {"in_channels": 32, "out_channels": out_channels},
        check_sibling=lambda own, other: None,
        predicts_for_scheduler=True,
        one_scheduler=True,
    )
    space = NoiseSpace(VariancePreservingSchedule(falling), "v_prediction", 1.0)
    known = {"role": role, "family": "any", "module": None, "pipeline": None}
    return SimpleNamespace(**known, adapter=adapter, noise_space=space)


def test_noise_levels_that_differ_need_the_change_of_variables():
    """It is not defined where the input holds more channels than the prediction."""
    check_partners(denoiser("transformer", 1, 16), denoiser("render", 1, 16))
    check_partners(denoiser("transformer", 1, 32), denoiser("render", 2, 32))
    with pytest.raises(ModelError, match="change of variables is not defined") as refused:
        check_partners(denoiser("transformer", 1, 16), denoiser("render", 2, 16))
    assert list(refused.value.differences) == ["noise at timesteps 100, 300, ... 900"]
