"""TeaCache beside diffusers' own caches on the demo pair's sketch model: what each skips and loses.

    python tests/benchmarks/caches.py --out docs/assets/benchmarks

TeaCache's coefficients are the demo pair's own, or freshly fitted on the prompts that MagCache is
calibrated on:

    python tests/benchmarks/caches.py --write-prompts prompts.txt
    sraccel calibrate teacache --model demo --prompts prompts.txt --seeds 77 -o plain.json
    sraccel calibrate teacache --model demo --prompts prompts.txt --seeds 77 --retention \
        -o retention.json
    python tests/benchmarks/caches.py --plain plain.json --retention retention.json

Every held-out prompt is generated bare and under every cache at several thresholds, from the same
noise, in random order. What was skipped is counted from outside and alike for all: block forwards
that did not run, of those of the 50 bare steps. PSNR is that of the decoded video to the bare one.
Each finished run is a line of `--work`'s `runs.jsonl`: the same command goes on after an interrupt.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import io
import json
import logging
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import FirstBlockCacheConfig, MagCacheConfig, TaylorSeerCacheConfig
from diffusers.hooks import SeaCacheConfig
from rich.console import Console
from rich.progress import track

sys.path.insert(0, str(Path(__file__).parent))

from cache_figures import (
    FEWER,
    FIRST_BLOCK,
    MAG,
    OWN,
    RETENTION,
    SEA,
    SEA_FLAT,
    TAYLOR,
    TEACACHE,
    compared,
    draw,
    show,
)
from points import Journal, checksums, package_versions, quartiles, start
from semantic import paired_interval

import sraccel
from sraccel.demo.shapes import held_out_scenes, training_scenes
from sraccel.testing import load_demo_pipeline
from sraccel.video.metrics import psnr_db

STEPS = 50
OWN_THRESHOLDS = (0.013, 0.021, 0.026, 0.035, 0.05, 0.1, 0.15)
"""For the coefficients that come with the demo pair."""
FITTED_SHARES = (0.2, 0.36, 0.5, 0.65, 0.75)
"""For fitted ones: the thresholds of the file that come nearest to skipping these shares."""
CALIBRATION_PROMPTS = 8
CALIBRATION_SEED = 77
"""Of the training scenes and, times 1000, of their noise."""

Attach = Callable[[Any], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Setting:
    """One way of making the videos.

    Attributes:
        family: settings on one line of the picture.
        options: what is set.
        attach: puts the cache on a pipeline, and takes it off again.
        steps: denoising steps.
        fit: digest of the calibration file, where there is one.
    """

    family: str
    options: dict[str, Any]
    attach: Attach = contextlib.nullcontext
    steps: int = STEPS
    fit: str = ""

    @property
    def name(self) -> str:
        """Family and options, for journal and table."""
        return f"{self.family}: {', '.join(f'{k} {v}' for k, v in self.options.items())}"

    @property
    def key(self) -> str:
        """All that decides a run but its seed."""
        return json.dumps([self.name, self.fit])


BARE, AGAIN = Setting("bare", {"run": 1}), Setting("bare", {"run": 2})


def through_sraccel(**options: Any) -> Attach:
    """TeaCache as an accelerator."""

    def attach(pipe: Any) -> AbstractContextManager[Any]:
        stack = sraccel.compose(pipe, [{"use": "teacache", **options}])
        stack.logs_warnings = False
        return stack

    return attach


def through_diffusers(config: Any) -> Attach:
    """One of diffusers' own caches."""

    @contextmanager
    def attach(pipe: Any) -> Iterator[None]:
        pipe.transformer.enable_cache(config)
        try:
            yield
        finally:
            pipe.transformer.disable_cache()

    return attach


def teacache(plain: Path | None, retention: Path | None) -> list[Setting]:
    """Both variants; with a calibration file, at its thresholds, and the model's own fit beside."""
    own = [_teacache(OWN if plain else TEACACHE, threshold) for threshold in OWN_THRESHOLDS]
    made = own if plain is None else _fitted(TEACACHE, plain)
    made += (
        [_teacache(RETENTION, threshold) for threshold in OWN_THRESHOLDS]
        if retention is None
        else _fitted(RETENTION, retention)
    )
    return made + (own if plain else [])


def _fitted(family: str, file: Path) -> list[Setting]:
    models = json.loads(file.read_text(encoding="utf-8"))["models"].values()
    expected = {row["threshold"]: row["skipped"] for model in models for row in model["thresholds"]}
    nearest = [min(expected, key=lambda t: abs(expected[t] - share)) for share in FITTED_SHARES]
    return [_teacache(family, threshold, file) for threshold in dict.fromkeys(nearest)]


def _teacache(family: str, threshold: float, file: Path | None = None) -> Setting:
    attach = through_sraccel(
        threshold=threshold,
        coefficients="auto" if file is None else str(file),
        retention=family == RETENTION,
    )
    fit = "" if file is None else hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    return Setting(family, {"threshold": threshold}, attach, fit=fit)


def diffusers_caches(ratios: list[float]) -> list[Setting]:
    """FirstBlockCache, MagCache, SeaCache and TaylorSeer; beyond their default caps, other caps."""
    return [
        *(_taylor_seer(*each) for each in ((2, 12), (2, 3), (3, 3), (4, 3), (5, 3))),
        *(_first_block_cache(threshold) for threshold in (0.03, 0.04, 0.05, 0.08, 0.12, 0.3)),
        *(_mag_cache(ratios, threshold, 3, 0.2) for threshold in (0.002, 0.005, 0.02, 0.06)),
        *(_mag_cache(ratios, threshold, 5, 0.1) for threshold in (0.06, 0.2)),
        *(
            _sea_cache(order, threshold, cap)
            for order in (1, 0)
            for threshold, cap in ((0.06, 2), (0.1, 2), (0.2, 2), (0.4, 2), (0.4, 4), (0.6, 4))
        ),
    ]


def _first_block_cache(threshold: float) -> Setting:
    config = FirstBlockCacheConfig(threshold=threshold)
    return Setting(FIRST_BLOCK, {"threshold": threshold}, through_diffusers(config))


def _mag_cache(ratios: list[float], threshold: float, skips: int, retention: float) -> Setting:
    options = {"threshold": threshold, "max_skip_steps": skips, "retention_ratio": retention}
    config = MagCacheConfig(**options, mag_ratios=ratios, num_inference_steps=STEPS)
    return Setting(MAG, options, through_diffusers(config))


def _sea_cache(order: int, threshold: float, cap: int) -> Setting:
    """Order 1, the default, extrapolates the residual; order 0 repeats it, as the others do."""
    options = {"threshold": threshold, "max_consecutive_cached": cap}
    config = SeaCacheConfig(**options, residual_order=order)
    return Setting(SEA if order else SEA_FLAT, options, through_diffusers(config))


def _taylor_seer(interval: int, dense: int) -> Setting:
    """As published: attention and feed-forward of every block are predicted, each by itself.

    The first steps are computed: 3 by default, and more to skip less.
    """
    config = TaylorSeerCacheConfig(
        cache_interval=interval,
        disable_cache_before_step=dense,
        cache_identifiers=[r"blocks\.\d+\.(attn1|attn2|ffn)"],
        taylor_factors_dtype=torch.float32,
    )
    options = {"interval": interval, "computed_first": dense}
    return Setting(TAYLOR, options, through_diffusers(config))


def fewer_steps() -> list[Setting]:
    """What needs no cache at all."""
    return [Setting(FEWER, {"steps": steps}, steps=steps) for steps in (40, 34, 25, 20, 15, 12)]


class Watch(logging.Handler):
    """Counts the blocks that ran, inside whatever hooks there are, and keeps diffusers' warnings.

    A block counts where its attention projects its input: caches that predict an attention's output
    call the attention, but not what is inside.

    Attributes:
        ran: block forwards.
        warnings: what diffusers' hooks warned of.
    """

    def __init__(self, transformer: Any) -> None:
        super().__init__(logging.WARNING)
        self.ran, self.warnings, self._blocks = 0, list[str](), list(transformer.blocks)

    def emit(self, record: logging.LogRecord) -> None:
        self.warnings.append(record.getMessage())

    def _count(self, *_: Any) -> None:
        self.ran += 1

    @contextmanager
    def __call__(self) -> Iterator[None]:
        self.ran, self.warnings = 0, []
        with ExitStack() as undo:
            for block in self._blocks:
                undo.callback(block.attn1.to_q.register_forward_pre_hook(self._count).remove)
            logger = logging.getLogger("diffusers.hooks")
            logger.addHandler(self)
            undo.callback(logger.removeHandler, self)
            yield

    @property
    def skipped(self) -> float:
        """Share of the bare run's block forwards that did not run."""
        return 1 - self.ran / (2 * STEPS * len(self._blocks))


def generate(pipe: Any, setting: Setting, prompt: str, seed: int) -> torch.Tensor:
    """The latents."""
    latents: torch.Tensor = pipe(
        prompt=prompt,
        num_inference_steps=setting.steps,
        generator=torch.Generator().manual_seed(seed),
        output_type="latent",
    ).frames
    return latents


def decode(pipe: Any, latents: torch.Tensor) -> torch.Tensor:
    """The video in [0, 1], of shape (frames, channels, height, width)."""
    shape = (1, -1, 1, 1, 1)
    mean, std = (
        torch.tensor(values).view(shape)
        for values in (pipe.vae.config.latents_mean, pipe.vae.config.latents_std)
    )
    video = pipe.vae.decode(latents * std + mean, return_dict=False)[0]
    made: torch.Tensor = pipe.video_processor.postprocess_video(video, output_type="pt")[0]
    return made.float()


def run(
    pipe: Any, setting: Setting, prompt: str, seed: int, watch: Watch
) -> tuple[torch.Tensor, dict[str, Any]]:
    """One video, and what it took."""
    with watch(), setting.attach(pipe):
        started, cpu_started = time.perf_counter(), time.process_time()
        latents = generate(pipe, setting, prompt, seed)
        seconds = {"seconds": time.perf_counter() - started}
        seconds["cpu_seconds"] = time.process_time() - cpu_started
    return decode(pipe, latents), {
        "setting": setting.key,
        "seed": seed,
        "prompt": prompt,
        **seconds,
        "skipped": watch.skipped,
        "warnings": watch.warnings,
    }


def mag_ratios(pipe: Any) -> list[float]:
    """MagCache's calibration: it prints an array a branch; as its docs advise, the conditional one.

    Averaged over prompts.
    """
    printed = io.StringIO()
    config = MagCacheConfig(calibrate=True, num_inference_steps=STEPS)
    with contextlib.redirect_stdout(printed), through_diffusers(config)(pipe):
        for index, scene in enumerate(training_scenes(CALIBRATION_PROMPTS, CALIBRATION_SEED)):
            generate(pipe, BARE, scene.caption, CALIBRATION_SEED * 1000 + index)
    arrays = [
        ast.literal_eval(line) for line in printed.getvalue().splitlines() if line[:2] == "[1"
    ]
    assert len(arrays) == 2 * CALIBRATION_PROMPTS, printed.getvalue()
    averaged: list[float] = np.mean(arrays[::2], axis=0).tolist()
    return averaged


def calibrated(pipe: Any, journal: Journal) -> list[float]:
    """MagCache's ratios, from the journal if they are there."""
    for entry in journal.entries:
        if "mag_ratios" in entry:
            found: list[float] = entry["mag_ratios"]
            return found
    made = mag_ratios(pipe)
    journal.add({"mag_ratios": made})
    return made


def measure(
    pipe: Any, settings: list[Setting], prompts: int, work: Path, journal: Journal
) -> list[dict[str, Any]]:
    """Every prompt under every setting, but for what the journal has; all runs."""
    done = {(entry["setting"], entry["seed"]) for entry in journal.entries if "setting" in entry}
    watch, shuffled, bare_video = Watch(pipe.transformer), random.Random(0), torch.empty(0)
    cells = [
        (seed, scene.caption, setting)
        for seed, scene in enumerate(held_out_scenes(prompts))
        for setting in (BARE, *shuffled.sample(settings, len(settings)))
    ]
    todo = [cell for cell in cells if (cell[2].key, cell[0]) not in done]
    print(f"{len(todo)} of {len(cells)} runs to do", file=sys.stderr)
    for seed, prompt, setting in track(todo, "runs", console=Console(stderr=True)):
        video, entry = run(pipe, setting, prompt, seed, watch)
        path = work / f"bare-{seed:03}.npy"
        if setting is BARE:
            np.save(path, video.numpy())
        bare_video = torch.from_numpy(np.load(path))
        journal.add({**entry, "psnr_db": psnr_db(video, bare_video)})
    return [entry for entry in journal.entries if "setting" in entry]


def interval(values: list[float]) -> tuple[float, ...]:
    """Mean, and its 95% bootstrap interval over prompts."""
    return paired_interval(np.array(values), np.zeros(len(values)))


def row(setting: Setting, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of one setting, prompts in order."""
    prompts = sorted({entry["seed"] for entry in runs})
    of = {(entry["setting"], entry["seed"]): entry for entry in runs}
    ours = [of[setting.key, seed] for seed in prompts]
    bare = [of[BARE.key, seed] for seed in prompts]
    pairs = list(zip(bare, ours, strict=True))
    return {
        "family": setting.family,
        "name": setting.name,
        "options": setting.options,
        "skipped": interval([entry["skipped"] for entry in ours]),
        "psnr_db": interval([entry["psnr_db"] for entry in ours]),
        "time_ratio": quartiles([b["seconds"] / a["seconds"] for b, a in pairs]),
        "cpu_time_ratio": quartiles([b["cpu_seconds"] / a["cpu_seconds"] for b, a in pairs]),
        "warnings": sorted({text for entry in ours for text in entry["warnings"]}),
        "of_each_prompt": [[entry["skipped"], round(entry["psnr_db"], 3)] for entry in ours],
    }


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--plain", type=Path, metavar="FILE", help="TeaCache's coefficients")
    parser.add_argument("--retention", type=Path, metavar="FILE", help="those of that variant")
    parser.add_argument("--write-prompts", type=Path, help="write the calibration prompts, no more")
    parser.add_argument("--families", nargs="*", default=[], help="only these (and bare)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("runs/caches"))
    parser.add_argument("--out", type=Path, default=Path("runs/caches"))
    return parser.parse_args()


def all_settings(ratios: list[float], arguments: argparse.Namespace) -> list[Setting]:
    """What is compared with the bare runs; the second bare run shows the noise of the clock."""
    found = [
        AGAIN,
        *teacache(arguments.plain, arguments.retention),
        *diffusers_caches(ratios),
        *fewer_steps(),
    ]
    wanted = {BARE.family, *arguments.families}
    return [setting for setting in found if len(wanted) == 1 or setting.family in wanted]


def main() -> None:
    """Measure, print, and write caches.json and caches.png."""
    arguments = options()
    if arguments.write_prompts:
        captions = [s.caption for s in training_scenes(CALIBRATION_PROMPTS, CALIBRATION_SEED)]
        arguments.write_prompts.write_text("\n".join(captions) + "\n")
        return
    for folder in (arguments.work, arguments.out):
        folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    pipe = load_demo_pipeline("transformer")
    pipe.set_progress_bar_config(disable=True)
    weights = checksums({"transformer": pipe.transformer, "vae": pipe.vae})
    header = {"weights": weights, "versions": package_versions(), "threads": arguments.threads}
    journal = Journal(arguments.work / "runs.jsonl", header)
    with torch.no_grad():
        generate(pipe, Setting("warm-up", {}, steps=2), "a red circle", 0)
        ratios = calibrated(pipe, journal)
        settings = all_settings(ratios, arguments)
        runs = measure(pipe, settings, arguments.prompts, arguments.work, journal)
    rows = [row(setting, runs) for setting in settings]
    comparison = compared(rows)
    show(rows, comparison)
    content = {**header, "prompts": arguments.prompts, "steps": STEPS, "mag_ratios": ratios}
    for variant, file in (("plain", arguments.plain), ("retention", arguments.retention)):
        if file is not None:
            content[f"{variant}_calibration"] = json.loads(file.read_text(encoding="utf-8"))
    content |= {"rows": rows, "at_equal_shares": comparison}
    (arguments.out / "caches.json").write_text(json.dumps(content, indent=1) + "\n")
    draw(rows, arguments.out / "caches.png")


if __name__ == "__main__":
    start(main)
