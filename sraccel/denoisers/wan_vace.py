"""Wan VACE: video steered by a control video (`WanVACETransformer3DModel`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sraccel.denoisers.wan import WanAdapter
from sraccel.plugin import Call, ModelError, argument

if TYPE_CHECKING:
    import torch
    from torch import nn

CONTROL, SCALES = "control_hidden_states", "control_hidden_states_scale"


class WanVACEAdapter(WanAdapter):
    """Wan's blocks, and before them the control blocks that compute a hint for some of them.

    Both are one stack, so a skipped step computes no hints either. The residual holds what they
    add.
    """

    family = "wan-vace"
    model_class = "WanVACETransformer3DModel"
    block_lists = ("vace_blocks", "blocks")
    shared_config = (*WanAdapter.shared_config, "vace_in_channels")

    def tail(self, module: nn.Module) -> nn.Module | None:
        """The last block, as for Wan; `norm_out` if a hint is added after the last block."""
        model = cast(Any, module)
        last_takes_hint = len(model.blocks) - 1 in model.config["vace_layers"]
        return model.norm_out if last_takes_hint else None

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        if name == "time_embedding":
            return super().modulated_input(call, name)
        temb: torch.Tensor = argument(*call.block_arguments, 3, "temb")
        return temb

    def sibling_arguments(self, module: nn.Module, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments, with as many scales of hints as the model has control blocks.

        Raises:
            ModelError: the hints of the pipeline's own model are not all scaled alike.
        """
        scales, hints = arguments.get(SCALES), len(cast(Any, module).vace_blocks)
        if scales is None or len(scales) == hints:
            return arguments
        if len(set(scales.tolist())) > 1:
            raise ModelError(
                f"the pipeline scales {len(scales)} hints differently, but the model that is "
                f"called makes {hints}: give one number as `conditioning_scale`"
            )
        return {**arguments, SCALES: scales[:1].expand(hints)}

    def unchanged(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        hidden = self.block_input(args, kwargs)
        if len(args) < 5 and CONTROL not in kwargs:
            return hidden
        # A control block: a hint that adds nothing, and the control stream.
        return hidden.new_zeros(()), argument(args, kwargs, 2, CONTROL)
