"""One forward of a model, watched: which blocks ran, in which order, and what came after them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sraccel.loop.found_blocks import candidate_blocks
from sraccel.loop.intercept import CALL, Interception

if TYPE_CHECKING:
    import torch
    from torch import nn

Shape = tuple[int, ...]


@dataclass
class Ran:
    """One call of a module.

    Attributes:
        module: what ran.
        group: the list that it is in; empty: it is no block.
        args, kwargs: shapes of the arguments that are tensors, else None.
        outputs: shape of each part of the output; of an output that is no tuple, its own.
        several: whether the output is a tuple.
        tensors: the tensors of the output (of what is no block: its first argument); emptied once
            another block runs, so that no more than one block's are held.
    """

    module: nn.Module
    group: str
    args: tuple[Shape | None, ...]
    kwargs: dict[str, Shape | None]
    outputs: tuple[Shape | None, ...] = ()
    several: bool = False
    tensors: list[Any] = field(default_factory=list)


class Survey:
    """What ran in one forward, in order."""

    def __init__(self, model: nn.Module) -> None:
        self.ran: list[Ran] = []
        self._model = model
        self._groups = {
            id(block): name for name, blocks in candidate_blocks(model).items() for block in blocks
        }
        self._depth = 0

    def watch(self, forward: Callable[[], Any]) -> Any:
        """Run the model once under watch; returns its output."""
        with ExitStack() as undo:
            for module in self._watched():
                undo.callback(Interception(module, CALL, self._layer(module)).undo)
            return forward()

    @property
    def blocks(self) -> list[Ran]:
        """The calls of blocks."""
        return [ran for ran in self.ran if ran.group]

    def after(self, ran: Ran) -> list[Ran]:
        """What ran after a block, until another block did."""
        position = next(index for index, one in enumerate(self.ran) if one is ran)
        found = []
        for one in self.ran[position + 1 :]:
            if one.group:
                break
            found.append(one)
        return found

    def _watched(self) -> Sequence[nn.Module]:
        blocks = [block for group in candidate_blocks(self._model).values() for block in group]
        children = [child for child in self._model.children() if _runs(child)]
        return list({id(module): module for module in (*blocks, *children)}.values())

    def _layer(self, module: nn.Module) -> Any:
        def layer(inner: Any, *args: Any, **kwargs: Any) -> Any:
            if self._depth:  # within another that is watched
                return inner(*args, **kwargs)
            self._depth += 1
            try:
                output = inner(*args, **kwargs)
            finally:
                self._depth -= 1
            self._note(module, args, kwargs, output)
            return output

        return layer

    def _note(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        group = self._groups.get(id(module), "")
        if group:
            for earlier in self.ran:
                earlier.tensors.clear()
        several = isinstance(output, tuple)
        parts = list(output) if several else [output]
        shapes = {name: shape_of(value) for name, value in kwargs.items()}
        ran = Ran(module, group, tuple(map(shape_of, args)), shapes)
        ran.outputs, ran.several = tuple(map(shape_of, parts)), several
        ran.tensors = parts if group else [args[0] if args else None]
        self.ran.append(ran)


def shape_of(value: Any) -> Shape | None:
    """Shape of a tensor; None: it is none."""
    import torch

    return tuple(value.shape) if isinstance(value, torch.Tensor) else None


def tensors_of(value: Any) -> list[torch.Tensor]:
    """All tensors of a model's output, in order."""
    import torch

    if isinstance(value, torch.Tensor):
        return [value]
    items = value.values() if hasattr(value, "values") else value
    if not isinstance(value, (tuple, list, dict)):
        return []
    return [tensor for item in items for tensor in tensors_of(item)]


def _runs(module: nn.Module) -> bool:
    """Whether a module is called itself: lists and dicts of modules are not."""
    from torch import nn

    return not isinstance(module, (nn.ModuleList, nn.ModuleDict))
