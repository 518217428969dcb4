"""What every process does: makes videos alone, then with the others, and writes what it saw.

`torchrun --nproc-per-node N worker.py --kind cpu FOLDER SCENARIO...`; with `--kind cuda` one rank a
GPU, over NCCL, by diffusers' own `enable_parallelism` where it has a plan for the model.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from diffusers import ContextParallelConfig, ParallelConfig, TensorParallelConfig
from sraccel_caches.firstblock import FirstBlock
from tiny_models import IDENTITY, call_arguments, tiny_pipeline, tiny_transformer
from torch.distributed.device_mesh import init_device_mesh

import sraccel
from ranks.rules import LocalChange, ShardChange
from ranks.sharding import over_all_ranks, share_sequence
from sraccel.plugin import Ranks, RanksError
from sraccel.report.model import Report

HEADS = 6
"""For two ranks and for three: Ulysses parallelism divides attention heads."""
TIMEOUT = 2.0
Build = Callable[[], tuple[Any, Any, dict[str, Any]]]
"""A pipeline, a render model that fits it, and the arguments of its call."""


def wan() -> tuple[Any, Any, dict[str, Any]]:
    """Tiny Wan; 48 tokens a frame."""
    heads = {"num_attention_heads": HEADS}
    render = tiny_transformer(seed=7, layers=2, **heads)
    return tiny_pipeline(**heads), render, call_arguments(10, height=48)


def cogvideox() -> tuple[Any, Any, dict[str, Any]]:
    """Tiny CogVideoX-5B."""
    from tiny.cogvideox import (  # all families come with it, which takes seconds
        COGVIDEOX_DDIM,
        cogvideox_pipeline,
        cogvideox_transformer,
    )

    heads = {"num_attention_heads": HEADS}
    render = cogvideox_transformer(seed=7, layers=2, **heads)
    return cogvideox_pipeline(**heads), render, call_arguments(8, **COGVIDEOX_DDIM.size)


def srdiffusion(render: Any, threshold: float = 0.05, **more: Any) -> dict[str, Any]:
    """By the metric: at these numbers neither at once nor never."""
    return {"use": "srdiffusion", "render": render, "threshold": threshold, "min_step": 3, **more}


def teacache(scope: str, *roles: str) -> dict[str, Any]:
    coefficients = dict.fromkeys(roles, IDENTITY)
    return {"use": "teacache", "threshold": 0.3, "coefficients": coefficients, "scope": scope}


RECIPES: dict[str, tuple[Build, Callable[[Any], list[Any]]]] = {
    "wan-switch-firstblock": (
        wan,
        lambda render: [srdiffusion(render), FirstBlock(FirstBlock.Options(threshold=0.1))],
    ),
    "wan-consensus-forecast-steps": (
        wan,
        lambda _: [
            {"use": "steps", "positions": [0, 1, 2, 3, 4, 6, 7, 9]},
            ShardChange(ShardChange.Options(scope="consensus", threshold=0.12)),
            {"use": "forecast", "kind": "taylor", "order": 1, "noise": 0.05},
        ],
    ),
    "wan-feedback": (
        wan,
        lambda _: [{"use": "feedback", "level": "blocks", "tolerance": 5.0, "warm_up": 1}],
    ),
    "wan-local": (wan, lambda _: [LocalChange(LocalChange.Options())]),
    "cogvideox-switch-teacache": (
        cogvideox,
        lambda render: [
            srdiffusion(render, 10.0, max_step=5),
            teacache("each", "transformer", "render"),
        ],
    ),
    "cogvideox-shard-change": (
        cogvideox,
        lambda _: [ShardChange(ShardChange.Options(threshold=0.1))],
    ),
}


def facts(report: Report) -> dict[str, Any]:
    """What was decided in a run."""
    return {
        "outcome": report.outcome,
        "skipped": [[call.reused for call in step.calls] for step in report.steps],
        "denoisers": [step.denoiser for step in report.steps],
        "sigmas": [step.sigma for step in report.steps],
        "switch": report.switch_step,
        "ranks": None if report.ranks is None else report.ranks.model_dump(),
        "warnings": report.warnings,
        "notes": {one.name: one.notes for one in report.accelerators},
        "said": str(report).partition("Ranks")[2].split(),
    }


def made(build: Build, recipe: Callable[[Any], list[Any]], kind: str, share: Any) -> Any:
    """A run's facts and latents; with `share`, of a sequence that the ranks share."""
    pipe, render, arguments = build()
    pipe.to(kind)
    for model in (pipe.transformer, render.to(kind)):
        if share is not None:
            share(model)
    with sraccel.compose(pipe, recipe(render)) as stack:
        latents = pipe(**{name: on(value, kind) for name, value in arguments.items()}).frames
    return facts(stack.report), latents


def on(value: Any, kind: str) -> Any:
    """A tensor on that kind of device; anything else as it is."""
    return value.to(kind) if isinstance(value, torch.Tensor) else value


def shared(name: str, kind: str, config: Any) -> dict[str, Any]:
    """A recipe's run by one process, and by all."""

    def share(model: Any) -> None:
        if kind == "cpu" or model._cp_plan is None:
            share_sequence(model, config)
        else:
            size = dist.get_world_size()
            model.enable_parallelism(config=ContextParallelConfig(ulysses_degree=size))

    build, recipe = RECIPES[name]
    alone, expected = of_the_first(lambda: made(build, recipe, kind, None))
    together, latents = made(build, recipe, kind, share)
    return {"alone": alone, "together": together, "difference": difference(latents, expected)}


def of_the_first(act: Callable[[], Any]) -> Any:
    """What an act of the first rank returns, on all of them."""
    found = [act() if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(found)
    return found[0]


def difference(latents: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest one, relative to the largest value."""
    return float((latents.cpu() - expected.cpu()).abs().max() / expected.abs().max())


def guided(recipe: Callable[[Any], list[Any]], ranks: Ranks | None, late: int = 0) -> Any:
    """A loop of its own: with ranks, each of two evaluates one guidance branch.

    Args:
        late: how many steps further in its schedule it begins.
    """
    transformer = tiny_transformer(num_attention_heads=2)
    conditions = call_arguments()
    prompts = [conditions["prompt_embeds"], conditions["negative_prompt_embeds"]]
    latents = torch.randn(1, 4, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    sigmas = torch.linspace(1, 0, 11)[late:]
    mine = range(2) if ranks is None else [dist.get_rank()]
    stack = sraccel.compose(
        transformer, recipe(tiny_transformer(seed=7, layers=1, num_attention_heads=2)), ranks=ranks
    )
    with stack, stack.run(10) as run:
        for i in range(10 - late):
            timestep = 1000 * sigmas[i : i + 1]
            with run.step(i, timestep=float(timestep), sigma=float(sigmas[i])) as step:
                found = []
                for branch in mine:
                    with step.branch(("cond", "uncond")[branch]):
                        found.append(transformer(latents, timestep, prompts[branch]).sample)
                if ranks is not None:
                    (own,) = found
                    found = [torch.empty_like(own) for _ in range(2)]
                    dist.all_gather(found, own)
                noise_pred = found[1] + 4.0 * (found[0] - found[1])
                step.finish(noise_pred, latents)
            latents = latents + (sigmas[i + 1] - sigmas[i]) * noise_pred
    return facts(stack.report), latents


def guidance(scope: str) -> dict[str, Any]:
    """Two guidance branches by one process, and by two."""

    def recipe(render: Any) -> list[Any]:
        rule = ShardChange(ShardChange.Options(scope=scope, threshold=0.15))  # type: ignore[arg-type]
        return [srdiffusion(render), rule]

    alone, expected = of_the_first(lambda: guided(recipe, None))
    together, latents = guided(recipe, Ranks(range(2)))
    return {"alone": alone, "together": together, "difference": difference(latents, expected)}


def tensor_parallel() -> dict[str, Any]:
    """A model whose configuration says that weights are shared: tokens are whole on every rank."""
    size = dist.get_world_size()
    config = ParallelConfig(tensor_parallel_config=TensorParallelConfig(tp_degree=size))
    mesh = init_device_mesh("cpu", (size,), mesh_dim_names=("tp",))
    config.setup(dist.get_rank(), size, torch.device("cpu"), mesh=mesh)
    pipe, _, arguments = wan()
    pipe.transformer._parallel_config = config
    with sraccel.compose(pipe, [ShardChange(ShardChange.Options())]) as stack:
        pipe(**arguments)
    return facts(stack.report)


def failing(act: Callable[[int], None], who: int = -1, **other: Any) -> dict[str, Any]:
    """Make a video in which one rank does something else, and say how that ended.

    Args:
        act: what it does after a step, given the step's index.
        who: which rank it is; the last one unless said otherwise.
        other: arguments of its call.
    """
    pipe, _, arguments = wan()
    odd = dist.get_rank() == who % dist.get_world_size()
    stepped = time.monotonic()

    def callback(pipe: Any, index: int, timestep: Any, given: dict[str, Any]) -> dict[str, Any]:
        nonlocal stepped
        stepped = time.monotonic()
        if odd:
            act(index)
        return given

    ranks = Ranks(range(dist.get_world_size()), timeout=TIMEOUT)
    started, error = time.monotonic(), ""
    with sraccel.compose(pipe, [teacache("first", "transformer")], ranks=ranks) as stack:
        try:
            pipe(**{**arguments, **(other if odd else {})}, callback_on_step_end=callback)
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
        ended = time.monotonic()
    seconds = {"seconds": ended - started, "waited": ended - stepped}
    return {"error": error, **seconds, "outcome": stack.report.outcome}


def one_step_behind() -> dict[str, Any]:
    """The second rank's loop lags by a step."""
    started, error = time.monotonic(), ""
    try:
        ranks, late = Ranks(range(2), timeout=TIMEOUT), 1 - dist.get_rank()
        guided(lambda _: [ShardChange(ShardChange.Options())], ranks, late)
    except RanksError as raised:
        error = f"{type(raised).__name__}: {raised}"
    return {"error": error, "seconds": time.monotonic() - started}


def nothing(index: int) -> None:
    """It only has other arguments."""


def fails(index: int) -> None:
    """An error of one rank alone."""
    if index == 3:
        raise MemoryError("no more room on this card")


def lingers(index: int) -> None:
    """A rank that does not come back in time."""
    if index == 3:
        time.sleep(3 * TIMEOUT)


def leaves(index: int) -> None:
    """A process that ends, without a word."""
    if index == 3:
        sys.stdout.flush()
        os._exit(0)


OTHERS: dict[str, Callable[[], dict[str, Any]]] = {
    "guidance-first": lambda: guidance("first"),
    "guidance-consensus": lambda: guidance("consensus"),
    "tensor": tensor_parallel,
    "one-step-behind": one_step_behind,
    "other-steps": lambda: failing(nothing, num_inference_steps=9),
    "other-shape": lambda: failing(nothing, height=64),
    "fails": lambda: failing(fails),
    "first-lingers": lambda: failing(lingers, 0),
    "second-lingers": lambda: failing(lingers, 1),
    "last-lingers": lambda: failing(lingers),
    "leaves": lambda: failing(leaves),
}


def main(kind: str, folder: Path, names: list[str]) -> None:
    """Do them one after the other."""
    torch.set_grad_enabled(False)
    if kind == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    config = over_all_ranks(kind)
    found: dict[str, Any] = {}
    for name in names:
        print(dist.get_rank(), name, flush=True)
        found[name] = shared(name, kind, config) if name in RECIPES else OTHERS[name]()
        path = folder / f"rank{dist.get_rank()}.json"
        path.write_text(json.dumps(found), encoding="utf-8")
        if name != "leaves":
            dist.barrier()


if __name__ == "__main__":
    given = argparse.ArgumentParser()
    given.add_argument("--kind", choices=("cpu", "cuda"), default="cpu")
    given.add_argument("folder", type=Path)
    given.add_argument("names", nargs="+", choices=(*RECIPES, *OTHERS))
    asked = given.parse_args()
    main(asked.kind, asked.folder, asked.names)
