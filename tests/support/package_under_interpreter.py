"""Run the kernels of sageattention 1.0.6 on the CPU, under Triton's interpreter.

A script, since `TRITON_INTERPRET` must be set before Triton is imported anywhere in the process.
Usage: python package_under_interpreter.py RESULTS.pt
"""

from __future__ import annotations

import os
import sys
from typing import Any

os.environ["TRITON_INTERPRET"] = "1"

import torch

from sraccel.accelerators.sageattention import package_kernel
from sraccel.accelerators.sageattention.diversion import Diversion
from sraccel.accelerators.sageattention.kernel import AttentionCall
from sraccel.accelerators.sageattention.tally import Tally

# name: query tokens, key tokens, query heads, key heads, head dim, dtype, is_causal
CASES: dict[str, tuple[int, int, int, int, int, torch.dtype, bool]] = {
    "whole blocks": (256, 192, 2, 2, 64, torch.float32, False),
    "ragged query": (130, 128, 2, 2, 64, torch.float32, False),
    "ragged key": (108, 108, 2, 2, 64, torch.float32, False),
    "grouped heads": (200, 128, 4, 2, 64, torch.float32, False),
    "head dim 96": (130, 192, 2, 2, 96, torch.float32, False),
    "head dim 128": (130, 192, 2, 2, 128, torch.float32, False),
    "float16": (128, 128, 2, 2, 64, torch.float16, False),
    "bfloat16": (128, 128, 2, 2, 64, torch.bfloat16, False),
    "causal": (200, 200, 2, 2, 64, torch.float32, True),
    "causal, head dim 96": (128, 128, 2, 2, 96, torch.float32, True),
}


def compute(case: tuple[int, int, int, int, int, torch.dtype, bool]) -> dict[str, Any]:
    """Inputs, the package's quantisation and output, and the guarded kernel's output."""
    query_tokens, key_tokens, heads, key_heads, head_dim, dtype, is_causal = case
    torch.manual_seed(0)
    query = torch.randn(1, heads, query_tokens, head_dim).to(dtype)
    key = torch.randn(1, key_heads, key_tokens, head_dim)
    key = (key + 2 * torch.randn(1, key_heads, 1, head_dim)).to(dtype)
    value = (1 + torch.randn(1, key_heads, key_tokens, head_dim)).to(dtype)
    smooth = key - key.mean(dim=2, keepdim=True)
    narrow = "_hd96" if head_dim == 96 else ""
    quantise = getattr(
        package_kernel._module(f"quant_per_block{narrow}"), f"per_block_int8{narrow}"
    )
    q_int8, q_scale, k_int8, k_scale = quantise(query, smooth)
    raw = package_kernel._launch(query, smooth, value.half(), head_dim**-0.5, is_causal)
    before = key.clone()
    call = AttentionCall(query, key, value, is_causal=is_causal, enable_gqa=True)
    guarded = package_kernel.PackageKernel(devices=("cpu",)).attend(call)
    return {
        "query": query,
        "key": key,
        "value": value,
        "is_causal": is_causal,
        "q_int8": q_int8,
        "q_scale": q_scale,
        "k_int8": k_int8,
        "k_scale": k_scale,
        "raw": raw,
        "guarded": guarded,
        "key_untouched": torch.equal(before, key),
    }


def compute_overflowing() -> dict[str, Any]:
    """V as large as float16 sums of 64 cannot bear."""
    torch.manual_seed(0)
    query, key = 0.01 * torch.randn(2, 1, 1, 128, 64)
    value = 2000 + torch.randn(1, 1, 128, 64)
    kernel = package_kernel.PackageKernel(devices=("cpu",))
    return {
        "query": query,
        "key": key,
        "value": value,
        "raw": package_kernel._launch(query, key, value.half(), 0.125, False),
        "guarded": kernel.attend(AttentionCall(query, key, value)),
    }


def compute_spiked() -> dict[str, Any]:
    """One key far from all others: in float16, K less its mean is infinite."""
    torch.manual_seed(0)
    query, value = (1e-5 * torch.randn(1, 2, 128, 64)).half(), torch.randn(1, 2, 128, 64).half()
    key = torch.full_like(query, 5e4)
    key[:, :, :1] *= -1
    call = AttentionCall(query, key, value)
    kernel, tally = package_kernel.PackageKernel(devices=("cpu",)), Tally()
    exact = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    return {
        "direct": kernel.attend(call),
        "diverted": Diversion(kernel, tally).attend(call, lambda: exact),
        "exact": exact,
        "failed": kernel.failed,
        "afterwards": kernel.unsupported(call),
    }


def compiled_equals_eager() -> bool:
    """Whether the guarded kernel gives the same as one opaque operation of a compiled function."""
    kernel = package_kernel.PackageKernel(devices=("cpu",))
    x = torch.randn(1, 2, 64, 64)

    def attend(x: torch.Tensor) -> torch.Tensor:
        return kernel.attend(AttentionCall(x, x, x))

    compiled = torch.compile(attend, backend="aot_eager", fullgraph=True)
    return torch.equal(compiled(x), attend(x))


if __name__ == "__main__":
    torch.set_num_threads(1)
    results: dict[str, Any] = {name: compute(case) for name, case in CASES.items()}
    results["overflowing"] = compute_overflowing()
    results["spiked"] = compute_spiked()
    results["compiled equals eager"] = compiled_equals_eager()
    torch.save(results, sys.argv[1])
