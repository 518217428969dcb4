"""LoRAs: those of the pipeline's model do not reach the render model by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from sraccel.plugin import ModelError, Stack, name_or

if TYPE_CHECKING:
    from torch import nn

NONE = "none"
ADAPTER = "render"
PREFIXES = ("transformer", "unet")


class LoraSource(BaseModel):
    """A LoRA that is still to be loaded. A plain string is the `model` alone."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model: str = Field(description="A folder, a file or a name on the hub; `none`: no LoRA.")
    weight_name: str | None = Field(None, description="File in the folder or repository.")
    scale: float = Field(1.0, allow_inf_nan=False, description="Strength, as a factor.")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, given: Any) -> Any:
        return {"model": given} if isinstance(given, str) else given

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        return name_or(handler(core_schema), cls.model_fields["model"].description)

    @model_serializer(mode="wrap")
    def _short(self, serialise: Any) -> Any:
        given = serialise(self)
        return self.model if self == LoraSource(model=self.model) else given

    @property
    def wanted(self) -> bool:
        """False for `none`."""
        return self.model != NONE

    def load_into(self, module: nn.Module, pipeline: Any) -> None:
        """Load the LoRA into a model, in any format that the pipeline's class reads.

        Raises:
            ModelError: it cannot be read, or does not fit the model.
        """
        adapted: Any = module
        try:
            state, scaling = self._read(pipeline)
            for prefix in PREFIXES:
                if any(key.startswith(f"{prefix}.") for key in state):
                    adapted.load_lora_adapter(state, prefix=prefix, adapter_name=ADAPTER, **scaling)
        except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
            reason = " ".join(str(error).split())[:400]
            raise ModelError(
                f"srdiffusion: render_lora {self.model!r} cannot be loaded: {reason}"
            ) from error
        if not getattr(module, "peft_config", None):
            raise ModelError(
                f"srdiffusion: render_lora {self.model!r} holds no weights for a "
                f"{type(module).__name__} (keys beginning with {' or '.join(PREFIXES)})"
            )
        adapted.set_adapters([ADAPTER], [self.scale])

    def _read(self, pipeline: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The weights, and what the file says of their scaling."""
        if not hasattr(pipeline, "lora_state_dict"):
            raise ValueError("the target is not a pipeline that can read LoRAs")
        where = {} if self.weight_name is None else {"weight_name": self.weight_name}
        # Some classes also return a third thing, the scalings of formats that are not diffusers'.
        state, *alphas, metadata = type(pipeline).lora_state_dict(
            self.model, **where, use_safetensors=True, return_lora_metadata=True
        )
        return state, {"metadata": metadata, "network_alphas": alphas[0] if alphas else None}


def check_lora(stack: Stack, render: Any, render_lora: LoraSource | None) -> None:
    """Refuse a LoRA on the sketch model that the render model would lack in silence.

    Raises:
        ModelError: saying what to do.
    """
    if render_lora is not None or has_lora(render):
        return
    fused = getattr(stack.pipeline, "num_fused_loras", 0)
    if fused or any(has_lora(denoiser.module) for denoiser in stack.denoisers.values()):
        raise ModelError(
            "srdiffusion: LoRAs loaded on the pipeline's model do not reach the render model: give "
            "one for it as `render_lora`, say `render_lora: none` to do without, or unload them"
        )


def has_lora(module: Any) -> bool:
    """Whether a model has a LoRA that is not disabled."""
    if not getattr(module, "peft_config", None):
        return False
    layers = [layer for layer in module.modules() if hasattr(layer, "lora_A")]
    return not layers or not all(layer.disable_adapters for layer in layers)
