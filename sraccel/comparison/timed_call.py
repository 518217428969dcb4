"""A pipeline's call that is made again and again: on the same noise, timed, with progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sraccel.models.arguments import check_arguments
from sraccel.models.step_callback import Progress, StepReport, with_progress


class TimedCall:
    """The call of a pipeline.

    Raises:
        ModelError: the pipeline does not know one of the arguments, or needs another.
    """

    def __init__(
        self, pipe: Any, arguments: dict[str, Any], seed: int, progress: Progress | None
    ) -> None:
        import torch

        self._pipe = pipe
        self._progress = progress
        self.arguments = dict(arguments)
        self.seed: int | None = None
        if self.arguments.get("generator") is None:
            self.arguments["generator"] = torch.Generator().manual_seed(seed)
            self.seed = seed
        check_arguments(pipe, self.arguments)
        generators = self.arguments["generator"]
        self._generators = generators if isinstance(generators, list) else [generators]
        self._states = [generator.get_state() for generator in self._generators]

    def __call__(self, description: str, **changes: Any) -> tuple[Any, float]:
        """Call the pipeline; returns its output and the seconds of the whole call."""
        arguments = {**self.arguments, **changes}
        arguments = with_progress(self._pipe, arguments, self.step_report(description))
        return self.timed(lambda: self._pipe(**arguments))

    def timed(self, run: Callable[[], Any]) -> tuple[Any, float]:
        """What `run` returns, on the noise of every call, and the seconds that it takes."""
        for generator, state in zip(self._generators, self._states, strict=True):
            generator.set_state(state)
        started = time.perf_counter()
        output = run()
        _settle(self._pipe)
        return output, time.perf_counter() - started

    def step_report(self, description: str) -> StepReport | None:
        """Reports the steps of this call's pipeline, and of another one beside it."""
        progress = self._progress
        if progress is None:
            return None

        def report(pipe: Any, steps_done: int) -> None:
            other = "" if pipe is self._pipe else ", render pipeline"
            progress(description + other, steps_done, pipe.num_timesteps)

        return report

    def describe(self) -> dict[str, Any]:
        """The arguments that fit JSON, and the seed."""
        plain = {
            name: value
            for name, value in self.arguments.items()
            if isinstance(value, (str, int, float, bool, type(None)))
            or (isinstance(value, list) and all(isinstance(item, str) for item in value))
        }
        return {**plain, "seed": self.seed} if self.seed is not None else plain


def _settle(pipe: Any) -> None:
    import torch

    device = getattr(pipe, "_execution_device", None)
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
