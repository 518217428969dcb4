"""Make a report of a run that has ended."""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.noise.space import noise_level
from sraccel.report.model import (
    AcceleratorRecord,
    CallRecord,
    ColumnRecord,
    EvaluationRecord,
    HandoffRecord,
    RanksRecord,
    Report,
    StepRecord,
    Timing,
)

if TYPE_CHECKING:
    import torch

    from sraccel.loop.accelerator import Accelerator
    from sraccel.loop.call import Call
    from sraccel.loop.clock import Mark
    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.run import Run

PACKAGE = Path(__file__).parents[1]
"""The folder of this package."""
PACKAGES = ("sraccel", "torch", "diffusers", "transformers", "sageattention", "pluggy", "pydantic")


def build_report(run: Run) -> Report:
    """What a run did. Speedup, baseline and quality stay null: they take a bare run."""
    stack = run.stack
    steps = _step_records(run)
    report = Report(
        outcome=run.outcome or "running",
        model={role: _described(denoiser) for role, denoiser in stack.denoisers.items()},
        recipe=stack.recipe.model_dump(mode="json", fallback=_class_name),
        num_inference_steps=run.num_inference_steps,
        num_solver_steps=run.num_solver_steps,
        asked_steps=run.asked_steps,
        planned_by=run.planned_by,
        accelerated=_timing(run),
        switch_step=run.switch_step,
        handoff=_handoff(run),
        ranks=_ranks(run),
        accelerators=[_accelerator_record(item, run) for item in stack.accelerators],
        columns=_columns(stack.accelerators),
        steps=steps,
        peak_memory_bytes=run.peak_memory_bytes,
        versions=dict(versions()),
        environment=environment(run.device),
    )
    report.warnings = [*run.warnings, *_unfinished_or_idle(run, report)]
    return report


def _described(denoiser: Denoiser) -> dict[str, object]:
    """Facts about a denoiser; where this package is installed is nobody's business."""
    facts = denoiser.describe()
    path = str(facts.get("name_or_path") or "")
    if path and Path(path).is_relative_to(PACKAGE):
        facts["name_or_path"] = Path(path).relative_to(PACKAGE.parent).as_posix()
    return facts


def _timing(run: Run) -> Timing | None:
    if not run.steps:
        return None
    seconds, cpu = _seconds(run, run.steps[0].started, run.ended), run.cpu_seconds
    if seconds is None:
        return None
    cpu_repeats = [] if cpu is None else [cpu]
    return Timing(seconds=seconds, cpu_seconds=cpu, repeats=[seconds], cpu_repeats=cpu_repeats)


def _seconds(run: Run, start: Mark, end: Mark) -> float | None:
    """From mark to mark; None where Ctrl-C came before one was made."""
    return None if start is None or end is None else run.clock.seconds(start, end)


def _step_records(run: Run) -> list[StepRecord]:
    if not run.steps:
        return []
    ends = [*(step.started for step in run.steps[1:]), run.ended]
    return [
        StepRecord(
            index=step.index,
            solver_step=step.solver_step,
            evaluation=step.evaluation,
            timestep=step.timestep,
            sigma=step.sigma,
            denoiser=step.denoiser or "none",
            measured={column: float(value) for column, value in step.measured.items()},
            seconds=_seconds(run, step.started, end),
            calls=[_call_record(call, run) for call in step.calls],
        )
        for step, end in zip(run.steps, ends, strict=True)
    ]


def _call_record(call: Call, run: Run) -> CallRecord:
    return CallRecord(
        **_facts(call, run),
        answered_by=call.answered_by,
        evaluations=[EvaluationRecord(**_facts(one, run)) for one in call.evaluations],
    )


def _facts(call: Call, run: Run) -> dict[str, Any]:
    """What is said of any evaluation of a denoiser."""
    return {
        "branch": call.branch,
        "requested": call.requested,
        "denoiser": call.denoiser.role,
        "chosen_by": call.chosen_by,
        "reused": call.reused_by is not None,
        "reused_by": call.reused_by,
        "level": call.level if call.reused_by is not None else None,
        "predicted_by": call.predicted_by,
        "skips": call.skips,
        "seconds": None if call.marks is None else run.clock.seconds(*call.marks),
    }


def _calls(run: Run) -> list[Call]:
    """All calls, those that accelerators' answers were made of included."""
    loop = [call for step in run.steps for call in step.calls]
    return [one for call in loop for one in (call, *call.evaluations)]


def _accelerator_record(accelerator: Accelerator, run: Run) -> AcceleratorRecord:
    name = accelerator.name
    return AcceleratorRecord(
        name=name,
        options=accelerator.options.model_dump(mode="json", exclude={"use"}, fallback=_class_name),
        chosen_calls=_chosen_calls(name, run),
        reused_calls=sum(call.reused_by == name for call in _calls(run)),
        predicted_calls=sum(call.predicted_by == name for call in _calls(run)),
        answered_calls=sum(call.answered_by == name for call in _calls(run)),
        skipped_share=_skipped_share(name, run),
        claims_speed=accelerator.claims_speed,
        prepares=name in run.hooks.who("prepare_denoiser"),
        prepare_seconds=run.hooks.prepare_seconds.get(name),
        cache_bytes=run.memory.peak_bytes.get(name),
        notes=run.notes.get(name, {}),
    )


def _chosen_calls(name: str, run: Run) -> int:
    """Calls, and evaluations in the course of others' calls: those of its own are in the call."""
    loop = [call for step in run.steps for call in step.calls]
    further = [one.chosen_by for call in loop for one in call.evaluations if call.chosen_by != name]
    return sum(call.chosen_by == name for call in loop) + further.count(name)


def _skipped_share(name: str, run: Run) -> float | None:
    """The mean over all calls; None where it never said that it skipped any."""
    calls = _calls(run)
    shares = [call.skips.get(name) for call in calls]
    known = [share for share in shares if share is not None]
    return sum(known) / len(calls) if known else None


def _columns(accelerators: Iterable[Accelerator]) -> dict[str, ColumnRecord]:
    return {
        f"{accelerator.name}.{name}": ColumnRecord(**asdict(column))
        for accelerator in accelerators
        for name, column in accelerator.columns.items()
    }


def _handoff(run: Run) -> HandoffRecord | None:
    """How the first call that another denoiser answered was handed over, inside one loop."""
    call = next((call for call in _calls(run) if call.requested != call.denoiser.attribute), None)
    if call is None:
        return None
    if call.exchange is None:
        return HandoffRecord(kind="identity")
    own, other = run.stack.denoisers[call.requested].noise_space, call.denoiser.noise_space
    record = HandoffRecord(kind="change of variables")
    if own is not None and other is not None and call.step.timestep is not None:
        record.noise_level_before = noise_level(own.schedule.levels(call.step.timestep))
        record.noise_level_after = noise_level(other.schedule.levels(call.exchange.timestep))
    return record


def _ranks(run: Run) -> RanksRecord | None:
    agreement = run.agreement
    if agreement is None:
        return None
    return RanksRecord(
        members=list(agreement.ranks.members),
        sequence=list(agreement.ranks.sequence),
        rank=agreement.rank,
        agreed=dict(agreement.agreed),
        overruled=agreement.overruled,
    )


def _unfinished_or_idle(run: Run, report: Report) -> list[str]:
    """That a run is not whole, or that an accelerator did nothing."""
    warnings = [] if run.stack.accelerators else ["the recipe is empty: nothing was accelerated"]
    if run.outcome != "finished":
        taken = f"{len(run.steps)} of {run.num_inference_steps} steps"
        begun = "" if run.outcome == "partial" else " were begun"
        return [*warnings, f"the run is partial: {taken}{begun}"]
    hooks = run.hooks
    records = {record.name: record for record in report.accelerators}
    for name in hooks.who("skip_call", "skip_blocks"):
        if not records[name].reused_calls:
            warnings.append(f"{name} skipped nothing in {len(run.steps)} steps")
    warnings += _idle_others(run, records)
    for name in hooks.who("select_denoiser"):
        if not records[name].chosen_calls and name != run.stopped_by:
            warnings.append(f"{name} never switched models in {len(run.steps)} steps")
    return warnings


def _idle_others(run: Run, records: dict[str, AcceleratorRecord]) -> list[str]:
    """That a predictor, an answerer or a planner did nothing."""
    hooks, found = run.hooks, []
    for name in hooks.who("predict"):
        if not records[name].predicted_calls and run.stack.skipping.rule is None:
            found.append(f"{name} predicts, but no accelerator of the recipe decides when to skip")
    for name in hooks.who("answer_call"):
        if not records[name].answered_calls and name not in hooks.who("predict"):
            found.append(f"{name} answered no call in {len(run.steps)} steps")
    for name in hooks.who("plan_steps"):
        if run.planned_by != name:
            found.append(f"{name} planned no steps")
    return found


def _class_name(value: object) -> str:
    """A module given in Python stands in a report by its class."""
    return f"<{type(value).__name__}>"


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result may depend on; read once."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def environment(device: torch.device) -> dict[str, str]:
    """The device and the number of threads."""
    import torch

    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else _processor()
    return {
        "platform": platform.platform(),
        "device": f"{device.type}: {name}",
        "threads": str(torch.get_num_threads()),
    }


@functools.cache
def _processor() -> str:
    """The model; what Python itself says of it on Linux is only the architecture."""
    return _model_name(Path("/proc/cpuinfo")) or platform.processor() or platform.machine()


def _model_name(cpuinfo: Path) -> str:
    """The first processor's model; empty where the kernel, or a container, does not say."""
    with suppress(OSError), cpuinfo.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return " ".join(value.split())
    return ""
