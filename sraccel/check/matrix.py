"""Which accelerators go together: each pair of them composed and attached, in both orders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sraccel.check.third_party import asked
from sraccel.composer import compose
from sraccel.errors import SraccelError
from sraccel.recipe.catalogue import installed


@dataclass(frozen=True)
class Pair:
    """Two accelerators in one recipe; one twice stands for it alone.

    Attributes:
        first, second: names, in the order of the recipe.
        refusal: why they are refused together; None: they go together.
    """

    first: str
    second: str
    refusal: str | None = None


def pairs(target: Any, names: Sequence[str]) -> Iterator[Pair]:
    """Each accelerator alone, and each pair in both orders, composed with a target and attached.

    An accelerator that is refused alone says so once: its pairs are left out.

    Args:
        target: a pipeline; it is as it was afterwards.
        names: of accelerators that are installed.
    """
    alone = [Pair(name, name, _refusal(target, [name])) for name in names]
    yield from alone
    usable = [pair.first for pair in alone if pair.refusal is None]
    for first in usable:
        for second in usable:
            if first != second:
                yield Pair(first, second, _refusal(target, [first, second]))


def _refusal(target: Any, names: Sequence[str]) -> str | None:
    try:
        recipe = [{"use": name, **_example(name)} for name in names]
        compose(target, recipe).attach().detach()
    except SraccelError as error:
        return " ".join(str(error).split())
    return None


def _example(name: str) -> dict[str, Any]:
    with asked(name, "example"):
        return dict(installed().accelerator(name).Options.example())
