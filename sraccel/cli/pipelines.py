"""What commands that run pipelines share: placing them, loading them, and their refusals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.demo.pair import DEMO
from sraccel.errors import ModelError
from sraccel.models.arguments import check_arguments
from sraccel.models.loading import (
    Device,
    DType,
    Offload,
    Role,
    device_of,
    load_pipeline,
    locate,
    precision_of,
)

if TYPE_CHECKING:
    import torch

    from sraccel.models.source import ModelSource

OPTIONS = {
    "negative_prompt": "--negative-prompt",
    "guidance_scale": "--guidance-scale",
    "num_frames": "--frames",
    "num_inference_steps": "--steps",
    "guidance_scale_2": "sampling.guidance_scale_2",
    "max_sequence_length": "sampling.max_sequence_length",
}
"""Options whose name is not that of the pipeline's argument."""


@dataclass(frozen=True)
class Placing:
    """How models are loaded."""

    dtype: DType
    device: Device
    offload: Offload

    def target(self) -> str:
        """The device; errors as `device_of`."""
        return device_of(self.device, self.offload)

    def precision(self) -> torch.dtype:
        """Of the weights; errors as `device_of`."""
        return precision_of(self.dtype, self.target())


def check_room(
    models: Sequence[str],
    placing: Placing,
    *,
    role: Role = "transformer",
    brought: Iterable[ModelSource] = (),
) -> None:
    """Refuse models that do not fit into memory together, before the first one is loaded.

    Args:
        models: of the pipelines.
        placing: how they are loaded.
        role: of `demo`, which of the pair's two transformers it is.
        brought: what accelerators bring.

    Raises:
        ModelError: they do not fit, or the device is not there.
    """
    from sraccel.models.source import ModelSource, check_room_for

    # `demo` alone would be the pair's render model.
    own = [ModelSource(model=name, subfolder=role if name == DEMO else None) for name in models]
    check_room_for([*own, *brought], placing.precision())


def load(
    model: str, placing: Placing, *, revision: str | None = None, role: Role = "transformer"
) -> Any:
    """A pipeline, with a bar while it loads; errors as `load_pipeline`."""
    from sraccel.cli.progress import loading

    with loading(model, own_bars=not Path(locate(model)).is_dir()):
        return load_pipeline(model, revision=revision, role=role, **asdict(placing))


@contextmanager
def refusals(pipe: Any, call: dict[str, Any], where: str = "") -> Iterator[None]:
    """Turn a pipeline's complaint about its arguments into an error that says what to change.

    `where`: what else than the command line may have given them.
    """
    check_known(pipe, call, where)
    try:
        yield
    except ValueError as error:
        raise ModelError(f"{type(pipe).__name__} refuses this call: {error}") from error


def check_known(pipe: Any, call: dict[str, Any], where: str = "") -> None:
    """Refuse arguments that a pipeline does not have, by the names of their options.

    Raises:
        ModelError: naming them.
    """
    check_arguments(
        pipe,
        call.keys(),
        unknown=f"leave it out{where}",
        missing="the command line cannot give it, Python can",
        option_of=lambda name: OPTIONS.get(name, f"--{name}"),
    )
