"""What was computed lately, for a predictor: values, steps and noise levels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import torch

    from sraccel.loop.step import Step

CacheDevice = Literal["model", "cpu"]


class Like(NamedTuple):
    """What a tensor must be to stand in for another one."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(cls, tensor: torch.Tensor) -> Like:
        """That of a tensor."""
        return cls(tuple(tensor.shape), tensor.dtype, tensor.device)


@dataclass(slots=True)
class Computed:
    """One computed value.

    Attributes:
        step_index: the solver's step in which it was computed; 0-based.
        timestep: the scheduler's timestep, if known.
        sigma: the scheduler's noise level, if known.
    """

    kept: torch.Tensor
    device: torch.device
    step_index: int
    timestep: float | None
    sigma: float | None

    @property
    def value(self) -> torch.Tensor:
        """The value, on the device that computes."""
        return self.kept.to(self.device)


class History:
    """The last computed values of one denoiser, branch, shape and level; oldest first.

    The core keeps it, as long as the predictor declares (`Accelerator.history_length`). It is empty
    in a new run, after a switch of models, and after a step that left the branch out.

    Attributes:
        like: what the computed value itself is; None before the first one.
    """

    __slots__ = ("_computing", "_length", "_on_cpu", "_values", "like")

    def __init__(self, length: int, device: CacheDevice) -> None:
        self._length = length
        self._on_cpu = device == "cpu"
        self._values: list[Computed] = []
        self._computing = False
        self.like: Like | None = None

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: int) -> Computed:
        return self._values[index]

    def __iter__(self) -> Iterator[Computed]:
        return iter(self._values)

    @property
    def nbytes(self) -> int:
        """How much memory the values take."""
        return sum([item.kept.nbytes for item in self._values])

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self._computing = False

    def suit(self, wanted: torch.Tensor) -> None:
        """Forget what cannot stand in here: a model's tokens may be others at the same latents."""
        if self.like is not None and self.like.shape != wanted.shape:
            self.clear()
            self.like = None

    def enter(self) -> None:
        """A further call begins; where the one before failed, its gap leaves nothing to predict."""
        if self._computing:
            self.clear()

    def begin(self) -> None:
        """A value is being computed: let go of the one that it will push out."""
        del self._values[: max(len(self._values) - self._length + 1, 0)]
        self._computing = True

    def add(self, value: torch.Tensor, kept: torch.Tensor, step: Step) -> None:
        """Take in a value that was computed, and what the predictor wants kept of it."""
        self._computing = False
        if self.like is None:  # a history is of one shape
            self.like = Like.of(value)
        if self._length:
            stored = kept.to("cpu") if self._on_cpu else kept
            item = Computed(stored, kept.device, step.solver_step, step.timestep, step.sigma)
            self._values.append(item)
