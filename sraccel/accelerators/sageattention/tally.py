"""What became of a denoiser's attention calls in a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sraccel.accelerators.sageattention.kernel import NON_FINITE


@dataclass
class Tally:
    """Attention calls of one denoiser.

    Attributes:
        served: calls that the kernel took.
        fell_back: calls that kept the original attention, by reason.
        uncovered: attention modules whose processor cannot be covered, by class of processor.
        compiled: whether compiled code served calls; `torch.compile` cannot count them.
        compiled_fell_back: why compiled code kept the original attention somewhere, or None.
    """

    served: int = 0
    fell_back: Counter[str] = field(default_factory=Counter)
    uncovered: Counter[str] = field(default_factory=Counter)
    compiled: bool = False
    compiled_fell_back: str | None = None

    @property
    def counted(self) -> int:
        """Calls that were seen, wherever they went."""
        return self.served + self.fell_back.total()

    def reset(self) -> None:
        """Forget the calls; what was found at attaching stays."""
        self.served = 0
        self.fell_back.clear()

    def facts(self) -> dict[str, object]:
        """As the report shows it."""
        facts: dict[str, object] = {
            "served": self.served,
            "fell_back": dict(self.fell_back.most_common()),
        }
        if self.uncovered:
            facts["uncovered"] = dict(self.uncovered)
        if self.compiled:
            facts["compiled"] = True
        if self.compiled_fell_back is not None:
            facts["compiled_fell_back"] = self.compiled_fell_back
        return facts

    def warnings(self, role: str, computed: bool) -> list[str]:
        """What a user should know, in sentences. `computed`: whether the denoiser ran at all."""
        found = [
            f"sageattention: {modules} attention modules of the denoiser {role!r} have a "
            f"processor that cannot be covered ({kind}) and keep the original attention"
            for kind, modules in self.uncovered.items()
        ]
        known = [(why, n) for why, n in self.fell_back.most_common() if why != NON_FINITE]
        if kept := sum(n for _, n in known):
            reasons = ", ".join(f"{why} ({n}x)" for why, n in known)
            found.append(
                f"sageattention: {kept} of {kept + self.served} attention calls of the denoiser "
                f"{role!r} kept the original attention: {reasons}"
            )
        if self.compiled_fell_back is not None:
            found.append(
                f"sageattention: compiled code of the denoiser {role!r} keeps the original "
                f"attention in some calls: {self.compiled_fell_back}"
            )
        if computed and not self.counted and not self.compiled and not self.compiled_fell_back:
            found.append(
                f"sageattention did nothing for the denoiser {role!r}: it ran, but none of its "
                "attention reached the kernel; leave sageattention out"
            )
        return found
