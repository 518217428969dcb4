"""A region of a video as tokens of a transformer, and a model that computes these tokens alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from sraccel.plugin import Denoiser


def tokens_of_change(
    one: torch.Tensor, other: torch.Tensor, patch: tuple[int, int, int], share: float
) -> torch.Tensor:
    """Indices of the tokens at which two predictions differ most, ascending.

    Args:
        one, other: predictions of shape (batch, channels, frames, height, width).
        patch: what a token covers: frames, rows, columns.
        share: of the tokens, more than 0 and at most 1.
    """
    from torch.nn.functional import avg_pool3d

    change = (one - other).abs().float().mean(dim=1, keepdim=True)
    by_token = avg_pool3d(change, patch).mean(dim=0).flatten()
    number = max(1, round(share * by_token.numel()))
    return by_token.topk(number).indices.sort().values


def mask_of(tokens: torch.Tensor, like: torch.Tensor, patch: tuple[int, int, int]) -> torch.Tensor:
    """True where these tokens lie, of shape (frames, height, width) as the prediction `like`."""
    import torch

    grid = [size // side for size, side in zip(like.shape[2:], patch, strict=True)]
    mask = torch.zeros(grid, dtype=torch.bool, device=like.device)
    mask.view(-1)[tokens] = True
    for axis, side in enumerate(patch):
        mask = mask.repeat_interleave(side, dim=axis)
    return mask


class Hook:
    """A hook on a module; in a copy of that, or in a file, it does nothing."""

    def __init__(self, act: Callable[..., Any] | None = None) -> None:
        self._act = act

    def __call__(self, *given: Any) -> Any:
        return None if self._act is None else self._act(*given)

    def __reduce__(self) -> Any:
        return Hook, ()


class Narrowed:
    """Blocks of a Wan model that compute a part of the tokens, where `tokens` is set.

    The tokens keep their positions and see one another only; the others pass by unchanged.
    """

    def __init__(self) -> None:
        self.tokens: torch.Tensor | None = None
        self._whole: torch.Tensor | None = None

    @contextmanager
    def within(self, denoiser: Denoiser) -> Iterator[None]:
        """Prepare a denoiser for it."""
        blocks = list(denoiser.adapter.blocks(denoiser.module))
        handles = [block.register_forward_pre_hook(Hook(self._narrow)) for block in blocks]
        handles.append(blocks[0].register_forward_pre_hook(Hook(self._keep), prepend=True))
        handles.append(blocks[-1].register_forward_hook(Hook(self._widen)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _keep(self, block: Any, given: tuple[Any, ...]) -> None:
        self._whole = None if self.tokens is None else given[0]

    def _narrow(self, block: Any, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self.tokens is None:
            return None
        hidden, text, time, rotary = given
        if hidden.shape[1] != len(self.tokens):
            hidden = hidden[:, self.tokens]
        if time.ndim == 4:  # a timestep for each token
            time = time[:, self.tokens]
        return hidden, text, time, tuple(part[:, self.tokens] for part in rotary)

    def _widen(self, block: Any, given: tuple[Any, ...], output: torch.Tensor) -> Any:
        if self.tokens is None or self._whole is None:
            return None
        return self._whole.to(output.dtype).index_copy(1, self.tokens, output)
