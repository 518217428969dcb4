"""What commands that run pipelines share: placing them, loading them, and their refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sraccel.cli.option_groups import options_of
from sraccel.cli.options import option_of
from sraccel.demo.pair import DEMO, DEMO_FPS
from sraccel.errors import ModelError
from sraccel.models.arguments import check_arguments
from sraccel.models.loading import (
    FPS,
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


@dataclass(frozen=True)
class Placing:
    """How models are loaded."""

    dtype: Annotated[DType, typer.Option(help="Precision of the weights.")] = "auto"
    device: Annotated[Device, typer.Option(help="Where to run.")] = "auto"
    offload: Annotated[
        Offload, typer.Option(help="`model`: keep on the GPU only the part at work.")
    ] = "none"

    def target(self) -> str:
        """The device; errors as `device_of`."""
        return device_of(self.device, self.offload)

    def precision(self) -> torch.dtype:
        """Of the weights; errors as `device_of`."""
        return precision_of(self.dtype, self.target())

    def precision_name(self) -> DType:
        """Its name, also where it is `auto`; errors as `device_of`."""
        name: DType = str(self.precision()).removeprefix("torch.")  # type: ignore[assignment]
        return name

    def settled(self) -> dict[str, str]:
        """Arguments of `load_pipeline` without any `auto`, so that every worker loads alike."""
        return {
            "dtype": self.precision_name(),
            "device": self.target(),
            "offload": self.offload,
        }


placing_options = options_of(Placing, "placing")


def model_named(option: str | None, recipes: str | None) -> str:
    """The model of the option, else the recipe's.

    Raises:
        ModelError: neither names one.
    """
    name = option or recipes
    if name is None:
        raise ModelError("no model: give --model, or name one in the recipe (`model: ...`)")
    return name


def usual_fps(model: str) -> float:
    """Frames per second of a model's videos, where nothing says otherwise."""
    return DEMO_FPS if model == DEMO else FPS


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
    return loaded(load_pipeline, model, placing, revision, role=role)


def loaded(
    loader: Callable[..., Any], model: str, placing: Placing, revision: str | None, **more: Any
) -> Any:
    """What a loader makes of a model, with a bar meanwhile."""
    from sraccel.cli.progress import loading

    with loading(model, own_bars=not Path(locate(model)).is_dir()):
        return loader(model, revision=revision, **more, **asdict(placing))


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
        option_of=option_of,
    )
