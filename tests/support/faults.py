"""Broken accelerators, and the words by which the check says what is wrong with each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from faulty.hooks import (
    AttachesAnother,
    AttachesByItself,
    CountsEvaluations,
    DecidesByANumber,
    EndsTheProgram,
    ExpectsEveryBlock,
    ForgetsTheMark,
    KnowsOneModel,
    NotesATensor,
    PredictsANumber,
    PredictsWhatBroadcasts,
    PredictsWholeNumbers,
    RefusesLate,
    WaitsForStep24,
    WritesInPlace,
)
from faulty.models import (
    LEFT_BY_DIFFUSERS,
    AppendsABlock,
    BringsHalfAModel,
    ChangesAWeight,
    ForgetsToRestore,
    HooksInACache,
    LeavesAutocast,
    SkipsByItself,
    StaysInCopies,
    TurnsOnACache,
    WrapsTheScheduler,
)
from faulty.state import (
    KeepsEveryModel,
    KeepsItsCount,
    MixesBranches,
    SharesItsState,
    UsesTheOldModels,
    WorksInAThread,
)

from sraccel.plugin import Accelerator
from sraccel.testing import BehaviourError, Target, standard_targets


@dataclass(frozen=True)
class Faulty:
    """An accelerator that does something wrong.

    Attributes:
        entry: what is given to the check.
        invariant: the one that it breaks.
        words: of the check; for `...` in them, anything.
        where: the target on which that shows, and whether the thorough checks of a pipeline are
            needed.
        more: further arguments of the check.
    """

    entry: Any
    invariant: str
    words: str
    where: tuple[str, bool] = ("a toy denoiser", False)
    more: Mapping[str, Any] | None = None

    @property
    def kind(self) -> type[Accelerator]:
        """Its class."""
        made = self.entry if isinstance(self.entry, type) else self.entry(standard_targets()[0])
        return made if isinstance(made, type) else type(made)

    def said_by(self, error: BehaviourError) -> bool:
        """Whether the check says so."""
        pattern = ".*".join(map(re.escape, self.words.split("...")))
        return any(
            fault.invariant == self.invariant and re.search(pattern, fault.seen)
            for fault in error.faults
        )

    def targets(self) -> list[Target]:
        """The smallest target on which the fault shows."""
        name, thorough = self.where
        (found,) = [target for target in standard_targets() if target.name == name]
        return [replace(found, thorough=thorough)]


def _of_partner(kind: Callable[[Any], Accelerator]) -> Callable[[Target], Accelerator]:
    return lambda target: kind(target.partner())


WAN, WAN_WHOLE, HEUN = ("Wan", False), ("Wan", True), ("Wan under Heun's method", False)
FAULTY = [
    Faulty(
        ChangesAWeight,
        "restoration",
        "after leaving normally: ...the weight ... has other values",
        WAN,
    ),
    Faulty(
        SharesItsState,
        "stacks",
        "where two stacks take steps in turn, it answers otherwise from step ... on",
    ),
    Faulty(
        WorksInAThread,
        "release",
        "a thread that it started failed: LoopError: two threads use one stack at a time",
        WAN,
    ),
    Faulty(
        PredictsANumber,
        "hooks",
        "answered the hook predict at step 1 with int 5: it must be a tensor, or None",
    ),
    Faulty(
        PredictsWhatBroadcasts,
        "hooks",
        "answered the hook predict at step 1 with a tensor of shape (1,): it must have shape",
    ),
    Faulty(
        PredictsWholeNumbers,
        "hooks",
        "with a tensor of dtype torch.int64: it must have dtype torch.float32",
    ),
    Faulty(
        DecidesByANumber,
        "hooks",
        "answered the hook skip_blocks at step 0 with int 0: it must be True, False or None",
    ),
    Faulty(
        SkipsByItself,
        "attribution",
        "at step 1 (cond) ... modules of the blocks did not run, and the report says that the"
        " call was computed",
        WAN,
    ),
    Faulty(
        SkipsByItself,
        "claims",
        "it leaves out blocks, or parts of them, by means of its own, and claims nothing",
        WAN,
    ),
    Faulty(
        EndsTheProgram,
        "hooks",
        "PluginError: accelerator 'ends-the-program' raised SystemExit in hook run_finished",
    ),
    Faulty(
        ForgetsTheMark,
        "hooks",
        "the method skip_blocks has the name of a hook and is not marked @hookimpl, so it is "
        "never called",
        WAN,
    ),
    Faulty(
        _of_partner(KnowsOneModel),
        "hooks",
        "raised KeyError in hook prepare_denoiser",
    ),
    Faulty(
        AttachesByItself,
        "composing",
        "after `compose`: the stack is attached already",
        WAN,
    ),
    Faulty(
        AttachesAnother,
        "refusal",
        "ConflictError: a stack ...is attached to the denoiser 'transformer' already",
        WAN,
    ),
    Faulty(
        WaitsForStep24,
        "silence",
        "a run of 6 steps is the bare one, bit for bit, and no warning says why",
        WAN,
    ),
    Faulty(
        _of_partner(BringsHalfAModel),
        "models",
        "of the model 'render', the weight ... is on the meta device: it was never loaded",
        WAN,
    ),
    Faulty(
        WrapsTheScheduler,
        "signatures",
        "scheduler.step(*args, **kwargs) while attached: pipelines read which arguments it takes",
        WAN,
    ),
    Faulty(
        CountsEvaluations,
        "evaluations",
        "of ... steps of Heun's method it skipped the second evaluation alone in ..., and in "
        "none both",
        HEUN,
    ),
    Faulty(
        TurnsOnACache,
        "claims",
        "beside teacache it is refused in the run only (ConflictError: ...)",
        WAN_WHOLE,
        {"leaves": LEFT_BY_DIFFUSERS},
    ),
    Faulty(
        HooksInACache,
        "claims",
        "it leaves out blocks, or parts of them, by means of its own, and claims nothing",
        WAN,
        {"leaves": LEFT_BY_DIFFUSERS},
    ),
    Faulty(
        AppendsABlock,
        "identity",
        "nothing was decided, and the latents differ from step 0 on",
        WAN,
    ),
    Faulty(
        ExpectsEveryBlock,
        "composition",
        "beside teacache: PluginError: accelerator 'expects-every-block' raised KeyError",
        WAN_WHOLE,
    ),
    Faulty(
        KeepsEveryModel,
        "release",
        "after pipeline and stack are dropped, something holds transformer",
        WAN_WHOLE,
    ),
    Faulty(
        StaysInCopies,
        "copies",
        "of a deep copy, made while attached: it does not run bare",
        WAN_WHOLE,
    ),
    Faulty(
        LeavesAutocast,
        "identity",
        "the latents differ from step ... on under torch.autocast(bfloat16)",
        WAN,
        {"options": {"strength": 0.9}, "idle": {"strength": 1.0}},
    ),
    Faulty(
        RefusesLate,
        "refusal",
        "ModelError: this model has no text encoder of mine",
    ),
    Faulty(
        KeepsItsCount,
        "runs",
        "after a run on other latents, it answers otherwise from step ... on",
    ),
    Faulty(
        MixesBranches,
        "branches",
        "another text in 'uncond', or a branch less, changes step ...",
    ),
    Faulty(
        UsesTheOldModels,
        "freshness",
        "other inputs before it change the answer of step 3",
    ),
    Faulty(
        WritesInPlace,
        "identity",
        "nothing was decided, and the latents differ from step 0 on",
        WAN,
    ),
    Faulty(
        NotesATensor,
        "report",
        "notes ['mean']: TypeError: Object of type Tensor is not JSON serializable",
        WAN,
    ),
    Faulty(
        ForgetsToRestore,
        "restoration",
        "after leaving by an exception: ...has a new attribute 'forward'",
        WAN_WHOLE,
    ),
]
"""Each broken accelerator, and what the check says of it."""
