"""Copies of an attached pipeline, saved models, and pipelines that are dropped."""

from __future__ import annotations

import copy
import gc
import io
import weakref
from collections.abc import Iterator
from typing import Any

import torch

from sraccel.loop.denoiser import denoisers_in
from sraccel.testing.case import Case, quoted
from sraccel.testing.fault import Fault
from sraccel.testing.invariants.lifecycle import made
from sraccel.testing.trace import bare, run

REMEDY = (
    "put nothing on a module that a copy takes along: a class with `__deepcopy__` and `__reduce__` "
    "that give the plain thing back, or a wrapper that asks whether it is still in force"
)


def check(case: Case) -> Iterator[Fault]:
    """All of it."""
    yield from copied(case)
    yield from freed(case)


def copied(case: Case) -> Iterator[Fault]:
    """A deep copy taken while attached runs bare, and so does a model that is saved and loaded."""
    pipe = made(case)
    for name, make in (("a deep copy", copy.deepcopy), ("a saved model", _saved)):
        try:
            with case.stack(pipe):
                other = make(pipe)
            differs = run(case.target, other).first_difference(bare(case.target)) is not None
            seen = "it does not run bare" if differs else ""
        except Exception as error:  # whatever copying or pickling says
            seen = quoted(error)
        if seen:
            yield _fault(f"of {name}, made while attached: {seen}")
            return


def _saved(pipe: Any) -> Any:
    models = {name: _through_a_file(model) for name, model in denoisers_in(pipe).items()}
    other = type(pipe)(**{**pipe.components, **models}, **_settings(pipe))
    other.set_progress_bar_config(disable=True)
    other.scheduler = copy.deepcopy(pipe.scheduler)
    return other


def _settings(pipe: Any) -> dict[str, Any]:
    """What a pipeline of this class is made with beside its components."""
    return {
        name: value
        for name, value in pipe.config.items()
        if name not in pipe.components and not name.startswith("_")
    }


def _through_a_file(model: Any) -> Any:
    kept = io.BytesIO()
    torch.save(model, kept)
    kept.seek(0)
    return torch.load(kept, weights_only=False)


def _fault(seen: str) -> Fault:
    return Fault("copies", "copies and files that hold the plain model", seen, REMEDY)


def freed(case: Case) -> Iterator[Fault]:
    """A pipeline that is dropped with its stack, attached or not, takes no memory."""
    models = _dropped(case)
    gc.collect()
    kept = [name for name, model in models.items() if model() is not None]
    if kept:
        yield Fault(
            "release",
            "a pipeline that is freed once nobody uses it",
            f"after pipeline and stack are dropped, something holds {', '.join(kept)}",
            "keep models and denoisers in the instance, not in a class, a module or a cache; or by "
            "`weakref`",
        )


def _dropped(case: Case) -> dict[str, weakref.ref[Any]]:
    pipe = made(case)
    stack = case.stack(pipe).attach()
    run(case.target, pipe, stack)
    return {name: weakref.ref(model) for name, model in denoisers_in(pipe).items()}
