"""Whether a pipeline is what it was, whatever went wrong in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from tiny_models import call_arguments


def state(*models: Any) -> list[dict[str, int]]:
    """What is in the dictionaries of models and all their parts: all that could be left behind."""
    modules = [module for model in models for module in model.modules()]
    return [{name: id(value) for name, value in vars(module).items()} for module in modules]


@contextmanager
def untouched(pipe: Any, *renders: Any) -> Iterator[None]:
    """Check that what happens inside leaves the pipeline and its next bare run as they were."""
    bare = pipe(**call_arguments()).frames
    for model in (pipe.transformer, *renders):
        with model.cache_context("any"):  # diffusers keeps a registry from then on
            pass
    # A pipeline and its scheduler keep things of their last run, so of these only the names.
    models, others = (pipe.transformer, pipe.vae, *renders), (pipe, pipe.scheduler)
    before, names = state(*models), [set(vars(item)) for item in others]
    yield
    assert state(*models) == before
    assert [set(vars(item)) for item in others] == names
    assert torch.equal(pipe(**call_arguments()).frames, bare)
