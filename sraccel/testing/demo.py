"""The demo pair as a pipeline, for tests and first steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from sraccel.models.loading import load_demo

if TYPE_CHECKING:
    from diffusers import WanPipeline


def load_demo_pipeline(
    role: Literal["transformer", "render"] = "transformer", **kwargs: Any
) -> WanPipeline:
    """The demo pair's `WanPipeline`, on the CPU unless moved.

    Its call defaults to the demo pair's own size: `pipe(prompt="a red circle moving left")`.

    Args:
        role: which of the pair's transformers is `pipe.transformer`.
        kwargs: passed on to `from_pretrained` (`dtype`, say).

    Raises:
        ValueError: there is no such role; ModelError: the weights are missing.
    """
    if role not in ("transformer", "render"):
        raise ValueError(f"role is 'transformer' or 'render', not {role!r}")
    return load_demo(role, **kwargs)
