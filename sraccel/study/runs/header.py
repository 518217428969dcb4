"""What must stay the same for runs to belong to one study."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sraccel.checksum import weights_checksum
from sraccel.origin import Source
from sraccel.report.build import environment, versions

if TYPE_CHECKING:
    from sraccel.stack import Stack
    from sraccel.study.cell import Cell

SHOWN = 70
"""Characters of a value in an error."""


class Header(BaseModel):
    """What all runs of a study share. Prompts, seeds, repeats and the budget may change."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    pipeline: str
    models: dict[str, dict[str, str | None]] = Field(
        description="Class, dtype and a checksum of each part, the denoisers that accelerators "
        "bring included."
    )
    scheduler: dict[str, Any]
    sources: list[Source] = Field(description="Models and files that the recipe names.")
    call: dict[str, Any] = Field(description="Arguments that all runs share, as far as JSON goes.")
    cells: dict[str, dict[str, Any]]
    versions: dict[str, str]
    environment: dict[str, str]

    def differences(self, other: Header) -> Iterator[tuple[str, object, object]]:
        """(path, value here, value there) of whatever differs."""
        ours, theirs = (dict(_flat("", item.model_dump(mode="json"))) for item in (self, other))
        for path in {**theirs, **ours}:
            if ours.get(path) != theirs.get(path):
                yield path, ours.get(path), theirs.get(path)

    def difference_lines(self, other: Header) -> list[str]:
        """The same, to be read: `other` is what there was."""
        return [
            f"{path}: {_short(then)} there, {_short(now)} now"
            for path, now, then in self.differences(other)
        ]


def header_of(
    pipe: Any,
    cells: Sequence[Cell],
    stacks: Mapping[str, Stack],
    sources: Sequence[Source],
    call: Mapping[str, Any],
) -> Header:
    """The header of a study on a pipeline.

    Args:
        pipe: a diffusers pipeline.
        cells: all, those that cannot be composed included.
        stacks: of the cells that can be, by name; the bare one is among them.
        sources: what the recipe names, with fingerprints.
        call: arguments that all runs share.
    """
    some = next(iter(stacks.values()))
    scheduler = pipe.scheduler
    return Header(
        pipeline=type(pipe).__name__,
        models=dict(_models(pipe, stacks)),
        scheduler={"class": type(scheduler).__name__, **_plain(dict(scheduler.config))},
        sources=list(sources),
        call=_plain(dict(call)),
        cells={cell.name: cell.describe() for cell in cells},
        versions=dict(versions()),
        environment=environment(some.device),
    )


def _models(pipe: Any, stacks: Mapping[str, Stack]) -> Iterator[tuple[str, dict[str, str | None]]]:
    """The pipeline's parts by name, then what accelerators bring, by role and checksum."""
    from torch import nn

    for name, part in pipe.components.items():
        if isinstance(part, nn.Module):
            yield name, _model(part)
    for stack in stacks.values():
        for role in stack.contributions:
            described = _model(stack.denoisers[role].module)
            yield f"{role} {described['weights']}", described


def _model(module: Any) -> dict[str, str | None]:
    return {
        "class": type(module).__name__,
        "dtype": str(getattr(module, "dtype", None)),
        "weights": weights_checksum(module),
    }


def _plain(value: Any) -> Any:
    """A value as JSON holds it; what it cannot hold, by its class."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    return value.__name__ if inspect.isclass(value) else f"<{type(value).__name__}>"


def _flat(path: str, value: Any) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(f"{path}.{key}" if path else key, item)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _flat(f"{path}[{index}]", item)
    else:
        yield path, value


def _short(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
