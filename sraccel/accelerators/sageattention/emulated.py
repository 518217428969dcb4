"""SageAttention's arithmetic in plain torch: what it costs in quality, on any device.

Follows arXiv 2410.02367 as the package sageattention 1.0.6 implements it: K smoothed by subtracting
its mean over the tokens; Q per block of 128 tokens and K per block of 64 quantised to INT8, the
logits' scale and log2(e) folded into Q before; softmax to base 2 in float32; P and V rounded to
float16 for their product.

Where it differs from the package's kernels on a GPU:

- The product P V accumulates in float32; the kernels accumulate 64 tokens in float16, then those
  sums in float32.
- P is taken relative to the row's final maximum, not to the running one; that matters only for
  weights in float16's subnormal range.
- Keys beyond the last token do not exist. The package lets the padding of K's last block take part
  with logit 0, which shrinks the output where the tokens are not a multiple of 64; pass
  `padding_counts=True` to reproduce that.
- A block of zeros quantises to zeros instead of dividing zero by zero.
- V beyond +-1000 is scaled down per head before float16 and the output scaled up again: sums of 64
  products then fit into float16. In the package they overflow to infinity: black frames.

Integers up to 127 * 127 * head dim are exact in float32 for head dims up to 1040, so INT8 values
are held in float32 and multiplied there.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch.nn.functional import pad

from sraccel.accelerators.sageattention.kernel import AttentionCall, Kernel

BLOCK_Q = 128
BLOCK_K = 64
LOG2_E = 1.44269504
LARGEST_VALUE = 1000.0  # 64 of them add up within float16, whose largest number is 65504
_LOGITS_AT_ONCE = 2**25


class EmulatedKernel(Kernel):
    """The arithmetic of sageattention 1.0.6 without its speed."""

    name: ClassVar[str] = "emulated"
    claims_speed: ClassVar[bool] = False
    dtypes: ClassVar[frozenset[torch.dtype]] = frozenset(
        {torch.float16, torch.bfloat16, torch.float32}
    )

    def __init__(self, smooth_k: bool = True) -> None:
        self.smooth_k = smooth_k

    def attend(self, call: AttentionCall) -> torch.Tensor:
        return int8_attention(
            call.query,
            call.key,
            call.value,
            scale=call.logit_scale,
            is_causal=call.is_causal,
            smooth_k=self.smooth_k,
        )

    def unsupported_head_dim(self, head_dim: int) -> str | None:
        return None if head_dim % 2 == 0 and head_dim <= 1024 else f"head dim {head_dim}"


def int8_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    scale: float | None = None,
    is_causal: bool = False,
    smooth_k: bool = True,
    padding_counts: bool = False,
) -> torch.Tensor:
    """Attention with INT8 Q and K and float16 P and V; shape and dtype as `query`.

    Args:
        query: (batch, heads, query tokens, head dim).
        key, value: (batch, key heads, key tokens, head dim); heads a multiple of key heads.
        scale: factor of the logits; None means head dim ** -0.5.
        is_causal: token i sees the tokens up to i; equal numbers of tokens are needed.
        smooth_k: subtract K's mean over the tokens, which the softmax does not notice.
        padding_counts: reproduce the package's handling of K's ragged last block.
    """
    factor = (query.shape[-1] ** -0.5 if scale is None else scale) * LOG2_E
    q = _dequantised(query, BLOCK_Q, factor)
    k = _dequantised(smoothed(key) if smooth_k else key, BLOCK_K)
    v, v_scale = half_precision(value)
    v = v.float()
    if query.shape[1] != key.shape[1]:
        group = query.shape[1] // key.shape[1]
        k, v, v_scale = (x.repeat_interleave(group, dim=1) for x in (k, v, v_scale))
    padding = -key.shape[-2] % BLOCK_K if padding_counts and not is_causal else 0
    rows = max(1, _LOGITS_AT_ONCE // (q.shape[0] * q.shape[1] * k.shape[-2]))
    k_transposed = k.transpose(-1, -2)
    out = [
        _softmax_times_values(part @ k_transposed, v, padding, start if is_causal else None)
        for start, part in zip(
            range(0, q.shape[-2], rows), torch.split(q, rows, dim=-2), strict=True
        )
    ]
    whole = out[0] if len(out) == 1 else torch.cat(out, dim=-2)
    return whole.mul_(v_scale).to(query.dtype)


def smoothed(key: torch.Tensor) -> torch.Tensor:
    """K less its mean over the tokens, in K's dtype as the package does; a new tensor."""
    return key - key.mean(dim=-2, keepdim=True)


def quantised(
    x: torch.Tensor, block: int, factor: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """INT8 values of `factor * x`, and their scales, per block of `block` tokens.

    Rounds half away from zero, as the package does: add 0.5 with the sign, then truncate.

    Args:
        x: (batch, heads, tokens, head dim), any float dtype.
        block: tokens that share a scale; the last block may be shorter.
        factor: applied in float32 before quantising.

    Returns:
        Integers in [-127, 127] held in float32, shape as `x`; scales (batch, heads, tokens, 1) in
        float32, one value a block, repeated for its tokens.
    """
    x = x.float().contiguous() if factor == 1.0 else x.float().contiguous() * factor
    tokens = x.shape[-2]
    largest = pad(x.abs().amax(-1), (0, -tokens % block))
    largest = largest.view(*x.shape[:2], -1, block).amax(-1)
    scale = (largest / 127.0).repeat_interleave(block, dim=-1)[..., :tokens, None]
    x = x / torch.where(scale == 0, 1.0, scale)
    return torch.add(x, x.sign(), alpha=0.5).to(torch.int8).float(), scale


def half_precision(value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """V in float16 and the float32 factor (batch, heads, 1, 1) that the output is owed.

    The factor is 1, and V merely rounded, unless V exceeds what sums of 64 float16 products bear.
    """
    largest = value.abs().amax(dim=(-2, -1), keepdim=True)
    factor = (largest / LARGEST_VALUE).clamp_(min=1.0)
    return (value / factor).to(torch.float16), factor.float()


def _dequantised(x: torch.Tensor, block: int, factor: float = 1.0) -> torch.Tensor:
    integers, scale = quantised(x, block, factor)
    return integers.mul_(scale)


def _softmax_times_values(
    logits: torch.Tensor, value: torch.Tensor, padding: int, first_row: int | None
) -> torch.Tensor:
    """softmax(logits) @ value to base 2; `logits` is overwritten. `first_row`: where causal."""
    if first_row is not None:
        seen = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device)
        logits.masked_fill_(~seen.tril_(first_row), -torch.inf)
    largest = logits.amax(dim=-1, keepdim=True)
    if padding:
        largest = largest.clamp_(min=0.0)
    weights = logits.sub_(largest).exp2_()
    total = weights.sum(dim=-1, keepdim=True)
    if padding:
        total = total + padding * torch.exp2(-largest)
    return (weights.half().float() @ value).div_(total)
