"""Claims: what accelerators of one stack own, alone or together. The one vocabulary of conflict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sraccel.errors import ConflictError, PluginError
from sraccel.text import did_you_mean

if TYPE_CHECKING:
    from sraccel.loop.accelerator import Accelerator
    from sraccel.loop.hooks import LoopHooks

BY_HOOK = {
    "denoiser": ("select_denoiser",),
    "steps": ("plan_steps",),
    "rule": ("skip_call", "skip_blocks"),
    "predictor": ("predict",),
}
"""Claims that an accelerator makes by implementing a hook: only one of a stack may."""

CLAIMS = {
    "denoiser": "choose which model denoises a step",
    "steps": "plan which noise levels a run takes",
    "rule": "decide when to skip",
    "predictor": "predict what stands in for what is skipped",
    "attention": "replace how attention is computed",
    "linear": "replace how linear layers are computed (quantisation)",
    "compilation": "compile the denoiser",
    "blocks": "replace or leave out some of the blocks, or parts of them",
    "guidance": "change which guidance branches are computed",
    "tokens": "change how many tokens the blocks see",
    "vae": "change how the VAE works",
    "text_encoder": "change how prompts are encoded",
}
"""Every name of a claim, and what two accelerators that make it would both do."""


@dataclass(frozen=True)
class Claim:
    """What an accelerator owns.

    Attributes:
        name: one of `CLAIMS`, or a name of your own with a dot in it, as in `mylib.layout`.
        shared: whether others may make the same claim, shared too.
        before: claims whose owners must come later in the recipe than this accelerator.
        after: claims whose owners must come earlier.
    """

    name: str
    shared: bool = False
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def claims_of(accelerator: type[Accelerator] | Accelerator, hooks: Iterable[str]) -> list[Claim]:
    """All claims of an accelerator, those by its hooks first.

    Args:
        accelerator: whose.
        hooks: names of the hooks that it implements.

    Raises:
        PluginError: a claim's name is not one of `CLAIMS`.
    """
    implemented = set(hooks)
    found = {name: Claim(name) for name, by in BY_HOOK.items() if implemented & set(by)}
    for given in sorted(accelerator.claims, key=str):
        claim = Claim(given) if isinstance(given, str) else given
        for name in (claim.name, *claim.before, *claim.after):
            _check_name(name, accelerator.name)
        found[claim.name] = claim
    return list(found.values())


def _check_name(name: str, accelerator: str) -> None:
    if name not in CLAIMS and "." not in name:
        raise PluginError(
            f"accelerator {accelerator!r} claims {name!r}, which is none of the known claims"
            f"{did_you_mean(name, CLAIMS)} ({', '.join(CLAIMS)}); a name of your own has a dot "
            f"in it, as in 'mylib.{name}'",
            accelerator=accelerator,
        )


def check_claims(accelerators: Sequence[Accelerator], hooks: LoopHooks) -> None:
    """Refuse accelerators that would both own what only one can, or that stand in a wrong order.

    Raises:
        ConflictError: naming them, and what to do.
    """
    claims = [(one.name, claims_of(one, hooks.of(one.name))) for one in accelerators]
    for name in dict.fromkeys(claim.name for _, made in claims for claim in made):
        _check_owners(name, [(who, c) for who, made in claims for c in made if c.name == name])
    for place, (who, made) in enumerate(claims):
        names = {claim.name for claim in made}
        for other, theirs in claims[place + 1 :]:
            wrong = {name for claim in made for name in claim.after} & {c.name for c in theirs}
            wrong |= names & {name for claim in theirs for name in claim.before}
            for name in sorted(wrong):
                raise ConflictError(
                    f"{who!r} must come after {other!r} in the recipe, because of the claim "
                    f"{name!r}: list {other!r} first",
                    accelerators=[who, other],
                )


def _check_owners(name: str, owners: list[tuple[str, Claim]]) -> None:
    if len(owners) > 1 and not all(claim.shared for _, claim in owners):
        names = [who for who, _ in owners]
        listed = " and ".join(map(repr, names))
        what = CLAIMS.get(name, f"own {name}")
        raise ConflictError(
            f"{listed} both {what} (the claim {name!r}): keep one of them in the recipe",
            accelerators=names,
        )
