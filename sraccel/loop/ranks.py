"""Which processes make one video together, and which of them hold parts of one sequence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sraccel.errors import ConflictError

TIMEOUT = 60.0
"""Seconds for which a rank waits for another one, unless said otherwise."""


@dataclass(frozen=True)
class Ranks:
    """The ranks that make one video, by their global numbers (`torch.distributed.get_rank()`).

    Attributes:
        members: all of them. The lowest one is the lead: its decisions hold for all. Give it the
            first guidance branch.
        sequence: of them, those that hold parts of one sequence with this process (context, ring
            or Ulysses parallelism): what a rule measures is summed over these. Ranks of tensor or
            guidance parallelism are not among them: they hold the same, or another branch.
            Empty: this process holds whole sequences.
        timeout: seconds for which a rank waits for another one before it raises an error.
    """

    members: tuple[int, ...]
    sequence: tuple[int, ...] = ()
    timeout: float = TIMEOUT

    def __init__(
        self, members: Iterable[int], sequence: Iterable[int] = (), timeout: float = TIMEOUT
    ) -> None:
        """Sort and check.

        Raises:
            ConflictError: a rank comes twice, the sequence's are not among the members, or the
                timeout is not positive.
        """
        for name, given in (("members", tuple(members)), ("sequence", tuple(sequence))):
            if len(set(given)) < len(given) or any(rank < 0 for rank in given):
                raise ConflictError(f"Ranks({name}={given}): each rank once, counted from 0")
            object.__setattr__(self, name, tuple(sorted(given)))
        object.__setattr__(self, "timeout", float(timeout))
        if not set(self.sequence) <= set(self.members):
            raise ConflictError(
                f"Ranks: the sequence lies on the ranks {self.sequence}, which are not all among "
                f"the members {self.members}"
            )
        if not self.timeout > 0:
            raise ConflictError(f"Ranks(timeout={timeout}): it must be more than 0 seconds")

    @property
    def lead(self) -> int:
        """The rank whose decisions hold."""
        return self.members[0]


def ranks_of(modules: Iterable[Any]) -> Ranks | None:
    """The ranks that diffusers' parallel configuration of some denoisers says; None: one rank.

    Args:
        modules: those on which `enable_parallelism` may have been called.

    Raises:
        ConflictError: two of them are parallel over other ranks.
    """
    found = {ranks for module in modules if (ranks := _configured(module)) is not None}
    if len(found) > 1:
        raise ConflictError(
            f"the denoisers are parallel over different ranks ({', '.join(map(str, found))}): say "
            f"which make one video, by compose(..., ranks=Ranks(...))"
        )
    return next(iter(found), None)


def is_parallel(module: Any) -> bool:
    """Whether diffusers' `enable_parallelism` has been called on a module."""
    return getattr(module, "_parallel_config", None) is not None


def _configured(module: Any) -> Ranks | None:
    """What one module's configuration says."""
    config = getattr(module, "_parallel_config", None)
    context = getattr(config, "context_parallel_config", None)
    tensor = getattr(config, "tensor_parallel_config", None)
    if context is not None:
        members = _ranks_in(context._flattened_mesh)
        ranks = Ranks(members, sequence=members)
    elif tensor is not None:
        ranks = Ranks(_ranks_in(tensor._mesh))
    else:
        return None
    return ranks if len(ranks.members) > 1 else None


def _ranks_in(mesh: Any) -> tuple[int, ...]:
    """The global ranks of a device mesh of one dimension, as far as this process is in it."""
    import torch.distributed

    ranks: list[int] = torch.distributed.get_process_group_ranks(mesh.get_group())
    return tuple(ranks)
