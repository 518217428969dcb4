"""Which kernel is usable here, and what the others lack."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import torch

from sraccel.accelerators.sageattention.backend_kernel import BackendKernel, HubKernel
from sraccel.accelerators.sageattention.emulated import EmulatedKernel
from sraccel.accelerators.sageattention.kernel import AttentionCall, Kernel
from sraccel.accelerators.sageattention.package_kernel import PackageKernel
from sraccel.plugin import ModelError

BY_PREFERENCE = ("sage", "triton")  # for `auto`; `sage_hub` downloads code, so it must be named
TRIED_ON = "cuda"
LARGEST_ERROR = 0.15
"""Relative to exact attention, on random numbers; 8-bit kernels have a few hundredths."""


class Choice(NamedTuple):
    """The kernel that a recipe gets.

    Attributes:
        kernel: the kernel, or None where `auto` found none.
        missing: by kernel that was considered and cannot be used: why, and what to do.
    """

    kernel: Kernel | None
    missing: dict[str, str]

    @property
    def lack(self) -> str:
        """All of `missing` in one line; what is the same for several kernels is said once."""
        reasons = dict.fromkeys(self.missing.values())
        named = {why: [name for name, its in self.missing.items() if its == why] for why in reasons}
        return "; ".join(f"{', '.join(names)}: {why}" for why, names in named.items())


def choose(name: str, smooth_k: bool = True) -> Choice:
    """The kernel called `name`, or for `auto` the best usable one, perhaps none.

    Raises:
        ModelError: a kernel was named and cannot be used here.
    """
    missing: dict[str, str] = {}
    for candidate in BY_PREFERENCE if name == "auto" else (name,):
        problem, make = _KERNELS[candidate]
        lack = problem()
        if lack is None:
            return Choice(make(smooth_k), missing)
        missing[candidate] = lack
    if name != "auto":
        raise ModelError(f"sageattention: the kernel {name!r} cannot be used here: {missing[name]}")
    return Choice(None, missing)


def _triton_lacks() -> str | None:
    installed = _installed("sageattention")
    if installed is None:
        return _cuda_lacks() or (
            "the package sageattention is not installed: pip install sageattention==1.0.6 triton"
        )
    if not installed.startswith("1."):
        return (
            f"it needs sageattention 1.0.6, {installed} is installed: choose kernel 'sage', or "
            "pip install sageattention==1.0.6"
        )
    if _installed("triton") is None:
        return "the package triton is not installed: pip install triton"
    return _cuda_lacks() or _fails(PackageKernel())


def _sage_lacks() -> str | None:
    from diffusers.models import attention_dispatch

    if (lack := _cuda_lacks()) is not None:
        return lack
    if (lack := _requirement(attention_dispatch, "sage")) is not None:
        return f"{lack} (the package registry's newest is 1.0.6; newer ones are built from source)"
    return _fails(BackendKernel())


def _sage_hub_lacks() -> str | None:
    from diffusers.models import attention_dispatch

    if (lack := _cuda_lacks() or _requirement(attention_dispatch, "sage_hub")) is not None:
        return lack
    try:
        attention_dispatch._maybe_download_kernel_for_backend(
            attention_dispatch.AttentionBackendName("sage_hub")
        )
    except Exception as error:  # the hub's client raises many kinds
        return (
            f"it cannot be had from the kernels hub: {_short(error)} (a copy on the disk will do: "
            f"LOCAL_KERNELS=SageAttention/sage-attention=FOLDER)"
        )
    return _fails(HubKernel())


_KERNELS: dict[str, tuple[Callable[[], str | None], Callable[[bool], Kernel]]] = {
    "sage": (_sage_lacks, lambda _: BackendKernel()),
    "sage_hub": (_sage_hub_lacks, lambda _: HubKernel()),
    "triton": (_triton_lacks, PackageKernel),
    "emulated": (lambda: None, EmulatedKernel),
}


def _cuda_lacks() -> str | None:
    if not torch.cuda.is_available():
        return (
            "it runs on NVIDIA GPUs, and this process sees none (kernel 'emulated' computes the "
            "same on any device, without the speed)"
        )
    major, minor = torch.cuda.get_device_capability()
    if major < 8:
        return f"it needs compute capability 8.0 (Ampere) or newer; this GPU has {major}.{minor}"
    return None


def _requirement(attention_dispatch: object, backend: str) -> str | None:
    """What diffusers says that one of its backends lacks."""
    name = getattr(attention_dispatch, "AttentionBackendName")(backend)  # noqa: B009
    check = getattr(attention_dispatch, "_check_attention_backend_requirements", None)
    if check is None:
        return "this version of diffusers has no such backend: pip install 'diffusers>=0.36'"
    try:
        check(name)
    except RuntimeError as error:
        return _short(error)
    return None


def _fails(kernel: Kernel) -> str | None:
    """Try the kernel on 320 tokens; one that cannot be compiled here, or that is wrong on this
    architecture, says so before a run.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 1, 2, 320, 64, generator=generator).to(TRIED_ON, torch.float16)
    call = AttentionCall(*x)
    try:
        with torch.no_grad():
            out = kernel.attend(call).float()
            exact = torch.nn.functional.scaled_dot_product_attention(*x.float())
            off = float((out - exact).norm() / exact.norm())
    except Exception as error:  # compilers and drivers raise many kinds
        return f"it fails on this GPU: {_short(error)}"
    if not math.isfinite(off):
        return "it gives non-finite numbers on this GPU"
    if off > LARGEST_ERROR:
        return f"it is wrong on this GPU: off by {off:.0%} from exact attention"
    return None


def _installed(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__
