"""The composer: a recipe and a target become a stack, or an error that says what to change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sraccel.errors import ConflictError, ModelError, PluginError
from sraccel.loop.accelerator import Accelerator
from sraccel.loop.answers import refuse
from sraccel.loop.claims import check_claims
from sraccel.loop.denoiser import Contribution, Denoiser, denoisers_in, recognise
from sraccel.loop.hooks import LoopHooks
from sraccel.loop.stack import Stack
from sraccel.models.partners import check_partners
from sraccel.noise.space import noise_space_of
from sraccel.recipe.catalogue import installed
from sraccel.recipe.discovery.requirements import unmet
from sraccel.recipe.recipe import Recipe
from sraccel.report.build import build_report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from sraccel.loop.denoiser_adapter import DenoiserAdapter
    from sraccel.loop.ranks import Ranks
    from sraccel.noise.space import NoiseSpace

BARE = "denoiser"
"""Role of a module that was given without a pipeline."""


def compose(
    target: Any,
    recipe: Any,
    *,
    adapters: Sequence[DenoiserAdapter] = (),
    noise_space: NoiseSpace | None = None,
    role: str | None = None,
    ranks: Ranks | None = None,
) -> Stack:
    """Make a stack that applies a recipe to a pipeline or to a bare denoiser.

    Nothing is touched before the stack is attached (by `with`, or `attach`).

    Args:
        target: a diffusers pipeline, or a denoiser module that your own loop calls.
        recipe: a `Recipe`, a list of accelerators, a mapping, a file, or a shipped recipe's name.
            A list may hold instances of accelerators: what one writes can be tried without being
            packaged.
        adapters: adapters for denoisers that no installed plugin knows; asked first.
        noise_space: what a bare denoiser's inputs mean; needed where a render model has another
            scale or schedule. A pipeline's is read from its scheduler and VAE.
        role: of the target's one denoiser, where it is not the pipeline's own word: `render` for a
            pipeline that goes on with another one's video.
        ranks: the processes that make one video together, where diffusers' `enable_parallelism`
            does not say: what they decide is then equal on all of them.

    Raises:
        RecipeError: the recipe is not valid.
        ConflictError: its accelerators contradict each other or the target.
        ModelError: a model is missing, unknown, or does not fit its partner.
        PluginError: an accelerator needs a package that is not installed here.
    """
    recipe, accelerators = instances(recipe)
    check_requirements(accelerators)
    known = [*adapters, *installed().adapters]
    hooks = LoopHooks(accelerators)
    check_claims(accelerators, hooks)
    pipeline, requested = _denoisers_of(target, known, noise_space, role)
    check_families(accelerators, list(requested.values()))
    stack = Stack(recipe, pipeline, requested, accelerators, hooks, known, build_report, ranks)
    stack.check_free()
    _contribute(stack)
    stack.check()
    return stack


def instances(recipe: Any) -> tuple[Recipe, list[Accelerator]]:
    """A recipe, and an instance of each of its accelerators; those given are taken as they are."""
    if not isinstance(recipe, (list, tuple)):
        recipe = Recipe.load(recipe)
        return recipe, [item.accelerator(item) for item in recipe.accelerators]
    given = [item for item in recipe if isinstance(item, Accelerator)]
    made = {id(one.options): one for one in given}
    items = [item.options if isinstance(item, Accelerator) else item for item in recipe]
    recipe = Recipe.load(items)
    return recipe, [made.get(id(item)) or item.accelerator(item) for item in recipe.accelerators]


def check_requirements(accelerators: list[Accelerator]) -> None:
    """Refuse accelerators whose `requires` do not hold here.

    Raises:
        PluginError: naming the first, what it lacks, and what to install.
    """
    for accelerator in accelerators:
        for lack in unmet(accelerator.requires):
            raise PluginError(
                f"{accelerator.name!r} cannot run here: {lack}", accelerator=accelerator.name
            )


def check_families(accelerators: list[Accelerator], denoisers: list[Denoiser]) -> None:
    """Refuse accelerators that are made for other model families.

    Raises:
        ConflictError: naming accelerator, families and model.
    """
    for accelerator in accelerators:
        for denoiser in denoisers:
            families = accelerator.families
            if families is not None and denoiser.family not in families:
                raise ConflictError(
                    f"{accelerator.name!r} works with {', '.join(sorted(families))}; "
                    f"the target's denoiser {denoiser.role!r} is of the family "
                    f"{denoiser.family!r}: leave {accelerator.name!r} out of the recipe",
                    accelerators=[accelerator.name],
                )


def _denoisers_of(
    target: Any,
    adapters: list[DenoiserAdapter],
    noise_space: NoiseSpace | None,
    role: str | None,
) -> tuple[Any, dict[str, Denoiser]]:
    """The pipeline (None for a bare module) and its denoisers by attribute."""
    from torch import nn

    if isinstance(target, nn.Module):
        bare = _not_wrapped(target)
        own = recognise(role or BARE, bare, adapters, None, noise_space, attribute=BARE)
        return None, {BARE: own}
    if not hasattr(target, "scheduler"):
        raise ModelError(
            f"cannot accelerate a {type(target).__name__}: give a diffusers pipeline (with a "
            f"scheduler and a transformer) or a denoiser module"
        )
    vae = getattr(target, "vae", None)
    space = noise_space or noise_space_of(target.scheduler, getattr(vae, "config", None))
    found = {
        attribute: recognise(
            role or attribute, _not_wrapped(module), adapters, target, space, attribute
        )
        for attribute, module in denoisers_in(target).items()
    }
    if role is not None and len(found) > 1:
        raise ModelError(f"a pipeline of two experts cannot be used as {role!r}")
    if not found:
        raise ModelError(f"{type(target).__name__} has no denoiser (transformer, unet, prior ...)")
    return target, found


def _not_wrapped(module: nn.Module) -> nn.Module:
    """Refuse `torch.compile(module)`: it would trace the seams along with the model."""
    if hasattr(module, "_orig_mod"):
        raise ConflictError(
            f"the {type(module._orig_mod).__name__} is wrapped by torch.compile(...): use its "
            f"`compile_repeated_blocks()` instead (or `compile()`, where no cache is in the recipe)"
        )
    return module


def _contribute(stack: Stack) -> None:
    """Add the denoisers that accelerators bring."""
    for name, brought in stack.hooks.contribute_denoisers(stack):
        own = stack.own
        if not isinstance(brought, Mapping) or not all(isinstance(role, str) for role in brought):
            what = f"{brought!r}: it must be a mapping from roles to denoisers"
            refuse(name, "contribute_denoisers", None, what)
        for role, item in brought.items():
            if role in stack.denoisers:
                raise PluginError(
                    f"{name!r} brings a denoiser {role!r}, which is there already",
                    accelerator=name,
                    hook="contribute_denoisers",
                )
            new = item if isinstance(item, Contribution) else Contribution(item)
            # Equal ones become one object: they are compared at every call.
            differs = new.noise_space not in (None, own.noise_space)
            space = new.noise_space if differs else own.noise_space
            denoiser = recognise(role, new.module, stack.adapters, stack.pipeline, space)
            check_partners(own, denoiser)
            stack.add(denoiser, new)
