"""Kernels that diffusers has an attention backend for: SageAttention 2, called by name.

The backend is named in each call. Setting it on the model, as `set_attention_backend` does, would
set a default of the whole process too, and would raise at the first call that the kernel cannot
take instead of leaving that call to the original attention.
"""

from __future__ import annotations

from typing import ClassVar

import torch

from sraccel.accelerators.sageattention.kernel import AttentionCall, Kernel


class BackendKernel(Kernel):
    """diffusers' backend `sage`: the package sageattention >= 2.1.1, built from source."""

    name: ClassVar[str] = "sage"
    dtypes: ClassVar[frozenset[torch.dtype]] = frozenset({torch.float16, torch.bfloat16})
    devices: ClassVar[tuple[str, ...]] = ("cuda",)

    def __init__(self) -> None:
        from diffusers.models.attention_dispatch import AttentionBackendName

        self._backend = AttentionBackendName(self.name)

    def attend(self, call: AttentionCall) -> torch.Tensor:
        from diffusers.models.attention_dispatch import dispatch_attention_fn

        query, key, value = (x.transpose(1, 2) for x in call[:3])
        out: torch.Tensor = dispatch_attention_fn(
            query,
            key,
            value,
            is_causal=call.is_causal,
            scale=call.logit_scale,
            backend=self._backend,
        )
        return out.transpose(1, 2)

    def unsupported(self, call: AttentionCall) -> str | None:
        if call.query.device.type not in self.devices:
            return f"tensors on {call.query.device.type}"
        return super().unsupported(call)

    def unsupported_head_dim(self, head_dim: int) -> str | None:
        return None if head_dim <= 128 else f"head dim {head_dim} (the kernel takes up to 128)"


class HubKernel(BackendKernel):
    """diffusers' backend `sage_hub`: the same kernels, downloaded from the kernels hub."""

    name: ClassVar[str] = "sage_hub"
