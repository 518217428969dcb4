"""Where attention calls go: to the kernel if it can take them, else where they would have gone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch.overrides import TorchFunctionMode

from sraccel.accelerators.sageattention.kernel import NON_FINITE, AttentionCall, Kernel
from sraccel.accelerators.sageattention.tally import Tally

_SDPA = torch.nn.functional.scaled_dot_product_attention
_numbers = itertools.count(1)


class Diversion:
    """The way to a kernel for the attention calls of one denoiser; a context manager.

    Attributes:
        active: False once left; what was covered is then inert.
    """

    def __init__(self, kernel: Kernel, tally: Tally) -> None:
        self.kernel = kernel
        self.tally = tally
        self.active = True
        self._backends: dict[Any, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.active = False
        for backend in self._backends.values():
            _unregister(backend)

    def attend(self, call: AttentionCall, otherwise: Callable[[], Any]) -> Any:
        """The kernel's answer, or that of `otherwise`; either is counted."""
        return self._attend(call, self.kernel.unsupported(call), otherwise)

    def backend(self, otherwise: Any) -> Any | None:
        """A backend for diffusers' `dispatch_attention_fn` that leads to the kernel.

        Calls that the kernel cannot take go to the backend `otherwise` (None: the default).
        Returns None where diffusers' registry is not the one known here.
        """
        if otherwise not in self._backends:
            backend = _register(self._dispatched(otherwise))
            if backend is None:
                return None
            self._backends[otherwise] = backend
        return self._backends[otherwise]

    def _attend(self, call: AttentionCall, reason: str | None, otherwise: Callable[[], Any]) -> Any:
        if torch.compiler.is_compiling():
            if reason is None:
                self.tally.compiled = True
            else:
                self.tally.compiled_fell_back = reason
        elif reason is not None:
            self.tally.fell_back[reason] += 1
        else:
            return self._checked(call, otherwise)
        return self.kernel.attend(call) if reason is None else otherwise()

    def _checked(self, call: AttentionCall, otherwise: Callable[[], Any]) -> Any:
        """The kernel's answer; where it alone is not finite, the original's, from now on."""
        out = self.kernel.attend(call)
        if not bool(out.isfinite().all()):
            exact = otherwise()
            if bool(exact.isfinite().all()):
                self.kernel.failed = True
                self.tally.fell_back[NON_FINITE] += 1
                return exact
        self.tally.served += 1
        return out

    def _dispatched(self, otherwise: Any) -> Callable[..., Any]:
        from diffusers.models.attention_dispatch import dispatch_attention_fn

        def attend(
            query: torch.Tensor,
            key: torch.Tensor,
            value: torch.Tensor,
            attn_mask: torch.Tensor | None = None,
            dropout_p: float = 0.0,
            is_causal: bool = False,
            scale: float | None = None,
            enable_gqa: bool = False,
            _parallel_config: Any = None,
            **special: Any,
        ) -> Any:
            """Tensors are (batch, tokens, heads, head dim) here."""

            def original() -> Any:
                return dispatch_attention_fn(
                    query,
                    key,
                    value,
                    attn_mask,
                    dropout_p,
                    is_causal,
                    scale,
                    enable_gqa,
                    special,
                    backend=None if getattr(otherwise, "_retired", False) else otherwise,
                    parallel_config=_parallel_config,
                )

            q, k, v = (x.transpose(1, 2) for x in (query, key, value))
            call = AttentionCall(q, k, v, attn_mask, dropout_p, is_causal, scale, enable_gqa)
            reason = _beyond(_parallel_config, special) or self.kernel.unsupported(call)
            if reason is not None:
                return self._attend(call, reason, original)
            return self._attend(call, None, lambda: original().transpose(1, 2)).transpose(1, 2)

        return attend


class DiversionMode(TorchFunctionMode):
    """While entered, this thread's scaled_dot_product_attention goes through a diversion."""

    def __init__(self, diversion: Diversion) -> None:
        super().__init__()
        self.diversion = diversion

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        keywords = kwargs or {}
        if func is not _SDPA:
            return func(*args, **keywords)
        call = AttentionCall(*args, **keywords)
        return self.diversion.attend(call, lambda: _SDPA(*args, **keywords))


def _beyond(parallel_config: Any, special: dict[str, Any]) -> str | None:
    """What diffusers asks for beyond scaled_dot_product_attention's own arguments."""
    if parallel_config is not None:
        return "context parallelism"
    asked = sorted(
        name for name, value in special.items() if value is not None and value is not False
    )
    return f"argument {', '.join(asked)} of the attention backend" if asked else None


def _register(attend: Callable[..., Any]) -> Any | None:
    """Add a backend to diffusers' registry; it is inert until a processor names it."""
    from diffusers.models import attention_dispatch

    registry: Any = getattr(attention_dispatch, "_AttentionBackendRegistry", None)
    parts = ("register", "_backends", "_constraints", "_supported_arg_names")
    if any(not hasattr(registry, part) for part in parts):
        return None
    names: Any = attention_dispatch.AttentionBackendName
    label = f"sraccel_sageattention_{next(_numbers)}"
    backend = str.__new__(names, label)
    backend._name_, backend._value_ = label.upper(), label
    every_argument = set().union(*registry._supported_arg_names.values())
    registry.register(backend)(attend)
    registry._supported_arg_names[backend] |= every_argument
    return backend


def _unregister(backend: Any) -> None:
    from diffusers.models.attention_dispatch import _AttentionBackendRegistry as registry

    backend._retired = True
    for entries in (registry._backends, registry._constraints, registry._supported_arg_names):
        entries.pop(backend, None)
