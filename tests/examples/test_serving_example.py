"""The serving example under load. Skipped where `ray[serve]` is not installed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SERVING = Path(__file__).parents[2] / "examples" / "serving"
NEEDED = ("ray", "aiohttp", "starlette", "uvicorn")


@pytest.mark.slow
@pytest.mark.timeout(540)
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in NEEDED),
    reason="needs Ray Serve: pip install 'ray[serve]'",
)
def test_pools_serve_the_videos_of_one_process_refuse_a_flood_and_drop_who_left() -> None:
    command = [sys.executable, "load.py", "--requests", "4"]
    done = subprocess.run(command, cwd=SERVING, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    alone, pools = (json.loads(line) for line in done.stdout.splitlines() if line[:1] == "{")
    assert pools["video"] == alone["video"]
    for way in (alone, pools):
        assert way["statuses"].keys() == {"200", "503"}
        assert way["longest_refused_s"] < way["longest_let_in_s"]
        # The calls that were left would have taken fifty times as long.
        assert way["after_clients_left_s"] < 8 * way["alone_s"]
