"""The accelerators that come with sraccel, and those under plugins/, behave."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sraccel_caches import EasyCache, FirstBlock, MagCache, SeaCache
from sraccel_caches.mag_calibration import Ratios
from sraccel_example import Bf16Linear, SkipSchedule
from tqdm import tqdm

from sraccel.recipe.catalogue import installed
from sraccel.testing import BehaviourError, Target, check_accelerator, standard_targets
from sraccel.testing.invariants.composition import BUILT_IN, IDLE
from sraccel.testing.snapshot import Snapshot
from sraccel.testing.toy import toy_denoiser

ROOT = Path(__file__).parents[2]
RATIOS = [1.0, 1.01, 1.0, 0.99, 0.98]
PLUGINS: dict[str, dict[str, Any]] = {
    "bf16-linear": {"accelerator": Bf16Linear},
    "skip-schedule": {
        "accelerator": SkipSchedule,
        "options": {"every": 2, "warm_up": 1},
        "idle": {"every": 1},
    },
    "easycache": {
        "accelerator": EasyCache,
        "options": {"threshold": 0.9, "warm_up": 2},
        "idle": {"threshold": 0.0},
    },
    "seacache": {
        "accelerator": SeaCache,
        "options": {"threshold": 9.0},
        "idle": {"threshold": 0.0},
    },
    "magcache": {
        "accelerator": MagCache,
        "options": {"ratios": RATIOS, "threshold": 0.5},
        "idle": {"threshold": 0.0, "retention": 1.0},
    },
    "magcache-ratios": {"accelerator": lambda _: Ratios()},
    "firstblock": {
        "accelerator": FirstBlock,
        "options": {"threshold": 0.9},
        "idle": {"threshold": 0.0},
    },
}
IDLE_OPTIONS: dict[str, Callable[[Target], Any]] = {
    name: lambda target, item=item: {
        key: value for key, value in item(target).items() if key != "use"
    }
    for name, item in IDLE.items()
}
ALL = {
    **{
        name: {"accelerator": item, "idle": IDLE_OPTIONS.get(name)}
        for name, item in BUILT_IN.items()
    },
    **PLUGINS,
}
each = pytest.mark.parametrize("name", ALL)


def test_every_accelerator_that_comes_along_is_checked() -> None:
    ours = {
        name for name in installed().accelerators if installed().origin(name).startswith("sraccel ")
    }
    assert {*BUILT_IN} == ours
    for package in ROOT.glob("plugins/*/"):
        named = set(re.findall(r'^    name = "([\w-]+)"', text_of(package / "src"), re.MULTILINE))
        assert named <= {*PLUGINS} or "check_accelerator" in text_of(package / "tests"), package


def text_of(folder: Path) -> str:
    """All source in a folder."""
    return "\n".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))


@each
def test_it_behaves_in_a_loop_on_the_toy(name: str) -> None:
    toy = [target for target in standard_targets() if "toy" in target.name]
    if name == "sageattention":
        with pytest.raises(BehaviourError, match="no attention processors"):
            check_accelerator(**ALL[name], targets=toy)
    else:
        assert check_accelerator(**ALL[name], targets=toy).targets == ("a toy denoiser",)


def test_a_thread_that_a_library_starts_once_a_process_is_not_left_behind() -> None:
    if tqdm.monitor is not None:
        tqdm.monitor.exit()
        tqdm.monitor = None
    before = Snapshot.of(toy_denoiser())
    with tqdm(disable=False):
        assert tqdm.monitor in threading.enumerate()
        assert Snapshot.of(toy_denoiser()).threads == before.threads


@pytest.mark.slow
@each
def test_it_behaves_on_every_standard_target(name: str) -> None:
    found = check_accelerator(**ALL[name])
    assert "Wan" in found.targets
    assert {*found.refused} == {
        "sageattention": {"a toy denoiser"},
        "steps": {"Wan under Heun's method"},
    }.get(name, set())


@pytest.mark.slow
def test_without_options_those_of_the_example_are_taken() -> None:
    assert check_accelerator(MagCache).accelerator == "magcache"
    assert check_accelerator("schedule").accelerator == "schedule"
