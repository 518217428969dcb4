"""How long a batch of prompts still takes: on a terminal, and in a file."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sraccel.batch.prompts_file import PromptJob
from sraccel.cli.prompt_progress import Pace, PromptProgress


@given(st.lists(st.floats(1, 1e4), min_size=2, max_size=90), st.integers(0, 10**6))
def test_the_end_is_estimated_by_what_prompts_took_after_the_first(
    seconds: list[float], more: int
) -> None:
    pace, now = Pace(len(seconds) + more), 1e3  # the first one's models were loaded, too
    assert pace.seconds_left is None
    for one in seconds:
        now += one
        pace.ended(now)
    mean = sum(seconds[1:]) / (len(seconds) - 1)
    assert pace.seconds_left == pytest.approx(more * mean)


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "file"])
def test_videos_of_ten_minutes_have_an_estimate_too(
    monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    clock = SimpleNamespace(monotonic=lambda: clock.now, now=0.0)
    monkeypatch.setattr("sraccel.cli.prompt_progress.time", clock)
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=120)
    with PromptProgress(9, console) as progress:
        for index in range(4):
            clock.now += 600
            reason = "ValueError: no" if index == 2 else ""
            progress.ended(PromptJob(f"p{index}", {}, 0), reason)
    shown = stream.getvalue()
    assert "p2 failed: ValueError: no" in shown
    assert "50 min left" in shown
    assert ("4 of 9 prompts, 50 min left" in shown) is not terminal
