"""The two stages of a prompt, each with the models that it needs and no other.

A stage makes no difference between workers of a cluster and two objects in one process. What goes
from one to the other is a hand-over as bytes; what it is done in is the folder that all share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sraccel.batch.folder import MANIFEST
from sraccel.batch.local import call_of, reason_of
from sraccel.errors import ConflictError, OutputError

if TYPE_CHECKING:
    from sraccel.batch.prompts_file import PromptJob
    from sraccel.batch.record import Recorder
    from sraccel.loop.stack import Stack
    from sraccel.models.loading import Device, DType, Offload
    from sraccel.recipe.recipe import Recipe


@dataclass(frozen=True)
class Work:
    """What every worker needs to know; plain values, so that it can go to another machine.

    Attributes:
        model: of the pipeline.
        recipe: as JSON.
        recorder: writes videos; its folder is the same place on all machines.
        dtype, device, offload: how models are loaded.
        divided: whether the recipe brings a second model; else the first stage makes whole videos.
        threads: of torch, on which the last bits of a CPU's sums depend.
    """

    model: str
    recipe: dict[str, Any]
    recorder: Recorder
    dtype: DType
    device: Device
    offload: Offload
    divided: bool
    threads: int

    @property
    def placing(self) -> dict[str, Any]:
        """Arguments of what loads a pipeline."""
        return {"dtype": self.dtype, "device": self.device, "offload": self.offload}


def work_of(model: str, recipe: Recipe, recorder: Recorder, placing: Mapping[str, Any]) -> Work:
    """The work of a recipe, as this process would do it.

    Args:
        model: of the pipeline.
        recipe: what it runs under.
        recorder: writes videos.
        placing: as `Work.placing`.
    """
    import torch

    content = recipe.model_dump(mode="json", exclude_unset=True)
    divided = any(item.models() for item in recipe.accelerators)
    return Work(
        model, content, recorder, **placing, divided=divided, threads=torch.get_num_threads()
    )


@dataclass(frozen=True)
class Outcome:
    """What became of a prompt in a stage.

    Attributes:
        status: `handed over` to the next stage; `finished`, with its files written; `failed`.
        seconds: that the stage took, files included.
        reason: why it failed.
    """

    status: Literal["handed over", "finished", "failed"]
    seconds: float
    reason: str = ""


class Stage:
    """Holds models, once `load` was called; takes one prompt at a time."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self._stack: Stack | None = None

    def load(self) -> None:
        """Load the models of this stage.

        Raises:
            ConflictError: the folder of the videos is not there on this machine; else as loading.
        """
        import torch

        folder = self.work.recorder.folder
        if not (folder / MANIFEST).is_file():
            import platform

            raise ConflictError(
                f"{platform.node()} does not see {folder}: --out must be a folder that all "
                f"machines share, under the same path"
            )
        torch.set_num_threads(self.work.threads)
        self._stack = self._compose().attach()
        self._stack.logs_warnings = False  # they are in the reports

    def _compose(self) -> Stack:
        raise NotImplementedError

    @property
    def stack(self) -> Stack:
        """The models under the recipe."""
        assert self._stack is not None, "load() comes first"
        return self._stack

    def _outcome(self, make: Callable[[], Literal["handed over", "finished"]]) -> Outcome:
        """Time what is made of a prompt; what it raises belongs to the prompt, but a full disk."""
        begun = time.perf_counter()
        try:
            status = make()
        except OutputError:
            raise
        except Exception as error:
            return Outcome("failed", time.perf_counter() - begun, reason_of(error))
        finally:
            del self.stack.reports[:]
        return Outcome(status, time.perf_counter() - begun)


class SketchStage(Stage):
    """Encodes a prompt and takes the steps up to the switch; without the render model's weights."""

    def _compose(self) -> Stack:
        from sraccel.handover.half_stack import sketch_stack
        from sraccel.models.loading import load_pipeline

        pipe: Any = load_pipeline(self.work.model, **self.work.placing)
        pipe.set_progress_bar_config(disable=True)
        return sketch_stack(pipe, self.work.recipe)

    def make(self, job: PromptJob) -> tuple[Outcome, bytes]:
        """The run at its switch, for `RenderStage.make`; empty where there is nothing to hand over.

        A video in which no switch came is whole, and written.

        Raises:
            OutputError: it cannot be written.
        """
        from sraccel.handover.sketching import until_switch

        run = b""

        def sketch() -> Literal["handed over", "finished"]:
            nonlocal run
            made = until_switch(self.stack, call_of(job))
            if made.handover is not None:
                run = made.handover.to_bytes()
                return "handed over"
            self.work.recorder.save(job, made.output, made.report)
            return "finished"

        return self._outcome(sketch), run


class RenderStage(Stage):
    """Takes the steps from the switch on, decodes and writes; without the first model's weights."""

    def _compose(self) -> Stack:
        from sraccel.composer import compose
        from sraccel.handover.half_stack import load_render_pipeline

        pipe = load_render_pipeline(self.work.model, **self.work.placing)
        pipe.set_progress_bar_config(disable=True)
        return compose(pipe, self.work.recipe)

    def make(self, job: PromptJob, run: bytes) -> Outcome:
        """Go on with what `SketchStage.make` handed over, and write the video.

        Raises:
            OutputError: it cannot be written.
        """
        from sraccel.handover.handover import Handover
        from sraccel.handover.resuming import resume

        def render() -> Literal["finished"]:
            made = resume(self.stack, Handover.from_bytes(run), call_of(job))
            self.work.recorder.save(job, made.output, made.report)
            return "finished"

        return self._outcome(render)
