"""What an accelerator is tried on: a tiny real pipeline, or a denoiser in a loop of the kit's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from sraccel.loop.denoiser_adapter import DenoiserAdapter
    from sraccel.noise.space import NoiseSpace

STEPS = 6
"""Steps of a run: enough to decide, skip, switch and go on."""
RENDER = "render"
"""Role of the second model that the kit lets an accelerator meet."""


@dataclass(frozen=True, eq=False)
class Target:
    """A pipeline, or a denoiser without one, that is small and always made alike.

    Attributes:
        name: how faults call it.
        roles: of its own denoisers; a recipe may give options by role.
        partner: makes a second model that can take over from the first, of role `render`.
        pipeline: makes the pipeline; None: there is only a denoiser.
        arguments: of a pipeline's call, by keywords `steps` and `seed`.
        denoiser: makes the denoiser for loops of the kit's own; None: only the pipeline is tried.
        inputs: arguments of the denoiser's call, of noisy latents, a timestep and the number of a
            text.
        latents: shape of the noisy latents that `inputs` takes.
        adapters: of the denoiser, where no installed plugin knows it.
        noise_space: of the denoiser without a pipeline.
        thorough: whether everything is tried on it that takes a pipeline (as breaking off runs, or
            each built-in beside the accelerator), or only what it is there for.
        evaluations: how often its solver evaluates the model in a step.
    """

    name: str
    partner: Callable[[], Any]
    roles: tuple[str, ...] = ("transformer",)
    pipeline: Callable[[], Any] | None = None
    arguments: Callable[..., Mapping[str, Any]] | None = None
    denoiser: Callable[[], Any] | None = None
    inputs: Callable[[torch.Tensor, float, int], Mapping[str, Any]] | None = None
    latents: tuple[int, ...] = ()
    adapters: Sequence[DenoiserAdapter] = ()
    noise_space: NoiseSpace | None = None
    thorough: bool = True
    evaluations: int = 1
    _made: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def all_roles(self) -> tuple[str, ...]:
        """Its own denoisers' roles, and that of the partner."""
        return (*self.roles, RENDER)

    def once(self, what: str, make: Callable[[], Any]) -> Any:
        """Something that is the same for every accelerator, made when it is first needed."""
        if what not in self._made:
            self._made[what] = make()
        return self._made[what]

    def __str__(self) -> str:
        return self.name


_standard: list[Target] = []


def standard_targets() -> Sequence[Target]:
    """A tiny Wan pipeline, one of two experts, one under Heun's method; and a toy denoiser.

    Made of the real classes with random weights; nothing is downloaded. What a bare run of each
    gives is computed once in a process.
    """
    if not _standard:
        _standard.append(_toy())
        _standard.extend(_wans())
    return _standard


def _toy() -> Target:
    from functools import partial

    from sraccel.testing import toy

    return Target(
        "a toy denoiser",
        partner=partial(toy.toy_denoiser, seed=7, layers=2),
        denoiser=toy.toy_denoiser,
        inputs=toy.toy_inputs,
        latents=(1, 6, 4),
        adapters=[toy.ToyAdapter()],
        noise_space=_flow(),
    )


def _wans() -> list[Target]:
    from functools import partial

    from sraccel.testing import tiny_wan as tiny

    partner = partial(tiny.tiny_transformer, seed=7, layers=2)
    wan = partial(Target, partner=partner, arguments=tiny.call_arguments)
    lesser, experts = partial(wan, thorough=False), ("transformer", "transformer_2")
    return [
        wan("Wan", pipeline=tiny.tiny_pipeline),
        Target(
            "Wan's transformer",
            partner=partner,
            denoiser=tiny.tiny_transformer,
            inputs=_wan_inputs,
            latents=(1, 4, 2, 8, 8),
            noise_space=_flow(),
        ),
        lesser("Wan with two experts", pipeline=tiny.two_experts_pipeline, roles=experts),
        lesser("Wan under Heun's method", pipeline=tiny.heun_pipeline, evaluations=2),
    ]


def _flow() -> NoiseSpace:
    from sraccel.noise.space import FlowSchedule, NoiseSpace

    return NoiseSpace(FlowSchedule(), "flow_prediction")


def _wan_inputs(noise: torch.Tensor, timestep: float, text: int) -> dict[str, Any]:
    import torch

    from sraccel.testing.tiny_wan import TEXT_DIM

    generator = torch.Generator().manual_seed(text)
    return {
        "hidden_states": noise,
        "timestep": torch.tensor([timestep]),
        "encoder_hidden_states": torch.randn(1, 6, TEXT_DIM, generator=generator),
        "return_dict": False,
    }
