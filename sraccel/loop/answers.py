"""What hooks answer, checked: a wrong type or shape would spoil a video without an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from sraccel.errors import PluginError
from sraccel.loop.history import Like

if TYPE_CHECKING:
    import torch


def checked_decision(answer: Any, accelerator: str, hook: str, step: int) -> bool:
    """The answer of a rule.

    Raises:
        PluginError: it is no yes or no.
    """
    if not isinstance(answer, bool):
        refuse(accelerator, hook, step, f"{_what(answer)}: it must be True, False or None")
    return answer


def checked_role(answer: Any, accelerator: str, step: int) -> str:
    """The answer of `select_denoiser`.

    Raises:
        PluginError: it is no text.
    """
    if not isinstance(answer, str):
        refuse(accelerator, "select_denoiser", step, f"{_what(answer)}: it must be a role, or None")
    return answer


def checked_tensor(answer: Any, like: Like, accelerator: str, hook: str, step: int) -> torch.Tensor:
    """A tensor that stands in for another one.

    Raises:
        PluginError: it is none, or has another shape, dtype or device. One that broadcasts, or
            would be cast, is refused too.
    """
    import torch

    if not isinstance(answer, torch.Tensor):
        refuse(accelerator, hook, step, f"{_what(answer)}: it must be a tensor, or None")
    for what, given, wanted in zip(
        Like._fields, (tuple(answer.shape), answer.dtype, answer.device), like, strict=True
    ):
        if given != wanted:
            refuse(
                accelerator, hook, step, f"a tensor of {what} {given}: it must have {what} {wanted}"
            )
    return answer


def refuse(accelerator: str, hook: str, step: int | None, what: str) -> NoReturn:
    """Raise a PluginError about an answer."""
    where = "" if step is None else f" at step {step}"
    raise PluginError(
        f"accelerator {accelerator!r} answered the hook {hook}{where} with {what}",
        accelerator=accelerator,
        hook=hook,
        step=step,
    )


def _what(answer: Any) -> str:
    text = repr(answer)
    return f"{type(answer).__name__} {text if len(text) < 60 else text[:57] + '...'}"
