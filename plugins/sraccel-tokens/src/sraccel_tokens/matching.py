"""Which tokens of a video are merged (Bolya and Hoffman, arXiv 2303.17604, section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Grid = tuple[int, int, int]
"""Of tokens: frames, rows, columns."""


@dataclass(frozen=True)
class Destinations:
    """Tokens of a video, by their numbers.

    Attributes:
        own: those that stay and that others are merged into; one of each window.
        others: all others, ascending.
    """

    own: torch.Tensor
    others: torch.Tensor


def destinations(grid: Grid, window: Grid, seed: int) -> Destinations:
    """One token of each window, drawn at random; what is left over at an edge has none.

    Args:
        grid: of the video.
        window: its frames, rows and columns, in tokens.
        seed: the same seed draws the same tokens.
    """
    import torch

    windows = [size // side for size, side in zip(grid, window, strict=True)]
    drawn = torch.randint(
        prod(window), windows, generator=torch.Generator().manual_seed(seed)
    ).flatten()
    chosen = torch.zeros(grid, dtype=torch.bool)
    corners = torch.cartesian_prod(*map(torch.arange, windows)).view(-1, 3)
    inside = torch.stack(torch.unravel_index(drawn, window), dim=-1)
    chosen[tuple((corners * torch.tensor(window) + inside).T)] = True
    own = chosen.flatten()
    return Destinations(own.nonzero()[:, 0], own.logical_not().nonzero()[:, 0])


@dataclass(frozen=True)
class Merge:
    """What becomes of the tokens of a batch of videos.

    Attributes:
        place: where each token is among the fewer ones, of shape (batch, tokens).
        kept: which token each of the fewer ones was, of shape (batch, fewer tokens).
    """

    place: torch.Tensor
    kept: torch.Tensor

    def merged(self, tokens: torch.Tensor) -> torch.Tensor:
        """The mean of the tokens that are merged: (batch, tokens, width) to fewer tokens."""
        batch, _, width = tokens.shape
        place = self.place[..., None].expand_as(tokens)
        fewer = tokens.new_zeros(batch, self.kept.shape[1], width)
        return fewer.scatter_reduce(1, place, tokens, "mean", include_self=False)

    def unmerged(self, fewer: torch.Tensor) -> torch.Tensor:
        """Each token as the one that it was merged into."""
        place = self.place[..., None].expand(-1, -1, fewer.shape[-1])
        return fewer.gather(1, place)

    def positions(self, embedding: torch.Tensor) -> torch.Tensor:
        """Of a rotary embedding (1 or batch, tokens, ...), what belongs to the kept tokens."""
        expanded = embedding.expand(len(self.kept), *embedding.shape[1:])
        index = self.kept.view(*self.kept.shape, *[1] * (embedding.ndim - 2))
        return expanded.gather(1, index.expand(-1, -1, *embedding.shape[2:]))


def matching(tokens: torch.Tensor, among: Destinations, number: int) -> Merge:
    """Merge the tokens that are most alike one of the destinations into it.

    Args:
        tokens: of shape (batch, tokens, width).
        among: the destinations.
        number: of tokens to merge, at most those that are no destination.
    """
    import torch
    from torch.nn.functional import normalize

    own, others = among.own.to(tokens.device), among.others.to(tokens.device)
    unit = normalize(tokens, dim=-1)
    likeness, place_of_others = (unit[:, others] @ unit[:, own].mT).max(dim=-1)
    stay = likeness.argsort(dim=-1, descending=True)[:, number:]
    batch, numbers = len(tokens), torch.arange(len(own) + stay.shape[1], device=tokens.device)
    place = torch.empty(tokens.shape[:2], dtype=torch.long, device=tokens.device)
    place[:, own] = numbers[: len(own)]
    place[:, others] = place_of_others.scatter(1, stay, numbers[len(own) :].expand(batch, -1))
    return Merge(place, torch.cat([own.expand(batch, -1), others[stay]], dim=1))
