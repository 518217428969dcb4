"""A made-up table: prompts differ in the step that they need, and one feature shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

FEATURES = ("d", "x0_d", "cond_d", "uncond_d", "x0_change", "turn")
LEVELS = ("guidance", "guided_norm", "x0_norm")
FEWER = (2, 5, 10)


def header(steps: int = 20) -> dict[str, Any]:
    """As `table.py` writes it."""
    sigmas = [*np.linspace(0.99, 0.05, steps).tolist(), 0.0]
    placements = {str(count): list(range(count)) for count in FEWER}
    return {"steps": steps, "sigmas": sigmas, "placements": placements}


def lines(prompts: int, steps: int = 20, tells: float = 1.0, seed: int = 0) -> list[dict[str, Any]]:
    """Lines of a journal.

    Args:
        prompts: how many.
        steps: of the full grid.
        tells: how well the guidance feature shows which step a prompt needs, 0 to 1.
        seed: of everything.
    """
    rng = np.random.default_rng(seed)
    return [_line(prompt, steps, tells, rng) for prompt in range(prompts)]


def _line(prompt: int, steps: int, tells: float, rng: np.random.Generator) -> dict[str, Any]:
    needed = rng.uniform(0.1, 0.6) * steps
    shown = tells * needed + (1 - tells) * rng.uniform(0.1, 0.6) * steps
    time = np.arange(steps)
    features: dict[str, list[float | None]] = {
        name: [None, *(0.5 * 0.8 ** time[1:] + 0.01 * rng.random(steps - 1)).tolist()]
        for name in FEATURES
    }
    features |= {name: (1 + 0.1 * rng.random(steps)).tolist() for name in LEVELS}
    features["guidance"] = (1 / (1 + np.exp(time - shown)) + 0.01).tolist()
    features["disagreement"] = rng.random(steps).tolist()
    runs = {"full": _run(np.arange(steps + 1), needed, rng)}
    for count in FEWER:
        runs[f"uniform-{count}"] = _run(np.array([count]), needed, rng)
        runs[f"placed-{count}"] = _run(np.array([1, count]), needed / 2, rng)
    return {
        "prompt": prompt,
        "seconds_a_forward": {"sketch": 0.03, "render": 0.003},
        "features": features,
        "runs": runs,
    }


def _run(steps: Any, needed: float, rng: np.random.Generator) -> dict[str, list[float]]:
    quality = 1 / (1 + np.exp(needed - steps)) + 0.02 * rng.normal(size=len(steps))
    return {"steps": steps.tolist(), "score": quality.tolist(), "iou": (quality / 2).tolist()}


def write(folder: Path, *journals: list[dict[str, Any]], steps: int = 20) -> Path:
    """Journals in a folder, each with its header."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(journals):
        text = "".join(json.dumps(line) + "\n" for line in [header(steps), *content])
        (folder / f"prompts-{number}-of-{len(journals)}.jsonl").write_text(text)
    return folder
