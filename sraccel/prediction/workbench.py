"""Where predictions are made: a recipe, a model's outline, and pipelines built of it to measure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sraccel.check.pipeline_outline import outline_of
from sraccel.check.third_party import asked, made
from sraccel.comparison.timed_call import TimedCall
from sraccel.composer import compose
from sraccel.errors import ConflictError
from sraccel.loop.denoiser import Contribution
from sraccel.models.loading import Device, DType, device_of, precision_of
from sraccel.models.memory import check_room, free_bytes, weight_bytes
from sraccel.models.source import ModelSource
from sraccel.models.step_callback import Progress
from sraccel.prediction.configuration import configuration_folders, usual_size
from sraccel.prediction.dry_run import dry_run
from sraccel.prediction.measuring import Built
from sraccel.prediction.random_weights import Blocks, shortened, with_random_weights
from sraccel.prediction.target import build_pipeline, call_arguments, refused_sizes
from sraccel.recipe.sampling import USUAL_STEPS

if TYPE_CHECKING:
    import torch

    from sraccel.loop.accelerator import AcceleratorOptions
    from sraccel.loop.stack import Stack
    from sraccel.recipe.recipe import Recipe
    from sraccel.report.model import Report

ROOM = 1.1
"""Times the weights that must be free for whole models to be built: calls need memory, too."""
ADVICE = "take a smaller --dtype or size, or free some memory"


@dataclass
class Workbench:
    """A recipe and a model, without weights; `build` makes a pipeline with random ones.

    Attributes:
        model: its name.
        folder: of its configurations, or `demo`.
        outline: the pipeline without weights.
        items: the recipe's accelerators, their models without weights.
        given: arguments of the pipeline's call.
        dtype: of the weights.
        device: where they are.
        sources: where the configurations come from, by model.
        free: bytes on the device, before anything was built.
        progress: called after each step.
        assumed: what composing without weights leaves open.
    """

    model: str
    folder: str
    outline: Any
    items: Sequence[AcceleratorOptions]
    given: Mapping[str, Any]
    dtype: torch.dtype
    device: torch.device
    sources: Mapping[str, str]
    free: int
    progress: Progress | None = None
    _dry: dict[tuple[str, ...], Report] = field(default_factory=dict)

    def stack(self, names: Sequence[str] | None = None) -> Stack:
        """The stack of all accelerators, or of those of these names; errors as `compose`."""
        chosen = [item for item in self.items if names is None or item.use in names]
        return compose(self.outline, list(map(made, chosen)))

    def needs(self, stack: Stack, blocks: Blocks) -> dict[str, int]:
        """Bytes of the weights of each denoiser."""
        return {
            role: weight_bytes(shortened(one.module, blocks) if blocks else one.module, self.dtype)
            for role, one in stack.denoisers.items()
        }

    def build(self, stack: Stack, blocks: Blocks) -> Built:
        """A pipeline on the device, and what the accelerators bring.

        Raises:
            ModelError: it does not fit into memory, or cannot be called with these arguments.
        """
        needed = sum(self.needs(stack, blocks).values())
        built = "" if not blocks else ", built with few blocks,"
        what = f"{self.model}{built} with what the recipe brings"
        check_room(needed, self.device, what, ADVICE)
        with refused_sizes(self.model):
            pipe = build_pipeline(self.folder, self.outline, blocks, self.dtype, self.device)
            call = call_arguments(pipe, self.folder, stack, self.given, self.dtype)
        brought = {
            role: Contribution(
                with_random_weights(shortened(item.module, blocks), self.dtype, self.device),
                item.noise_space,
            )
            for role, item in stack.contributions.items()
        }
        return Built(pipe, TimedCall(pipe, call, 0, self.progress), brought)

    def asked_calls(self, stack: Stack, built: Built) -> Report:
        """The dry run of a stack; one for all stacks in which the same accelerator plans steps."""
        planners = tuple(stack.hooks.who("plan_steps"))
        if planners not in self._dry:
            with refused_sizes(self.model):
                self._dry[planners] = dry_run(built.call, built.pipe, stack)
        return self._dry[planners]


@contextmanager
def workbench(
    recipe: Recipe,
    model: str,
    call: Mapping[str, Any],
    *,
    dtype: DType = "auto",
    device: Device = "auto",
    progress: Progress | None = None,
) -> Iterator[Workbench]:
    """A workbench, as long as the block lasts.

    Args:
        recipe: a valid one.
        model: name of a published configuration, a folder with configurations, or `demo`.
        call: arguments that go before the recipe's `sampling`.
        dtype: of the weights; `auto` is bfloat16 on CUDA and float32 elsewhere.
        device: where to measure; `auto` takes CUDA if there is one.
        progress: called after each step.

    Raises:
        ModelError: no such model or device is known.
        ConflictError: an accelerator cannot be composed without weights.
    """
    import torch

    target = torch.device(device_of(device, "none"))
    usual = {"num_inference_steps": USUAL_STEPS, **usual_size(model)}
    with configuration_folders() as folders:
        folder = folders.find(model)
        items = [without_weights(_local(item, folders.local)) for item in recipe.accelerators]
        yield Workbench(
            model,
            folder,
            outline_of(folder),
            items,
            {**usual, **recipe.sampling.arguments(), **call},
            precision_of(dtype, target.type),
            target,
            folders.sources,
            free_bytes(target),
            progress,
        )


def _local(item: AcceleratorOptions, local: Any) -> AcceleratorOptions:
    """The same options, with models that they name where their configurations lie."""
    changed = {name: local(value) for name, value in item if isinstance(value, ModelSource)}
    return item.model_copy(update=changed) if changed else item


def without_weights(item: AcceleratorOptions) -> AcceleratorOptions:
    """The options with the models that they name without weights.

    Raises:
        ConflictError: the accelerator cannot be composed without them.
    """
    with asked(item.use, "without_weights"):
        outlined = item.without_weights()
    if outlined is None:
        raise ConflictError(
            f"{item.use!r} cannot be composed without its model's weights, so nothing can be "
            f"predicted with it: leave it out",
            accelerators=[item.use],
        )
    return outlined
