"""What rules measure of tensors, over all ranks that hold parts of one sequence.

Under sequence parallelism a rank sees a shard of what is inside the model, and of its mean a part.
While a call is served (`measured_over`), the means here are those of the whole, the same bits on
every rank; on one rank they are torch's own. Outside of a call (`step_finished`) nothing is a
shard: the loop has gathered the prediction.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from sraccel.loop.agreement import Agreement
    from sraccel.loop.call import Call


class _Serving(threading.local):
    """What this thread measures for."""

    agreement: Agreement | None = None


_serving = _Serving()


def mean(values: torch.Tensor) -> torch.Tensor:
    """The mean of a tensor's elements; of all of them, where other ranks hold the rest.

    Returns:
        A 0-dim tensor of the same dtype and device.

    Raises:
        RanksError: the ranks of a sequence do not measure at the same place, or one is missing.
    """
    agreement = _serving.agreement
    return values.mean() if agreement is None else agreement.means(values)[0]


def rel_l1_distance(current: Any, previous: Any) -> Any:
    """`mean|current - previous| / mean|previous|`, in the tensors' own dtype; a 0-dim tensor.

    Of the whole tensors, where other ranks hold parts of them.

    Raises:
        RanksError: as `mean`.
    """
    agreement = _serving.agreement
    if agreement is None:
        return (current - previous).abs().mean() / previous.abs().mean()
    change, size = agreement.means((current - previous).abs(), previous.abs())
    return change / size


@contextmanager
def measured_over(agreement: Agreement, call: Call) -> Iterator[None]:
    """Measure over the ranks of a run, for one call of it."""
    outer, _serving.agreement = _serving.agreement, agreement
    agreement.serves(call)
    try:
        yield
    finally:
        _serving.agreement = outer
