"""Calling accelerators of other packages, which may raise anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sraccel.errors import SraccelError
from sraccel.loop.accelerator import Accelerator, AcceleratorOptions
from sraccel.recipe.catalogue import raised_in


@contextmanager
def asked(accelerator: str, method: str) -> Iterator[None]:
    """Name the accelerator and its method in what that raises; sraccel's own errors pass.

    Raises:
        PluginError: the method raised.
    """
    try:
        yield
    except SraccelError:
        raise
    except (Exception, SystemExit) as error:  # a third party's
        raise raised_in(accelerator, method, error) from error


def made(item: AcceleratorOptions) -> Accelerator:
    """The accelerator that has these options; errors as `asked`."""
    with asked(item.use, "__init__"):
        return item.accelerator(item)
