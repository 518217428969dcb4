"""What was found once is refused in words now, and a few fresh inputs of each kind are.

For longer: `python tests/fuzz/run.py --seconds 600`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from targets import TARGETS, inputs, sound, tried

SEEDS = sorted((Path(__file__).parent / "seeds").iterdir())


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.name)
def test_what_was_found_is_accepted_or_refused(path: Path) -> None:
    assert tried(path.name.partition("-")[0], path.read_bytes()) in ("accepted", "refused")


@pytest.mark.parametrize("name", ["recipe_yaml", "recipe_toml", "recipe_json", "report", "prompts"])
def test_what_is_right_is_accepted(name: str) -> None:
    assert {tried(name, content) for content in sound(name) if content} - {"refused"} == {
        "accepted"
    }


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_fresh_inputs_are_accepted_or_refused(name: str, data: st.DataObject) -> None:
    assert tried(name, data.draw(inputs(name))) in ("accepted", "refused")
