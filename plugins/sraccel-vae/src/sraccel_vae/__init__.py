"""What surrounds the denoiser: a VAE that decodes in tiles, prompts that are encoded once."""

from collections.abc import Iterable

from sraccel.plugin import Accelerator, hookimpl
from sraccel_vae.text_cache import TextCache
from sraccel_vae.tiling import VaeTiling

__all__ = ["TextCache", "VaeTiling"]


@hookimpl
def sraccel_accelerators() -> Iterable[type[Accelerator]]:
    """The accelerators of this plugin."""
    return [VaeTiling, TextCache]
