"""Runs of `front.py`: one video at a time, what was computed of it, and how near it is to bare."""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))

from caches import decode
from front_settings import BARE, STEPS, Setting, attached
from points import Journal

from sraccel.video.metrics import psnr_db, semantic, ssim

Line = dict[str, Any]
APART = "apart"
"""A pipeline for cache-dit alone: it leaves traces, after which calibrations are not found."""
PARTS = ("block", "call", "step")
"""What a run is made of: blocks, what else a call computes, and what else a step does."""


class Prompt(NamedTuple):
    """One of those that are reported: its place among them, its seed, its words."""

    number: int
    seed: int
    caption: str


class Meter:
    """Counts what ran of a model, inside whatever caches there are.

    A block counts where its self-attention projects its input: caches that predict an attention's
    output call the attention, but not what is inside. A call counts where its input is embedded.

    Attributes:
        calls: blocks that ran, one number a call.
        in_blocks, in_calls: CPU seconds, right where nothing is skipped.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self.model, self.blocks = model, list(model.blocks)  # type: ignore[arg-type]
        self.calls: list[int] = []
        self.in_blocks = self.in_calls = self._since_call = self._since_block = 0.0

    def __enter__(self) -> Meter:
        self.calls, self.in_blocks, self.in_calls = [], 0.0, 0.0
        self._undo = ExitStack()
        hooks = [
            self.model.register_forward_pre_hook(self._call_begins),
            self.model.register_forward_hook(self._call_ends),
            self.model.patch_embedding.register_forward_pre_hook(self._embeds),
            self.blocks[0].register_forward_pre_hook(self._blocks_begin),
            self.blocks[-1].register_forward_hook(self._blocks_end),
            *(block.attn1.to_q.register_forward_pre_hook(self._block) for block in self.blocks),
        ]
        for hook in hooks:
            self._undo.callback(hook.remove)
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _call_begins(self, *_: Any) -> None:
        self._since_call = time.process_time()

    def _call_ends(self, *_: Any) -> None:
        self.in_calls += time.process_time() - self._since_call

    def _embeds(self, *_: Any) -> None:
        self.calls.append(0)

    def _blocks_begin(self, *_: Any) -> None:
        self._since_block = time.process_time()

    def _blocks_end(self, *_: Any) -> None:
        self.in_blocks += time.process_time() - self._since_block

    def _block(self, *_: Any) -> None:
        self.calls[-1] += 1

    def units(self, seconds: float, steps: int) -> dict[str, float]:
        """CPU seconds of each part, of a run that skipped nothing."""
        return {
            "block": self.in_blocks / sum(self.calls),
            "call": (self.in_calls - self.in_blocks) / len(self.calls),
            "step": (seconds - self.in_calls) / steps,
        }


def run(
    pipes: Mapping[str, Any], setting: Setting, prompt: str, seed: int
) -> tuple[torch.Tensor, Line]:
    """One video in [0, 1], of shape (frames, channels, height, width), and what it took."""
    spec = setting.spec
    sketch = pipes[APART if "cache_dit" in spec else "transformer"]
    render, steps = pipes["render"].transformer, spec.get("steps", STEPS)
    pipe = pipes["render"] if spec.get("role") == "render" else sketch
    meters = {"transformer": Meter(sketch.transformer), "render": Meter(render)}
    with ExitStack() as open_:
        stack = open_.enter_context(attached(pipe, spec, render))
        for meter in meters.values():
            open_.enter_context(meter)
        started, cpu_started = time.perf_counter(), time.process_time()
        with torch.no_grad():
            latents = pipe(
                prompt=prompt,
                num_inference_steps=steps,
                generator=torch.Generator().manual_seed(seed),
                output_type="latent",
            ).frames
        cpu_seconds, seconds = time.process_time() - cpu_started, time.perf_counter() - started
    taken = len(stack.report.steps) if stack is not None else steps
    line: Line = {"setting": setting.name, "seed": seed, "prompt": prompt, "steps": taken}
    line |= {"seconds": seconds, "cpu_seconds": cpu_seconds}
    line["counts"] = {role: [sum(m.calls), len(m.calls)] for role, m in meters.items()}
    line["computed"] = _computed(stack, meters["transformer"])
    if not spec.keys() - {"role", "prompts"}:
        own = meters[spec.get("role", "transformer")]
        line["units"] = own.units(cpu_seconds, taken)
    with torch.no_grad():
        return decode(pipe, latents), line


def _computed(stack: Any, meter: Meter) -> list[int]:
    """Steps that ran all blocks in some guidance branch; there are two."""
    if stack is not None:
        return [s.index for s in stack.report.steps if not all(c.reused for c in s.calls)]
    whole = [ran == len(meter.blocks) for ran in meter.calls]
    return [step for step in range(len(whole) // 2) if any(whole[2 * step : 2 * step + 2])]


def measure(
    pipes: Mapping[str, Any],
    settings: Sequence[Setting],
    prompts: Sequence[Prompt],
    work: Path,
    journal: Journal,
) -> None:
    """Every prompt under every setting, but for what the journal has; in random order."""
    done = {(entry["setting"], entry["seed"]): entry for entry in journal.entries}
    for number, seed, caption in prompts:
        order = _shuffled([s for s in settings if number < s.spec.get("prompts", 1e9)], seed)
        todo = [s for s in order if (s.name, seed) not in done]
        for setting in todo:
            line = _judged(pipes, _followed(setting, seed, done), caption, seed, work)
            done[setting.name, seed] = line
            journal.add(line)
        if todo:
            print(f"prompt {number + 1}", file=sys.stderr, flush=True)


def _shuffled(settings: Sequence[Setting], seed: int) -> list[Setting]:
    """The bare one first, those that follow others last."""
    shuffled = random.Random(seed).sample(settings, len(settings))
    return sorted(shuffled, key=lambda s: (s.name != BARE, "follows" in s.spec))


def _followed(setting: Setting, seed: int, done: Mapping[Any, Line]) -> Setting:
    leader = setting.spec.get("follows")
    if leader is None:
        return setting
    positions = done[leader, seed]["computed"]
    return Setting(
        setting.family, setting.label, {"recipe": [{"use": "steps", "positions": positions}]}
    )


def _judged(pipes: Mapping[str, Any], setting: Setting, prompt: str, seed: int, work: Path) -> Line:
    video, line = run(pipes, setting, prompt, seed)
    path = work / f"bare-{seed}.npy"
    if setting.name == BARE:
        np.save(path, video.numpy())
    measures: Line = {"psnr_db": None, "ssim": None, "score": semantic(video, prompt)}
    if path.exists():  # settings are chosen by the score with no bare video
        bare = torch.from_numpy(np.load(path))
        measures |= {"psnr_db": psnr_db(video, bare), "ssim": ssim(video, bare)}
    return {**line, **measures}


def units_of(lines: Sequence[Line]) -> dict[str, dict[str, float]]:
    """Median CPU seconds of each part of a run, by model, of the runs that skip nothing."""
    found = {}
    for role, name in (("transformer", BARE), ("render", "render model alone")):
        own = [line["units"] for line in lines if line["setting"] == name]
        found[role] = {part: statistics.median(u[part] for u in own) for part in PARTS}
    return found


def counted(line: Line, units: Mapping[str, Mapping[str, float]]) -> float:
    """What a run costs, counted: seconds; what a cache itself computes is not in it."""
    seconds = line["steps"] * units["transformer"]["step"]
    for role, (blocks, calls) in line["counts"].items():
        seconds += blocks * units[role]["block"] + calls * units[role]["call"]
    return seconds
