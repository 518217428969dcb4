"""The Triton kernels of the registry's sageattention 1.0.6, guarded.

What the package does not look after, and this does:

- It subtracts K's mean in place: it gets a copy that is smoothed already.
- It lets the padding of K's last block of 64 take part with logit 0 and value 0. K's mean being
  zero, that padding weighs at most padding / (tokens + padding). Here the padding gets V's mean as
  its value: exact where attention is flat, and where it is not, the padding hardly weighs. Calls
  with relatively more padding than `LARGEST_PADDING` keep the original attention.
- It accumulates P V in float16: V is scaled down where that would overflow.
- It computes offsets in 32 bits: larger tensors keep the original attention.
- It launches on the current device, not on the tensors'.
"""

from __future__ import annotations

import importlib
from contextlib import nullcontext
from types import ModuleType
from typing import ClassVar

import torch
from torch.nn.functional import pad

from sraccel.accelerators.sageattention.emulated import BLOCK_K, BLOCK_Q, half_precision
from sraccel.accelerators.sageattention.kernel import AttentionCall, Kernel

HEAD_DIMS = (64, 96, 128)
LARGEST_PADDING = 0.01


class PackageKernel(Kernel):
    """sageattention 1.0.6 from the package registry: Triton, INT8 Q and K, float16 P and V.

    Args:
        smooth_k: subtract K's mean over the tokens.
        devices: types of devices that Triton can launch on; the CPU under its interpreter.
    """

    name: ClassVar[str] = "triton"
    dtypes: ClassVar[frozenset[torch.dtype]] = frozenset(
        {torch.float16, torch.bfloat16, torch.float32}
    )

    def __init__(self, smooth_k: bool = True, devices: tuple[str, ...] = ("cuda",)) -> None:
        self.smooth_k = smooth_k
        self.devices = devices

    def attend(self, call: AttentionCall) -> torch.Tensor:
        launch = _launch_opaque if torch.compiler.is_compiling() else _launch
        padding = _padding(call)
        query = call.query if call.query.stride(-1) == 1 else call.query.contiguous()
        key = padded_key(call.key, padding, self.smooth_k)
        value, factor = half_precision(call.value)
        value = padded_value(value, padding)
        out = launch(query, key, value, call.logit_scale, call.is_causal)
        if factor.shape[1] != query.shape[1]:
            factor = factor.repeat_interleave(query.shape[1] // factor.shape[1], dim=1)
        return out.mul_(factor.to(out.dtype))

    def unsupported(self, call: AttentionCall) -> str | None:
        if call.query.device.type not in self.devices:
            return f"tensors on {call.query.device.type}"
        return super().unsupported(call) or self._unsupported_size(call)

    def _unsupported_size(self, call: AttentionCall) -> str | None:
        tokens, padding = call.key.shape[-2], _padding(call)
        if call.is_causal and -tokens % BLOCK_Q >= BLOCK_K:
            return f"causal attention of {tokens} tokens (the kernel would read past the scales)"
        if padding and not self.smooth_k:
            return f"{tokens} key tokens (not a multiple of 64, without smooth_k)"
        if padding > LARGEST_PADDING * tokens:
            return f"{tokens} key tokens (few, and not a multiple of 64)"
        if any(_extent(x) >= 2**31 for x in (call.query, call.key, call.value)):
            return "tensors beyond 2^31 elements"
        return None

    def unsupported_head_dim(self, head_dim: int) -> str | None:
        if head_dim in HEAD_DIMS:
            return None
        return f"head dim {head_dim} (the kernel has {', '.join(map(str, HEAD_DIMS))})"


def _launch(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, is_causal: bool
) -> torch.Tensor:
    """The package's quantisation and attention; `key` is smoothed, `value` float16."""
    narrow = query.shape[-1] == 96
    quantisation = _module("quant_per_block" + ("_hd96" if narrow else ""))
    quantise = getattr(quantisation, "per_block_int8" + ("_hd96" if narrow else ""))
    suffix = ("_h96" if narrow else "") + ("_causal" if is_causal else "")
    attention = _module("attn_qk_int8_per_block" + suffix)
    with torch.cuda.device(query.device) if query.is_cuda else nullcontext():
        q_int8, q_scale, k_int8, k_scale = quantise(query, key, sm_scale=scale)
        out: torch.Tensor = attention.forward(
            q_int8, k_int8, value, q_scale, k_scale, output_dtype=query.dtype
        )
    return out


@torch.library.custom_op("sraccel::sageattention_1", mutates_args=())
def _launch_opaque(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, is_causal: bool
) -> torch.Tensor:
    """`_launch` as one operation that `torch.compile` does not look into."""
    return _launch(query, key, value, scale, is_causal)


@_launch_opaque.register_fake
def _shape_of_launch(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, is_causal: bool
) -> torch.Tensor:
    return query.new_empty(query.shape)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"sageattention.{name}")


def _padding(call: AttentionCall) -> int:
    """Key tokens that are missing to a multiple of 64; the causal kernels mask them themselves."""
    return 0 if call.is_causal else -call.key.shape[-2] % BLOCK_K


def padded_key(key: torch.Tensor, padding: int, smooth_k: bool) -> torch.Tensor:
    """K smoothed and padded with `padding` tokens of zeros; never the caller's own storage.

    Shape: (batch, heads, tokens + padding, head dim), contiguous.
    """
    tokens = key.shape[-2]
    padded = key.new_zeros((*key.shape[:-2], tokens + padding, key.shape[-1]))
    if smooth_k:
        torch.sub(key, key.mean(dim=-2, keepdim=True), out=padded[..., :tokens, :])
    else:
        padded[..., :tokens, :] = key
    return padded


def padded_value(value: torch.Tensor, padding: int) -> torch.Tensor:
    """V followed by `padding` tokens that hold V's mean over the tokens."""
    if not padding:
        return value.contiguous()
    padded = pad(value, (0, 0, 0, padding))
    padded[..., -padding:, :] = value.float().mean(dim=-2, keepdim=True)
    return padded


def _extent(x: torch.Tensor) -> int:
    """The largest offset of an element, in elements."""
    return sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True))
