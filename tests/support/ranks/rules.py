"""Rules that measure the shard which a rank sees: with sraccel's means, and without."""

from __future__ import annotations

import torch

from sraccel.plugin import Accelerator, Call, RuleOptions, hookimpl, rel_l1_distance


class ShardChange(Accelerator):
    """Skips the blocks while their input is near that of the last computed step."""

    name = "shard-change"

    class Options(RuleOptions):
        """How near."""

        threshold: float = 0.3

    options: Options

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        computed: dict[str, torch.Tensor] = call.memory(self, dict)
        before, now = computed.get("input"), call.block_input
        call.step.run.note(self, tokens=now.shape[1])
        if before is not None and self.distance(now, before) < self.options.threshold:
            return True
        computed["input"] = now.clone()
        return False

    def distance(self, now: torch.Tensor, before: torch.Tensor) -> float:
        """As sraccel measures it: of the whole."""
        return float(rel_l1_distance(now, before))


class LocalChange(ShardChange):
    """The same rule by a mean of its own, which is that of a shard."""

    name = "local-change"

    class Options(ShardChange.Options):
        """The same."""

    def distance(self, now: torch.Tensor, before: torch.Tensor) -> float:
        return float((now - before).abs().mean() / before.abs().mean())
