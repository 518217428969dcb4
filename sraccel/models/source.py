"""Where a denoiser comes from: a folder, a name on the hub, or `demo`; and what it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from sraccel.demo.pair import DEMO
from sraccel.errors import ModelError
from sraccel.models.completeness import check_complete
from sraccel.models.configurations import check_config
from sraccel.models.loading import DType, as_model_errors, locate, torch_dtype
from sraccel.models.memory import check_room, weight_bytes
from sraccel.models.shared import share, shared_module

if TYPE_CHECKING:
    import torch
    from torch import nn

DENOISER_FOLDERS = ("transformer", "unet")
"""Folders of a pipeline that hold its denoiser, in the order in which they are looked for."""


class PipelineOutline(SimpleNamespace):
    """What checks look at in a pipeline: `scheduler`, `vae` and denoisers, without weights."""


class ModelSource(BaseModel):
    """A denoiser that is still to be loaded. A plain string is the `model` alone."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model: str = Field(
        description="A pipeline's folder, a single transformer's or unet's folder, a name on the "
        "hub, or `demo`."
    )
    revision: str | None = Field(None, description="Hub: branch, tag or commit.")
    subfolder: str | None = Field(
        None, description="Folder of the denoiser. Default: the pipeline's transformer or unet."
    )
    variant: str | None = Field(None, description="Weights to take, as in `fp16`.")
    dtype: DType = Field("auto", description="Precision of the weights; auto: the pipeline's own.")
    quantization_config: dict[str, Any] | None = Field(
        None, description="As diffusers takes it, with `quant_method`."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, given: Any) -> Any:
        return {"model": str(given)} if isinstance(given, (str, Path)) else given

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        return name_or(handler(core_schema), cls.model_fields["model"].description)

    @model_serializer(mode="wrap")
    def _short(self, serialise: Any) -> Any:
        given = {name: value for name, value in serialise(self).items() if value is not None}
        return self.model if given == {"model": self.model, "dtype": "auto"} else given

    def __str__(self) -> str:
        return self.model if self.revision is None else f"{self.model}@{self.revision}"

    def load(self, like: torch.dtype | None = None, *, shared: bool = True) -> nn.Module:
        """The denoiser, ready to infer, on the CPU.

        Args:
            like: dtype of the weights where `dtype` is `auto`; None keeps diffusers' default.
            shared: whether it may be the one that others got, within `shared_loading()`. False
                for a caller that changes it for good.

        Raises:
            ModelError: there is no such model, or it is in another format.
        """
        if not shared:
            return self._load(like)
        module = self.loaded(like)
        if module is None:
            module = self._load(like)
            share(self._loads(like), module)
        return module

    def loaded(self, like: torch.dtype | None = None) -> nn.Module | None:
        """What `load` would share, if it is there already: then it needs no more memory."""
        return shared_module(self._loads(like))

    def _loads(self, like: torch.dtype | None) -> tuple[ModelSource, torch.dtype | None]:
        """What the loaded denoiser depends on; of `dtype`, the precision that it comes to."""
        return self.model_copy(update={"dtype": "auto"}), self.precision(like)

    def _load(self, like: torch.dtype | None) -> nn.Module:
        from diffusers import AutoModel

        options = {
            "variant": self.variant,
            "quantization_config": self.quantization_config,
            "dtype": self.precision(like),
        }
        given = {name: value for name, value in options.items() if value is not None}
        loader: Any = AutoModel
        with self._errors():
            module: nn.Module = loader.from_pretrained(
                locate(self.model), use_safetensors=True, **self._where(), **given
            )
            folder = Path(locate(self.model), self._denoiser_folder() or "")
            check_complete(module, str(self), folder if folder.is_dir() else None)
        return module.eval()

    def precision(self, like: torch.dtype | None) -> torch.dtype | None:
        """Dtype of the weights, for a pipeline whose denoiser has the dtype `like`."""
        return like if self.dtype == "auto" else torch_dtype(self.dtype)

    def outline(self) -> nn.Module:
        """The denoiser without weights (on the meta device), to check before anything is loaded.

        Raises:
            ModelError: there is no such model, or it is in another format.
        """
        with self._errors():
            return _outline(_model_class().load_config(locate(self.model), **self._where()))

    def pipeline_outline(self) -> PipelineOutline:
        """The denoiser and what comes with it, without weights; errors as `outline`."""
        module: Any = self.outline()
        module.register_to_config(_name_or_path=locate(self.model))  # as loading it does
        return PipelineOutline(transformer=module, vae=self._vae(), scheduler=self.scheduler())

    def vae_config(self) -> dict[str, Any] | None:
        """Configuration of the VAE that the denoiser was trained with, defaults filled in.

        None if the denoiser comes without a VAE.
        """
        vae = self._vae()
        return None if vae is None else config_of(vae)

    def _vae(self) -> nn.Module | None:
        config = self._config(_model_class(), "vae")
        if config is None:
            return None
        with as_model_errors(f"the VAE of {self}"):
            return _outline(config)

    def scheduler(self) -> Any:
        """The scheduler that comes with the denoiser, or None."""
        import diffusers

        # Any scheduler class reads the file of all of them.
        config = self._config(diffusers.DDIMScheduler, "scheduler") or {}
        kind: Any = getattr(diffusers, str(config.get("_class_name")), None)
        known = isinstance(kind, type) and issubclass(kind, diffusers.SchedulerMixin)
        return kind.from_config(config) if known else None

    def _where(self) -> dict[str, Any]:
        where = {"subfolder": self._denoiser_folder(), "revision": self.revision}
        return {name: value for name, value in where.items() if value is not None}

    def _denoiser_folder(self) -> str | None:
        """Subfolder of the denoiser; None if the source is a denoiser's own folder."""
        source = Path(locate(self.model))
        if self.subfolder is not None:
            return self.subfolder
        if self.model == DEMO:
            return "render"
        if _is_denoisers_own(source):
            return None
        if source.is_dir():
            found = [name for name in DENOISER_FOLDERS if (source / name).is_dir()]
            return found[0] if found else DENOISER_FOLDERS[0]
        from diffusers import DiffusionPipeline

        index = self._config(DiffusionPipeline) or {}
        return next((name for name in DENOISER_FOLDERS if name in index), None)

    def _config(self, kind: Any, subfolder: str | None = None) -> dict[str, Any] | None:
        """Configuration of the pipeline that the denoiser belongs to, or of a part of it."""
        source = Path(locate(self.model))
        if _is_denoisers_own(source):  # it lies in its pipeline's
            source = source.parent
        where = {"subfolder": subfolder, "revision": self.revision}
        given = {name: value for name, value in where.items() if value is not None}
        try:
            config: dict[str, Any] = kind.load_config(str(source), **given)
        except OSError:  # a denoiser on its own
            return None
        return config

    def _errors(self) -> Any:
        folder = self._denoiser_folder()
        return as_model_errors(str(self.model), "/".join(filter(None, (folder, "config.json"))))


def name_or(mapping: dict[str, Any], description: str | None) -> dict[str, Any]:
    """The JSON schema of what is given as a name or as a mapping."""
    return {"anyOf": [{"type": "string", "minLength": 1, "description": description}, mapping]}


def check_room_for(sources: Sequence[ModelSource], dtype: torch.dtype) -> None:
    """Refuse to begin loading denoisers that do not fit into main memory together.

    Args:
        sources: the denoisers. What is wrong with one that cannot be found, loading it will say.
        dtype: of the weights of those that do not say.

    Raises:
        ModelError: they do not fit.
    """
    import torch

    try:
        needed = sum(
            weight_bytes(item.outline(), item.precision(dtype))
            for item in sources
            if item.quantization_config is None  # how small it becomes is not known beforehand
        )
    except ModelError:
        return
    what = f"loading {' and '.join(map(str, sources))}"
    check_room(needed, torch.device("cpu"), what, "choose a smaller `dtype`, or free some memory")


def _is_denoisers_own(folder: Path) -> bool:
    pipeline = (folder / "model_index.json").is_file()  # some have a config.json beside it
    return (folder / "config.json").is_file() and not pipeline


def _model_class() -> Any:
    """A model class; any of them reads the `config.json` of all."""
    from diffusers import AutoencoderKL

    return AutoencoderKL


def _outline(config: dict[str, Any]) -> nn.Module:
    """A model of this configuration on the meta device; only diffusers' own classes."""
    import diffusers
    from accelerate import init_empty_weights

    kind: Any = getattr(diffusers, str(config.get("_class_name")), None)
    known = isinstance(kind, type) and issubclass(kind, diffusers.ModelMixin)
    if not known:
        raise ValueError(f"diffusers has no model class {config.get('_class_name')!r}")
    check_config(config)
    with init_empty_weights():
        module: nn.Module = kind.from_config(config)
    return module


def config_of(module: Any) -> dict[str, Any]:
    """A model's configuration, and the name of its class."""
    return {**module.config, "_class_name": type(module).__name__}
