"""Adapters of the model families that come with sraccel, one file a family.

In: a model of diffusers. Out: where its block stack and its modulated inputs are, and what another
model must share to take over its calls. They import `sraccel.plugin` only, as a plugin's do. Every
class in a file here is taken for an adapter, without being listed.

Others use: nothing.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable

from sraccel.plugin import DenoiserAdapter, hookimpl


@hookimpl
def sraccel_denoiser_adapters() -> Iterable[DenoiserAdapter]:
    """An adapter of each class in the files of this folder."""
    for found in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        module = importlib.import_module(f"{__name__}.{found.name}")
        for kind in vars(module).values():
            if isinstance(kind, type) and kind.__module__ == module.__name__:
                yield kind()
