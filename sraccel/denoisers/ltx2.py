"""LTX-2, videos with sound (`LTX2VideoTransformer3DModel`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from sraccel.plugin import Call, DenoiserAdapter, ModelError, argument

if TYPE_CHECKING:
    import torch
    from torch import nn

AUDIO = "audio_hidden_states"
AUDIO_TEXT_WIDTH = "audio_cross_attention_dim"
PERTURBED = "spatio_temporal_guidance_blocks"


class LTX2Adapter(DenoiserAdapter):
    """Blocks take and return (video, audio), and both come out; the residual ends at the last one.

    So the carried stream is both as one sequence, video first. Audio is narrower: its tokens end in
    zeros there.

    TeaCache's authors publish nothing for it; the modulated input is the video's, taken as for
    LTX-Video: the first block's, normed, scaled and shifted.
    """

    family = "ltx2"
    model_class = "LTX2VideoTransformer3DModel"
    block_lists = ("transformer_blocks",)
    shared_config = (
        "in_channels",
        "out_channels",
        "patch_size",
        "patch_size_t",
        "audio_in_channels",
        "audio_out_channels",
        "audio_patch_size",
        "audio_patch_size_t",
        "audio_scale_factor",
        "audio_sampling_rate",
        "audio_hop_length",
        "causal_offset",
        "vae_scale_factors",
        "use_prompt_embeddings",
        "caption_channels",
    )
    modulated_inputs = ("modulated_hidden_states",)
    one_scheduler = False  # a copy of it steps the audio

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        block = self.first_block(call.denoiser.module)
        given: torch.Tensor = argument(*call.block_arguments, 4, "temb")
        hidden = self._streams(*call.block_arguments)[0]
        table: torch.Tensor = block.scale_shift_table
        # As in the block: six or nine modulations a token, of which shift and scale come first.
        values = table[None, None].to(given.device) + given.reshape(
            *given.shape[:2], table.shape[0], -1
        )
        shift, scale = values[:, :, 0], values[:, :, 1]
        modulated: torch.Tensor = block.norm1(hidden) * (1 + scale) + shift
        return modulated

    def interface(self, module: nn.Module) -> Mapping[str, object]:
        """What goes into and comes out of both streams, and what the loop counts positions by."""
        config = cast(Any, module).config
        facts = dict(super().interface(module))
        facts["audio_out_channels"] = config["audio_out_channels"] or config["audio_in_channels"]
        if not config["use_prompt_embeddings"]:  # from LTX-2.3 on: the text comes that wide
            facts |= {key: config[key] for key in ("cross_attention_dim", AUDIO_TEXT_WIDTH)}
        return facts

    def sibling_arguments(self, module: nn.Module, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments, if spatio-temporal guidance can perturb the model as it is asked to.

        Raises:
            ModelError: it cannot; guidance would then compare the model with itself.
        """
        arguments = super().sibling_arguments(module, arguments)
        config, blocks = cast(Any, module).config, arguments.get(PERTURBED) or ()
        if blocks and not (config["perturbed_attn"] and max(blocks) < config["num_layers"]):
            raise ModelError(
                f"the pipeline perturbs the blocks {list(blocks)} (`{PERTURBED}`), and the model "
                f"that is called has {config['num_layers']} blocks, whose attention "
                f"{'can' if config['perturbed_attn'] else 'cannot'} be perturbed: name other "
                f"blocks, or set `stg_scale` and `audio_stg_scale` to 0"
            )
        return arguments

    def block_input(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
        return _joined(*self._streams(args, kwargs))

    def unchanged(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._streams(args, kwargs)

    def carried(self, output: Any) -> torch.Tensor:
        return _joined(*output)

    def with_carried(self, output: Any, carried: torch.Tensor) -> Any:
        video, audio = output
        tokens = video.shape[1]
        return (
            carried[:, :tokens, : video.shape[2]].contiguous(),
            carried[:, tokens:, : audio.shape[2]].contiguous(),
        )

    def _streams(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Video and audio among the arguments of a block."""
        return argument(args, kwargs, 0, "hidden_states"), argument(args, kwargs, 1, AUDIO)


def _joined(video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
    """Both as one sequence of tokens, as wide as the wider one."""
    import torch
    from torch.nn.functional import pad

    width = max(video.shape[2], audio.shape[2])
    return torch.cat([pad(one, (0, width - one.shape[2])) for one in (video, audio)], dim=1)
