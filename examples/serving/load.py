"""Load on the two ways of serving, over loopback: throughput, back-pressure, clients that leave.

    python load.py [--requests 12]

Starts Ray and each way in turn; prints a line of JSON for each. Needs two free cores.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import time
from collections import Counter
from statistics import median
from typing import Any

import aiohttp
import app
import ray
from ray import serve

URL = "http://127.0.0.1:8000/"
STEPS = 8


async def asked(session: aiohttp.ClientSession, seed: int, steps: int = STEPS) -> tuple[int, float]:
    """Status of a request, and its seconds."""
    begun = time.perf_counter()
    question = {"prompt": "a red circle moving left", "seed": seed, "steps": steps}
    async with session.post(URL, json=question) as answer:
        await answer.read()
        return answer.status, time.perf_counter() - begun


async def first_video(session: aiohttp.ClientSession) -> str:
    """A checksum of the video of seed 0; loads what is loaded at the first request."""
    async with session.post(URL, json={"prompt": "a red circle moving left"}) as answer:
        content = await answer.read()
        assert answer.status == 200, content[:500]
        return hashlib.sha256(content).hexdigest()[:12]


async def steady(session: aiohttp.ClientSession, count: int) -> dict[str, Any]:
    """As many requests at a time as are let in."""
    seeds = iter(range(count))

    async def client() -> list[tuple[int, float]]:
        return [await asked(session, seed) for seed in seeds]

    begun = time.perf_counter()
    found = await asyncio.gather(*(client() for _ in range(app.UNDER_WAY)))
    answers = [answer for of_client in found for answer in of_client]
    assert {status for status, _ in answers} == {200}
    rate = count / (time.perf_counter() - begun)
    latency = median(seconds for _, seconds in answers)
    return {"videos_per_second": round(rate, 3), "median_latency_s": round(latency, 2)}


async def flooded(session: aiohttp.ClientSession, count: int) -> dict[str, Any]:
    """All requests at once."""
    answers = await asyncio.gather(*(asked(session, seed) for seed in range(count)))
    statuses = Counter(status for status, _ in answers)
    let_in = [seconds for status, seconds in answers if status == 200]
    refused = [seconds for status, seconds in answers if status == 503]
    return {
        "statuses": dict(statuses),
        "longest_let_in_s": round(max(let_in), 2),
        "longest_refused_s": round(max(refused, default=0.0), 2),
    }


async def left(session: aiohttp.ClientSession) -> dict[str, Any]:
    """Clients take all places with long calls, and leave; then one comes who stays."""
    _, quiet = await asked(session, 0)
    long = [asyncio.create_task(asked(session, seed, 100)) for seed in range(app.UNDER_WAY)]
    await asyncio.sleep(1.0)
    for task in long:
        task.cancel()
    await asyncio.gather(*long, return_exceptions=True)
    status, after = await asked(session, 0)
    assert status == 200
    return {"alone_s": round(quiet, 2), "after_clients_left_s": round(after, 2)}


async def measured(count: int) -> dict[str, Any]:
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        return {
            "video": await first_video(session),
            **await steady(session, count),
            **await flooded(session, 3 * (app.UNDER_WAY + app.WAITING)),
            **await left(session),
        }


def main() -> None:
    """Measure one process, then two pools, and print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=12)
    count = parser.parse_args().requests
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        for name in ("alone", "pools"):
            serve.run(getattr(app, name))
            print(json.dumps({"way": name, **asyncio.run(measured(count))}), flush=True)
            serve.delete("default")
    finally:
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main()
