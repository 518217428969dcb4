"""Which modules of the blocks ran, call by call, so that work that is left out shows."""

from __future__ import annotations

from typing import Any

from torch import nn

from sraccel.loop.denoiser import denoisers_in
from sraccel.loop.stack import Stack

BY_BLOCK = {"attention", "linear", "tokens"}
"""Whoever claims one of these computes parts of a block in another way."""


class Work:
    """Counts by torch's own hooks, which run where a module's forward runs.

    Attributes:
        stack: whose calls are counted; None: calls are bare.
    """

    def __init__(self, pipe: Any) -> None:
        self.stack: Stack | None = None
        self._ran_bare: set[str] = set()
        self._ran: dict[int, set[str]] = {}
        self._pipe = pipe
        self._modules = self._found()
        self._blocks = {
            f"{name}.{path}"
            for name, model in denoisers_in(pipe).items()
            for path, module in model.named_modules()
            if path.rpartition(".")[2].isdigit() and path.count(".") == 1
        }
        for path, module in self._modules.items():
            module.register_forward_pre_hook(self._hook(path))

    def _found(self) -> dict[str, nn.Module]:
        return {
            f"{name}.{path}": module
            for name, model in denoisers_in(self._pipe).items()
            for path, module in model.named_modules()
            if "." in path
        }

    def _hook(self, path: str) -> Any:
        role = path.partition(".")[0]

        def ran(*_: Any) -> None:
            denoiser = self.stack.denoisers.get(role) if self.stack is not None else None
            call = denoiser.current_call if denoiser is not None else None
            (self._ran_bare if call is None else self._ran.setdefault(id(call), set())).add(path)

        return ran

    def missing(self, call: Any, whole_blocks: bool) -> tuple[int, int]:
        """How many modules did not run in a call, of how many that do in a bare one.

        Args:
            call: of a run of the stack.
            whole_blocks: look at blocks, not at what is in them.
        """
        now = self._found()
        role = call.denoiser.role
        expected = {
            path
            for path in self._ran_bare & self._modules.keys()
            if path.startswith(f"{role}.") and now.get(path) is self._modules[path]
        }
        if whole_blocks:
            expected &= self._blocks
        return len(expected - self._ran.get(id(call), set())), len(expected)
