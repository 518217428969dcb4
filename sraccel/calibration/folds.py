"""Held-out figures: what is fitted without some prompts is judged on these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

MOST = 8
Item = TypeVar("Item")


def folds(items: Sequence[Item], prompts: Sequence[str]) -> Iterator[tuple[list[Item], list[Item]]]:
    """The kept and the left out, at most eight times; nothing where there is one prompt.

    Args:
        prompts: of the items; those of one prompt stay together.
    """
    texts = list(dict.fromkeys(prompts))
    if len(texts) < 2:
        return
    own = [texts.index(prompt) % min(MOST, len(texts)) for prompt in prompts]
    for fold in sorted(set(own)):
        kept = [item for item, of in zip(items, own, strict=True) if of != fold]
        yield kept, [item for item, of in zip(items, own, strict=True) if of == fold]
