"""From composing to leaving: what is touched, what is restored, and what the next run sees."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import torch

from sraccel.loop.denoiser import denoisers_in
from sraccel.loop.stack import Stack
from sraccel.testing.case import Case
from sraccel.testing.fault import Fault
from sraccel.testing.invariants import decisions
from sraccel.testing.snapshot import Snapshot, signatures, some
from sraccel.testing.target import STEPS
from sraccel.testing.trace import Disturbance, Trace, bare, run
from sraccel.testing.work import Work

SEAMS = ("_compiled_call_impl", "cache_context", "progress_bar", "set_timesteps", "step")
"""Attributes on which sraccel itself puts layers while a stack is attached."""


class BrokenOffError(Exception):
    """Raised on purpose, in a callback."""


def raises(pipe: Any, index: int) -> None:
    """Break a run off by an exception."""
    if index == 2:
        raise BrokenOffError("on purpose")


class PressesCtrlC:
    """Breaks a run off by Ctrl-C, in the middle of a call of the model."""

    def __init__(self) -> None:
        self._handles: list[Any] = []

    def __call__(self, pipe: Any, index: int) -> None:
        if index == 1:
            leaves = [
                module
                for model in denoisers_in(pipe).values()
                for module in model.modules()
                if not any(module.children())
            ]
            self._handles = [module.register_forward_pre_hook(self._press) for module in leaves]
        elif index >= 3:  # all calls in between were skipped
            self._press()

    def _press(self, *_: Any) -> None:
        for handle in self._handles:
            handle.remove()
        raise KeyboardInterrupt


BREAKS: dict[str, Callable[[], Disturbance]] = {
    "an exception": lambda: raises,
    "Ctrl-C": PressesCtrlC,
}


def made(case: Case) -> Any:
    """A pipeline that has run: diffusers puts things on it and its models in a first run."""
    assert case.target.pipeline is not None
    pipe = case.target.pipeline()
    run(case.target, pipe, steps=1)
    return pipe


def check(case: Case) -> Iterator[Fault]:
    """A pipeline's whole life with the accelerator; stops where nothing further can be said."""
    pipe = made(case)
    work = None if "compilation" in case.subject.claims else Work(pipe)
    before = Snapshot.of(pipe, case.leaves)
    try:
        stack = case.stack(pipe)
        yield from composing(case, pipe, stack, before)
        if work is not None:
            work.stack = stack
        yield from attached(case, pipe, stack, before, work)
        yield from restored(case, pipe, before, "normally")
        if case.target.thorough:
            yield from left_by_breaking_off(case, pipe, stack, before)
    finally:
        before.restore_process()


def brought(stack: Stack) -> Iterator[Fault]:
    """The models that an accelerator brings have weights, and these are numbers."""
    for role, contribution in stack.contributions.items():
        for name, tensor in contribution.module.named_parameters():
            lack = "is on the meta device: it was never loaded" if tensor.is_meta else ""
            if not lack and tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                lack = "holds NaN or infinity"
            if lack:
                yield Fault(
                    "models",
                    "models whose weights are all there",
                    f"of the model {role!r}, the weight {name!r} {lack}",
                    "load by `ModelSource(...).load()`, which refuses files that lack tensors",
                )
                return


def composing(case: Case, pipe: Any, stack: Stack, before: Snapshot) -> Iterator[Fault]:
    """Composing alone leaves the pipeline bare."""
    changes = some(before.changes(Snapshot.of(pipe)))
    early = stack.attached
    if early:
        changes = "the stack is attached already"
        stack.detach()
    trace = run(case.target, pipe)
    if not changes and trace.first_difference(bare(case.target)) is not None:
        changes = "a bare run of the pipeline gives other latents"
    if changes:
        yield Fault(
            "composing",
            "the pipeline as it was, until the stack is attached",
            f"after `compose`: {changes}",
            "change models in the context that `prepare_denoiser` or `prepare_pipeline` returns, "
            "and attach no stack from within a hook",
        )


def attached(
    case: Case, pipe: Any, stack: Stack, before: Snapshot, work: Work | None
) -> Iterator[Fault]:
    """What holds while the stack is attached."""
    inspected = signatures(pipe)
    failed: list[str] = []
    previous, threading.excepthook = (
        threading.excepthook,
        lambda args: failed.append(f"{args.exc_type.__name__}: {args.exc_value}"),
    )
    try:
        with stack:
            changed = _changed_models(stack, before, pipe)
            first = run(case.target, pipe, stack)
            yield from look(inspected, signatures(pipe))
            yield from decisions.check(case, first, work, changed)
            yield from decisions.changed_result(case, first)
            yield from next_runs(case, pipe, stack, first)
    finally:
        threading.excepthook = previous
    for error in failed[:1]:
        yield Fault(
            "release",
            "no thread that works on the pipeline beside the run",
            f"a thread that it started failed: {error}",
            "let hooks do their work where they are asked; a stack has one thread",
        )


def _changed_models(stack: Stack, before: Snapshot, pipe: Any) -> bool:
    """Whether the models are other ones while attached, the core's own layers aside."""
    changes = before.changes(Snapshot.of(pipe))
    return any(not any(repr(name) in change for name in SEAMS) for change in changes)


def look(before: dict[str, str], now: dict[str, str]) -> Iterator[Fault]:
    """Signatures that pipelines and other libraries read are as they were."""
    for name, was in before.items():
        if now[name] != was:
            yield Fault(
                "signatures",
                f"{name}{was}",
                f"{name}{now[name]} while attached: pipelines read which arguments it takes",
                "wrap by `functools.wraps(inner)`",
            )
            return


def next_runs(case: Case, pipe: Any, stack: Stack, first: Trace) -> Iterator[Fault]:
    """The same call gives the same result, whatever ran before under the same stack."""
    target = case.target
    if not _same(first, run(target, pipe, stack)):
        yield carried_over("the same call a second time gives other latents")
        return
    if not target.thorough:
        return
    run(target, pipe, stack, seed=5, steps=STEPS - 2)
    if not _same(first, run(target, pipe, stack)):
        yield carried_over("after a run with another seed, the same call gives other latents")
        return
    for name, breaks in BREAKS.items():
        with suppress(BrokenOffError, KeyboardInterrupt):
            run(target, pipe, stack, seed=5, disturb=breaks())
        if not _same(first, run(target, pipe, stack)):
            yield carried_over(f"after a run that {name} broke off, it gives other latents")
            return


def carried_over(seen: str) -> Fault:
    """The fault of a run that sees something of the one before."""
    return Fault(
        "runs",
        "the same latents for the same call, run after run",
        seen,
        "keep state in `call.memory(self, ...)`, which belongs to a run, or set it anew in "
        "`run_started`, not in `run_finished`",
    )


def _same(one: Trace, other: Trace) -> bool:
    return one.first_difference(other) is None


def restored(case: Case, pipe: Any, before: Snapshot, how: str) -> Iterator[Fault]:
    """The pipeline is what it was, and runs as bare as before."""
    now = Snapshot.of(pipe)
    changes = some(before.changes(now))
    if not changes and run(case.target, pipe).first_difference(bare(case.target)) is not None:
        changes = "a bare run gives other latents than before"
    if changes:
        yield Fault(
            "restoration",
            "the pipeline as it was, bit for bit",
            f"after leaving {how}: {changes}",
            "change models in the context of `prepare_denoiser` or `prepare_pipeline` alone, and "
            "change them back in its `finally`",
        )
    left = [one.name for one in now.threads - before.threads if one.is_alive()]
    if left:
        yield Fault(
            "release",
            "no thread that outlives the stack",
            f"after leaving {how}, threads are alive: {', '.join(left)}",
            "end and join in `run_finished`, or where the context of `prepare_denoiser` is left",
        )


def left_by_breaking_off(case: Case, pipe: Any, stack: Stack, before: Snapshot) -> Iterator[Fault]:
    """Leaving the `with` block by an error restores as leaving it normally does."""
    if some(before.changes(Snapshot.of(pipe))):
        return  # leaving normally did not restore it, either
    for name, breaks in BREAKS.items():
        with suppress(BrokenOffError, KeyboardInterrupt), stack:
            run(case.target, pipe, stack, disturb=breaks())
        found = list(restored(case, pipe, before, f"by {name}"))
        yield from found
        if found:
            return


def idle(case: Case) -> Iterator[Fault]:
    """Under the options that the author calls idle, a run is the bare one; under autocast, too."""
    if case.idle is None:
        return
    for precision in (None, torch.bfloat16):
        enabled = precision is not None
        with torch.autocast("cpu", precision or torch.bfloat16, enabled=enabled):
            name = "bare under autocast" if enabled else "bare"
            expected = (
                case.target.once(name, lambda: run(case.target, made(case)))
                if enabled
                else bare(case.target)
            )
            pipe = made(case)
            with case.stack(pipe, idle=True) as stack:
                differs = run(case.target, pipe, stack).first_difference(expected)
        if differs is not None:
            under = " under torch.autocast(bfloat16)" if enabled else ""
            yield Fault(
                "identity",
                f"with {dict(case.idle)} the bare result, bit for bit{under}",
                f"the latents differ from step {differs} on{under}",
                "let hooks answer None where there is nothing to do, and `call.evaluate()` where "
                "the model is to answer; leave the surrounding precision as it is",
            )
            return
