"""What an attention kernel is here: a function of one attention call, and what it cannot do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch

NON_FINITE = "NaN or infinity from the kernel"
"""Why a call keeps the original attention: its output was not finite, or an earlier one's."""


class AttentionCall(NamedTuple):
    """The arguments of one `torch.nn.functional.scaled_dot_product_attention`, by its names.

    Attributes:
        query: (batch, heads, query tokens, head dim).
        key: (batch, key heads, key tokens, head dim).
        value: (batch, key heads, key tokens, head dim).
        attn_mask: a boolean or additive mask, or None.
        dropout_p: probability of dropping an attention weight.
        is_causal: whether token i sees only the tokens up to i.
        scale: factor of the logits; None means head dim ** -0.5.
        enable_gqa: whether one key head may serve several query heads.
    """

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    attn_mask: torch.Tensor | None = None
    dropout_p: float = 0.0
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False

    @property
    def logit_scale(self) -> float:
        """The factor of the logits, its default resolved."""
        return self.query.shape[-1] ** -0.5 if self.scale is None else self.scale


class Kernel(ABC):
    """An attention kernel. One instance serves all calls of a stack.

    Attributes:
        name: how a recipe and a report name it.
        claims_speed: False for an emulation.
        dtypes: dtypes of query, key and value that it takes.
        failed: whether it gave NaN or infinity in this run where exact attention does not. All
            further calls, of every model, then keep the original attention.
    """

    name: ClassVar[str]
    failed: bool = False
    claims_speed: ClassVar[bool] = True
    dtypes: ClassVar[frozenset[torch.dtype]]

    @abstractmethod
    def attend(self, call: AttentionCall) -> torch.Tensor:
        """The attention's output, shape and dtype as the query."""

    def unsupported(self, call: AttentionCall) -> str | None:
        """Why this call must keep the original attention, or None if the kernel can take it."""
        query, key, value = call.query, call.key, call.value
        if self.failed:
            return NON_FINITE
        if call.attn_mask is not None:
            return "attention mask"
        if call.dropout_p:
            return "dropout"
        if not query.ndim == key.ndim == value.ndim == 4:
            return "tensors that are not (batch, heads, tokens, head dim)"
        if not query.dtype == key.dtype == value.dtype or query.dtype not in self.dtypes:
            return f"dtype {_names(query, key, value)}"
        if not query.device == key.device == value.device:
            return "tensors on several devices"
        if call.is_causal and query.shape[-2] != key.shape[-2]:
            return "causal attention of unequal lengths"
        if torch.is_grad_enabled() and (
            query.requires_grad or key.requires_grad or value.requires_grad
        ):
            return "gradients are wanted (run under torch.no_grad())"
        return self._unsupported_shape(call)

    def _unsupported_shape(self, call: AttentionCall) -> str | None:
        query, key, value = call.query, call.key, call.value
        if key.shape[:-1] != value.shape[:-1] or query.shape[0] != key.shape[0]:
            return "shapes that rely on broadcasting"
        if not query.shape[-1] == key.shape[-1] == value.shape[-1]:
            return "value head dim unlike the key's"
        if 0 in query.shape or 0 in key.shape:
            return "no tokens"
        group, rest = divmod(query.shape[1], key.shape[1])
        if rest or (group > 1 and not call.enable_gqa):
            return "query heads unlike key heads"
        return self.unsupported_head_dim(query.shape[-1])

    @abstractmethod
    def unsupported_head_dim(self, head_dim: int) -> str | None:
        """Why a head dim cannot be taken, or None if it can."""


def _names(*tensors: torch.Tensor) -> str:
    dtypes = dict.fromkeys(str(tensor.dtype).removeprefix("torch.") for tensor in tensors)
    return ", ".join(dtypes)
