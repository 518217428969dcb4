"""What a stack skips, and what stands in for it: its rule, its predictor, and their history."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from sraccel.errors import ConflictError
from sraccel.loop.history import History, Like
from sraccel.loop.hooks import FAILURES, LoopHooks, blamed
from sraccel.loop.scope import Decisions

if TYPE_CHECKING:
    import torch

    from sraccel.loop.accelerator import Accelerator
    from sraccel.loop.call import Call, Level
    from sraccel.loop.denoiser import Denoiser

HOOK_OF = {"call": "skip_call", "blocks": "skip_blocks"}
"""The hook by which a rule decides about a level."""
WHAT = {"call": "whole calls (a denoiser's output)", "blocks": "blocks (their residual)"}
"""What is skipped and predicted at a level."""


class Skipping:
    """One rule and one predictor at most; without a predictor, the last computed value stands in.

    Attributes:
        rule: the accelerator that decides when to skip, or None.
        predictor: the accelerator that predicts what stands in, or None.
        calls: whether whole calls may be skipped; blocks: whether blocks may be; answers: whether
            calls may be answered otherwise.
        keeps: how many computed values are kept.
        keeper: the name of the accelerator that they are kept for.
    """

    def __init__(self, hooks: LoopHooks, accelerators: Sequence[Accelerator]) -> None:
        self._hooks = hooks
        by_name = {accelerator.name: accelerator for accelerator in accelerators}
        rules, predictors = hooks.who(*HOOK_OF.values()), hooks.who("predict")
        self.rule = by_name[rules[0]] if rules else None
        self.predictor = by_name[predictors[0]] if predictors else None
        levels = self._levels(hooks)
        self.calls, self.blocks = "call" in levels, "blocks" in levels
        self.answers = hooks.anyone("answer_call")
        self.keeps = 1 if self.predictor is None else self.predictor.history_length
        self.keeper = next((one.name for one in (self.predictor, self.rule) if one), "")
        self._check_levels(levels)

    def _levels(self, hooks: LoopHooks) -> frozenset[Level]:
        """The levels at which the rule is asked."""
        wanted: frozenset[Level] = frozenset() if self.rule is None else self.rule.levels
        return frozenset(level for level in wanted if hooks.anyone(HOOK_OF[level]))

    def _check_levels(self, asked: frozenset[Level]) -> None:
        """Refuse a predictor of another level than the rule's.

        Raises:
            ConflictError: naming both.
        """
        if self.rule is None or self.predictor is None or asked <= self.predictor.levels:
            return
        rule, predictor = self.rule.name, self.predictor.name
        (missing,) = asked - self.predictor.levels
        ours, theirs = (WHAT[level] for level in sorted(("call", "blocks"), key=missing.__ne__))
        raise ConflictError(
            f"{rule!r} skips {ours}, and {predictor!r} is set to predict {theirs}: set one of them "
            f"to the other's level (options of {rule!r} and {predictor!r}), or leave one out",
            accelerators=[rule, predictor],
        )

    def decisions(self) -> Decisions | None:
        """Those of a new run that hold for several branches; None: each decides for itself."""
        if self.rule is None or self.rule.scope == "each":
            return None
        return Decisions(self.rule.scope)

    def span_of(self, denoiser: Denoiser) -> slice:
        """The blocks of a denoiser that may be skipped, as a slice of its stack."""
        return slice(*((0, None) if self.rule is None else self.rule.span_of(denoiser)))

    def new_history(self) -> History:
        """An empty one, as long as the predictor declares, where the rule or it wants it kept."""
        on_cpu = any(one is not None and one.cache_device == "cpu" for one in self._both)
        return History(self.keeps, "cpu" if on_cpu else "model")

    @property
    def _both(self) -> tuple[Accelerator | None, Accelerator | None]:
        return self.rule, self.predictor

    def stand_in(
        self, call: Call, level: Level, like: torch.Tensor | None = None
    ) -> torch.Tensor | None:
        """What stands in for the call's output, or its blocks' residual; None: compute it.

        Args:
            like: a tensor of its shape, dtype and device; None: as the value computed last.
        """
        history = call.open_history(level)
        if like is not None:
            history.suit(like)
        shared = call.step.run.decisions
        if shared is None:
            decision = self._wish(call, level, history)
        else:
            about = level, call.denoiser.role
            wish = partial(self._wish, call, level, history)
            decision = shared.decide(about, call.step.index, wish)
        if decision is None:
            history.clear()
            call.close_history(level)
            return None
        answer = self._predicted(call, history, like) if decision else None
        agreement = call.step.run.agreement
        if decision and agreement is not None and self.predictor is not None:
            answer = answer if agreement.stands_in(call, answer is not None) else None
        if answer is None:
            history.begin()
            return None
        call.predicted_by, prediction = answer
        call.reused_by = self._rule_name
        call.level = level
        return prediction

    def prediction(self, call: Call) -> torch.Tensor | None:
        """What would stand in at the level that the rule is asked about now; None: nothing."""
        history = call.history
        if history.like is None or not len(history):
            return None
        answer = self._predicted(call, history, None)
        return None if answer is None else answer[1]

    @property
    def _rule_name(self) -> str:
        assert self.rule is not None
        return self.rule.name

    def _wish(self, call: Call, level: Level, history: History) -> bool | None:
        """The rule's decision, to skip only where there is anything to predict from."""
        decision = self._hooks.decide(HOOK_OF[level], call)
        decision = decision and (len(history) > 0 or self.keeps == 0)
        agreement = call.step.run.agreement
        if agreement is None:
            return decision
        by_all = self.rule is not None and self.rule.scope == "consensus"
        return agreement.decided(call, HOOK_OF[level], decision, by_all=by_all)

    def _predicted(
        self, call: Call, history: History, like: torch.Tensor | None
    ) -> tuple[str | None, torch.Tensor] | None:
        if self.predictor is not None:
            wanted = history.like if like is None else Like.of(like)
            return None if wanted is None else self._hooks.predict(call, wanted)
        if not len(history):  # the branch that decided for all is not this one
            return None
        value = history[-1].value
        # The loop may guide in place; a residual is only added.
        return None, value.clone() if call.level == "call" else value

    def computed(self, call: Call, level: Level, value: torch.Tensor) -> None:
        """Keep a value that was computed, unless the rule rests."""
        history = call.kept_history(level)
        if history is None:
            return
        kept = value if self.predictor is None else self._wanted(self.predictor, call, level, value)
        history.add(value, kept.clone() if level == "call" and kept is value else kept, call.step)

    def _wanted(
        self, predictor: Accelerator, call: Call, level: Level, value: torch.Tensor
    ) -> torch.Tensor:
        """What the predictor wants kept of a value."""
        call.level = level
        try:
            return predictor.history_value(call, value)
        except FAILURES as error:
            raise blamed(predictor.name, "history_value", call, error) from error
