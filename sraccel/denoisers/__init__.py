"""Denoiser adapters, one file a model family: a new file here is found without being listed."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable

from sraccel.plugin import DenoiserAdapter, hookimpl


@hookimpl
def sraccel_denoiser_adapters() -> Iterable[DenoiserAdapter]:
    """The adapters of all files in this folder."""
    for found in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        module = importlib.import_module(f"{__name__}.{found.name}")
        yield from module.sraccel_denoiser_adapters()
