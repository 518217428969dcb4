"""One decision on several ranks: what the ranks of a run agree upon, and how often.

Every rank asks its own accelerators, so that their states go on alike; then the lead's answer
holds. With `scope: consensus` a rule skips only where it would on every rank.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sraccel.errors import RanksError
from sraccel.loop.exchange import NUMBERS, Exchange, connected, least, of_lead, total

if TYPE_CHECKING:
    import torch

    from sraccel.loop.call import Call
    from sraccel.loop.ranks import Ranks
    from sraccel.loop.run import Run
    from sraccel.loop.step import Step

CODES = {False: 0.0, None: 1.0, True: 2.0}
"""A rule's answers as numbers: the least of several is what all can agree to."""
ANSWERS = {code: answer for answer, code in CODES.items()}
Choice = tuple[str, str] | None
"""(accelerator that chose, role of the denoiser that takes the step), or nobody chose."""


class Agreement:
    """What the ranks of one stack ask one another.

    Attributes:
        ranks: who they are.
        rank: this process.
        agreed: how often each kind of thing was agreed upon, since `begin`.
        overruled: how often this rank's own answer was not the one that held, since `begin`.
    """

    def __init__(
        self,
        ranks: Ranks,
        rank: int,
        exchange: Exchange | None = None,
        sequence: Exchange | None = None,
    ) -> None:
        self.ranks, self.rank = ranks, rank
        self._all = exchange or _exchange(ranks, ranks.members, rank)
        self._sequence = sequence
        if sequence is None and len(ranks.sequence) > 1:
            same = ranks.sequence == ranks.members
            self._sequence = self._all if same else _exchange(ranks, ranks.sequence, rank)
        self._where = ""
        self.agreed: Counter[str] = Counter()
        self.overruled = 0

    def planned(self, asked: int, levels: Sequence[float] | None) -> list[float] | None:
        """The noise levels that all ranks take; None: as the loop asked.

        Args:
            asked: how many steps the loop asked for.
            levels: what this rank's accelerators planned.
        """
        own = None if levels is None else [float(level) for level in levels]
        where = f"{asked} steps are planned"
        number = -1.0 if own is None else float(len(own))
        (held,) = self._all.ask(f"{where}: how many", (number,), of_lead)
        self.agreed["step plans"] += 1
        self.overruled += held != number
        if held < 0:
            return None
        taken: list[float] = []
        mine = [*(own or ()), *[0.0] * int(held)]
        for start in range(0, int(held), NUMBERS):
            part = tuple(mine[start : min(start + NUMBERS, int(held))])
            taken += self._all.ask(f"{where}: levels from {start}", part, of_lead)
        if held == number and taken != own:
            self.overruled += 1
        return taken

    def began(self, call: Call) -> None:
        """See that all ranks make the same: asked at a run's first call."""
        self.serves(call)
        self._all.ask(f"{self._where}: the run's first call", (), of_lead)

    def chosen(self, step: Step, own: Choice) -> Choice:
        """Which accelerator chose which denoiser for a step; also sees that all are at that step.

        Raises:
            RanksError: a rank is at another step, or is missing.
        """
        run = step.run
        names = [one.name for one in run.stack.accelerators]
        roles = list(run.stack.denoisers)
        code = (-1.0, -1.0)
        if own is not None and own[1] not in roles:
            return own  # an error, which who asked raises
        if own is not None:
            code = float(names.index(own[0])), float(roles.index(own[1]))
        at = "" if step.timestep is None else f", timestep {step.timestep:g}"
        question = f"step {step.index} of {run.num_inference_steps}{at}: which denoiser takes it"
        name, role = self._all.ask(question, code, of_lead)
        self.agreed["denoisers of steps"] += 1
        self.overruled += (name, role) != code
        return None if name < 0 else (names[int(name)], roles[int(role)])

    def decided(self, call: Call, hook: str, own: bool | None, *, by_all: bool) -> bool | None:
        """Whether to skip, on every rank.

        Args:
            own: what this rank's rule answered; None: it rests.
            by_all: whether a rule must wish to skip on every rank.
        """
        self.serves(call)
        question = f"{self._where}: {hook} of {call.denoiser.role}"
        (held,) = self._all.ask(question, (CODES[own],), least if by_all else of_lead)
        self.agreed["decisions to skip or compute"] += 1
        self.overruled += held != CODES[own]
        return ANSWERS[held]

    def stands_in(self, call: Call, own: bool) -> bool:
        """Whether the predictor has something to stand in, on every rank."""
        self.serves(call)
        (held,) = self._all.ask(f"{self._where}: is it predicted", (float(own),), least)
        self.overruled += held != own
        return bool(held)

    def means(self, *values: torch.Tensor) -> list[torch.Tensor]:
        """The mean of each tensor over all its elements, those of other ranks included.

        Each of `values` may be of another size on each rank. What is replicated has the mean that
        it has on one.
        """
        if self._sequence is None:
            return [value.mean() for value in values]
        import torch

        sums = torch.stack([value.sum(dtype=torch.float64) for value in values]).tolist()
        numbers = (*sums, *(float(value.numel()) for value in values))
        found = self._sequence.ask(f"{self._where}: a mean", numbers, total)
        self.agreed["means"] += len(values)
        half = len(values)
        means = [whole / number for whole, number in zip(found[:half], found[half:], strict=True)]
        return [value.new_tensor(mean) for value, mean in zip(values, means, strict=True)]

    def serves(self, call: Call) -> None:
        """What is asked next is asked for this call."""
        step = call.step
        shape = " x ".join(str(size) for size in call.model_input.shape)
        self._where = f"step {step.index}, call {len(step.calls)}, latents {shape}"

    def begin(self) -> None:
        """Count anew."""
        self.agreed, self.overruled = Counter(), 0

    def ended(self, run: Run) -> None:
        """See that all ranks end a run at the same step.

        Raises:
            RanksError: another rank goes on.
        """
        where = f"{len(run.steps)} of {run.num_inference_steps} steps"
        self._all.ask(f"the run ends after {where}", (), of_lead)

    def leave(self) -> None:
        """Ask nothing more: the others' next question fails at once."""
        self._all.close()
        if self._sequence is not None:
            self._sequence.close()


def _exchange(ranks: Ranks, members: tuple[int, ...], rank: int) -> Exchange:
    return Exchange(members, rank, ranks.timeout, connected(members, rank))


def agreement_of(ranks: Ranks | None) -> Agreement | None:
    """The agreement that this process takes part in; None where it makes its video alone.

    Raises:
        RanksError: torch.distributed is not initialised, or this process is none of the ranks.
    """
    if ranks is None or len(ranks.members) < 2:
        return None
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        raise RanksError(
            f"compose(..., ranks=...) names the ranks {ranks.members}, and torch.distributed is "
            f"not initialised here: start under torchrun and call init_process_group() first"
        )
    rank = dist.get_rank()
    own = {"members": ranks.members, **({"sequence": ranks.sequence} if ranks.sequence else {})}
    for name, among in own.items():
        if rank not in among:
            raise RanksError(
                f"this process is rank {rank}, which is not among Ranks({name}={among})", rank=rank
            )
    return Agreement(ranks, rank)
