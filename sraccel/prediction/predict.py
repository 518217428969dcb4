"""Predicting: build, measure, decide, replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.comparison.prediction import kinds_needed, loop_seconds, steps_left_out
from sraccel.comparison.prediction import predict as attribute
from sraccel.errors import LoopError
from sraccel.loop.clock import median
from sraccel.models.step_callback import Progress
from sraccel.prediction.decisions import Decisions, Given, decisions_of
from sraccel.prediction.measuring import (
    WHOLE,
    Measurement,
    averaged,
    builds_of,
    costs_of_rounds,
    kinds_in_words,
    mean,
    measure,
    pooled,
)
from sraccel.prediction.prediction import Count, Factor, Memory, Prediction, Seconds, Speedup
from sraccel.prediction.recorded import recorded
from sraccel.prediction.replay import counts, replayed, skipped_shares
from sraccel.prediction.target import described
from sraccel.prediction.workbench import ROOM, Workbench, workbench
from sraccel.recipe.recipe import Recipe
from sraccel.report.build import environment, versions
from sraccel.report.model import Report
from sraccel.report.words import counted, duration, size

if TYPE_CHECKING:
    from sraccel.comparison.costs import Costs
    from sraccel.loop.stack import Stack
    from sraccel.models.loading import Device, DType

ROUNDS, SAMPLES = 3, 4
SHARES = (0.1, 0.2, 0.3, 0.4)
"""Of the steps, after which a switch is tried, where the run decides."""
ALWAYS_LEFT_OUT = "encoding the prompt, and decoding the latents"
RANDOM = "random weights take as long as trained ones"


def predict(
    recipe: Any,
    model: str,
    *,
    given: Given | None = None,
    decisions: Path | None = None,
    few_blocks: bool | None = None,
    rounds: int = ROUNDS,
    samples: int = SAMPLES,
    dtype: DType = "auto",
    device: Device = "auto",
    progress: Progress | None = None,
    **call: Any,
) -> Prediction:
    """What a recipe would take and gain on this machine; nothing is downloaded.

    Args:
        recipe: anything that `sraccel.compose` takes, but for instances of accelerators.
        model: name of a published configuration (`CONFIGURATIONS`), a folder with configurations
            in diffusers' format, or `demo`.
        given: decisions that go before what the accelerators say.
        decisions: report of a run or a study whose decisions are taken.
        few_blocks: build few blocks of each model, and count the others in proportion; None:
            where memory does not hold the whole models.
        rounds: how often everything is measured.
        samples: steps of each model that compute in a round.
        dtype: of the weights; `auto` is bfloat16 on CUDA and float32 elsewhere.
        device: where to measure; `auto` takes CUDA if there is one.
        progress: called after each step.
        call: the pipeline's arguments: height, width, num_frames, num_inference_steps,
            guidance_scale.

    Raises:
        RecipeError: the recipe is not valid, or `decisions` is no report.
        ModelError: no such model is known, a size does not divide, or it does not fit into memory.
        ConflictError: the accelerators contradict each other, or cannot be predicted.
    """
    checked = Recipe.load(recipe)
    with workbench(checked, model, call, dtype=dtype, device=device, progress=progress) as bench:
        stack = bench.stack()
        few = few_blocks if few_blocks is not None else not holds(bench, stack)
        builds = builds_of(stack, few)
        built = bench.build(stack, next(iter(builds.values())))
        asked = bench.asked_calls(stack, built)
        if decisions is not None:
            given = recorded(decisions, [item.use for item in bench.items], len(asked.steps))
        decided = decisions_of(stack, model, len(asked.steps), given or Given())
        report = replayed(asked, stack, decided)
        first = {id(next(iter(builds.values()))): built}
        measured = measure(
            lambda blocks: first.pop(id(blocks), None) or bench.build(stack, blocks),
            stack,
            kinds_needed(report),
            builds,
            rounds=rounds,
            samples=samples,
        )
        return prediction_of(checked, bench, stack, decided, asked, measured, built.call.arguments)


def holds(bench: Workbench, stack: Stack) -> bool:
    """Whether the device's memory holds whole models."""
    return ROOM * sum(bench.needs(stack, {}).values()) <= bench.free


def prediction_of(
    recipe: Recipe,
    bench: Workbench,
    stack: Stack,
    decided: Decisions,
    asked: Report,
    measured: Sequence[Measurement],
    arguments: Mapping[str, Any],
) -> Prediction:
    """What measurements and decisions say together.

    Raises:
        LoopError: the cost of a call was not measured.
    """
    report = replayed(asked, stack, decided)
    rounds = costs_of_rounds(measured, stack)
    measured_costs, costs = pooled(rounds), averaged(rounds)
    report.costs = costs.records()
    attribute(report)
    if report.speedup.predicted is None:
        raise LoopError("the cost of a call was not measured")
    each = [costs, *(averaged([one]) for one in rounds)]
    bare, accelerated = (
        [loop_seconds(report, present, one) for one in each]
        for present in ([], report.accelerators)
    )
    memory = memory_of(bench, stack, measured)
    return Prediction(
        recipe=recipe.model_dump(mode="json", fallback=str),
        accelerators=[one.name for one in stack.accelerators],
        model=bench.model,
        sources=dict(bench.sources),
        call=described(arguments),
        dtype=str(bench.dtype).removeprefix("torch."),
        steps=len(report.steps),
        switch_step=report.switch_step,
        skipped=_skipped(report, decided),
        bare=_seconds(bare),
        accelerated=_seconds(accelerated),
        speedup=_speedup(bare, accelerated, _at_other_switches(asked, stack, decided, costs)),
        factors=_factors(report),
        counts=_counts(report, costs, measured_costs),
        once=median(one.first_seconds for one in measured if one.round == 0),
        memory=memory,
        blocks=_build(measured),
        costs=measured_costs.records(),
        measured=_measured(costs, measured_costs, len(rounds)),
        assumed=[*filter(None, decided.assumed), *_assumed(stack, measured)],
        left_out=[*decided.left_out, ALWAYS_LEFT_OUT],
        warnings=_warnings(bench, memory, measured),
        versions=dict(versions()),
        environment=environment(bench.device),
    )


def _skipped(report: Report, decided: Decisions) -> dict[str, float]:
    """The shares of the models that are asked about skipping."""
    shares = skipped_shares(report)
    return {role: shares[role] for role in decided.skips if role in shares}


def _seconds(values: Sequence[float]) -> Seconds:
    """Of the usual costs, which come first; and the range."""
    return Seconds(value=values[0], low=min(values), high=max(values))


def _speedup(
    bare: Sequence[float], accelerated: Sequence[float], others: dict[int, float]
) -> Speedup:
    ratios = [one / other for one, other in zip(bare, accelerated, strict=True)]
    low, high = min(ratios), max(ratios)
    return Speedup(value=ratios[0], low=low, high=high, if_the_switch_came=others)


def _at_other_switches(
    asked: Report, stack: Stack, decided: Decisions, costs: Costs
) -> dict[int, float]:
    """The speedup at other switches, where the run decides."""
    if decided.switch_range is None:
        return {}
    first, last = decided.switch_range
    found = {}
    for switch in dict.fromkeys(round(part * decided.steps) for part in SHARES):
        if first <= switch <= last:
            other = Decisions(**{**vars(decided), "switch": switch})
            report = replayed(asked, stack, other)
            seconds = loop_seconds(report, report.accelerators, costs)
            found[switch] = loop_seconds(report, [], costs) / seconds
    return found


def _factors(report: Report) -> list[Factor]:
    return [
        Factor(
            accelerator=record.name,
            value=(record.factor if record.factor is not None else record.overhead) or 1.0,
            claims_speed=record.claims_speed,
        )
        for record in report.accelerators
    ]


def _counts(report: Report, costs: Costs, measured: Costs) -> list[Count]:
    """Of the bare run and of the accelerated one."""
    bare, calls = counts(report, []), counts(report, report.accelerators)
    times = steps_left_out(report, [])
    return [
        Count(
            what=words,
            denoiser=kind.denoiser,
            skipped=kind.skipped,
            prepared_by=list(kind.prepared_by),
            bare_calls=round(times * bare[kind]),
            calls=calls[kind],
            seconds=mean(costs.samples[kind]),
            samples=len(measured.samples[kind]),
        )
        for kind, words in kinds_in_words({*bare, *calls})
    ]


def _measured(costs: Costs, measured: Costs, rounds: int) -> list[str]:
    found = [
        _cost(words, mean(costs.samples[kind]), measured.samples[kind])
        for kind, words in kinds_in_words({*costs.samples})
    ]
    rests = [value for values in measured.rests.values() for value in values]
    rest = f"the rest of a step (guidance, scheduler): {duration(mean(rests))}"
    return [*found, rest, f"all of it in {counted(rounds, 'round')}"]


def _cost(words: str, usual: float, values: Sequence[float]) -> str:
    spread = f"{duration(min(values))} to {duration(max(values))}"
    return f"a call of {words}: {duration(usual)} ({len(values)} calls, {spread})"


def _build(measured: Sequence[Measurement]) -> str:
    return WHOLE if all(one.build == WHOLE for one in measured) else "few"


def _assumed(stack: Stack, measured: Sequence[Measurement]) -> list[str]:
    found = [RANDOM]
    if _build(measured) != WHOLE:
        found.append("each further block of a kind takes as long as the second and third one")
    moving = [role for role, item in stack.contributions.items() if item.placement is not None]
    if moving:
        found.append(f"moving models ({', '.join(moving)}) between memories takes no time")
    return found


def memory_of(bench: Workbench, stack: Stack, measured: Sequence[Measurement]) -> Memory:
    """What the whole models need, and what is free."""
    weights = bench.needs(stack, {})
    brought = sum(size for role, size in weights.items() if role in stack.contributions)
    own = sum(weights.values()) - brought
    moving = any(item.placement is not None for item in stack.contributions.values())
    peaks = [one.peak_memory_bytes for one in measured if one.peak_memory_bytes is not None]
    peak = max(peaks, default=None)
    needed = max(own, brought) if moving else own + brought
    if bench.device.type == "cuda" and peak is not None:
        built = builds_of(stack, _build(measured) != WHOLE).values()
        needed += max(0, peak - max(sum(bench.needs(stack, one).values()) for one in built))
    return Memory(weights=weights, needed=needed, free=bench.free, peak=peak)


def _warnings(bench: Workbench, memory: Memory, measured: Sequence[Measurement]) -> list[str]:
    if memory.fits:
        return []
    return [
        f"the models do not fit: {size(memory.needed)} are needed at once, "
        f"{size(memory.free)} are free on {bench.device}"
        + ("; few blocks were built and the others counted" if _build(measured) != WHOLE else "")
    ]
