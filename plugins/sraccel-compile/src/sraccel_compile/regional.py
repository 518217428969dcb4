"""Regional compilation: the repeated blocks, one by one, compiled once for all of a kind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from pydantic import Field

from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    Claim,
    ConflictError,
    Denoiser,
    Run,
    Stack,
    hookimpl,
)

Mode = Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]


class RegionalCompile(Accelerator):
    """Compiles the blocks by torch.compile; says how long compiling took in each run."""

    name = "regional-compile"
    claims = frozenset({Claim("compilation", after=("linear", "attention"))})

    class Options(AcceleratorOptions):
        """Options of `torch.compile`."""

        backend: str = Field("inductor", description="Which backend compiles.")
        mode: Mode = Field("default", description="Inductor's mode.")
        fullgraph: bool = Field(False, description="Refuse to break the graph.")
        dynamic: bool | None = Field(
            None, description="Compile for any shape; none: from the second shape on."
        )

        def arguments(self) -> dict[str, Any]:
            """Those of `torch.compile`; a mode is inductor's own."""
            given = {"fullgraph": self.fullgraph, "dynamic": self.dynamic, "backend": self.backend}
            mode = {"mode": self.mode} if self.backend == "inductor" else {}
            return {**given, **(mode if self.mode != "default" else {})}

    options: Options

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        for role, denoiser in stack.denoisers.items():
            if any(block._compiled_call_impl for block in blocks_of(denoiser)):
                raise ConflictError(
                    f"regional-compile: blocks of the denoiser {role!r} are compiled already: "
                    f"leave regional-compile out",
                    accelerators=[self.name],
                )

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        blocks = blocks_of(denoiser)
        for block in blocks:
            block.compile(**self.options.arguments())
        try:
            yield
        finally:
            for block in blocks:
                vars(block).pop("_compiled_call_impl", None)

    @hookimpl
    def run_started(self, run: Run) -> None:
        self._clock = CompileClock()

    @hookimpl
    def run_finished(self, run: Run) -> None:
        seconds = self._clock.stop()
        run.note(self, compile_seconds=round(seconds, 3))
        if seconds:
            run.warn(
                f"regional-compile: {seconds:.1f} s of this run were spent compiling, which is "
                f"done once for a shape: leave this run out of its speedup (comparisons warm up)"
            )


class CompileClock:
    """Seconds that torch spends compiling, from now on until it is stopped."""

    def __init__(self) -> None:
        from torch._dynamo.callback import callback_handler

        self._handler, self._seconds, self._began = callback_handler, 0.0, 0.0
        self._handler.register_start_callback(self._start)
        self._handler.register_end_callback(self._end)

    def _start(self, *_: object) -> None:
        self._began = time.perf_counter()

    def _end(self, *_: object) -> None:
        self._seconds += time.perf_counter() - self._began

    def stop(self) -> float:
        """The seconds so far; nothing is counted any more."""
        self._handler.remove_start_callback(self._start)
        self._handler.remove_end_callback(self._end)
        return self._seconds


def blocks_of(denoiser: Denoiser) -> list[Any]:
    """The blocks of a denoiser's stack."""
    return list(denoiser.adapter.blocks(denoiser.module))
