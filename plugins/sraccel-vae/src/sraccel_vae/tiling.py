"""Tiled and sliced decoding, by diffusers' own switches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import Field

from sraccel.plugin import Accelerator, AcceleratorOptions, ModelError, Run, Stack, hookimpl

SETTINGS = ("use_tiling", "use_slicing", "tile_")
"""What the names of the VAE's settings begin with."""


class VaeTiling(Accelerator):
    """Decodes in tiles: needs less memory, and more time."""

    name = "vae-tiling"
    claims = frozenset({"vae"})

    class Options(AcceleratorOptions):
        """Options of tiled decoding; tile sizes that are not given are the VAE's own."""

        height: int | None = Field(None, ge=16, description="Of a tile, in pixels.")
        width: int | None = Field(None, ge=16, description="Of a tile, in pixels.")
        stride_height: int | None = Field(None, ge=8, description="From tile to tile, in pixels.")
        stride_width: int | None = Field(None, ge=8, description="From tile to tile, in pixels.")
        tiling: bool = Field(True, description="Decode in tiles.")
        slicing: bool = Field(False, description="Decode the videos of a batch one by one.")

        def sizes(self) -> dict[str, int]:
            """The arguments of the VAE's `enable_tiling`."""
            given = {
                "tile_sample_min_height": self.height,
                "tile_sample_min_width": self.width,
                "tile_sample_stride_height": self.stride_height,
                "tile_sample_stride_width": self.stride_width,
            }
            return {name: value for name, value in given.items() if value is not None}

    options: Options
    claims_speed = False

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        vae = getattr(stack.pipeline, "vae", None)
        for switch in ["enable_tiling"] * self.options.tiling + [
            "enable_slicing"
        ] * self.options.slicing:
            if not hasattr(vae, switch):
                raise ModelError(
                    f"vae-tiling: {type(vae).__name__} has no {switch}(): there is no VAE that "
                    f"could decode so; leave vae-tiling out"
                )

    @hookimpl
    @contextmanager
    def prepare_pipeline(self, pipeline: Any) -> Iterator[None]:
        vae = pipeline.vae
        before = settings_of(vae)
        try:
            if self.options.tiling:
                vae.enable_tiling(**self.options.sizes())
            if self.options.slicing:
                vae.enable_slicing()
            self._settings = settings_of(vae)
            yield
        finally:
            for name in settings_of(vae).keys() - before.keys():
                delattr(vae, name)
            vars(vae).update(before)

    @hookimpl
    def run_started(self, run: Run) -> None:
        run.note(self, **self._settings)


def settings_of(vae: Any) -> dict[str, Any]:
    """What tiling and slicing set on a VAE."""
    return {name: value for name, value in vars(vae).items() if name.startswith(SETTINGS)}
