"""What acts outside the denoisers: the VAE and the text encoder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sraccel.plugin import Accelerator, Run, hookimpl


class TiledVAE(Accelerator):
    """Decodes in tiles, which takes less memory."""

    name = "tiled-vae"
    claims = frozenset({"vae"})

    @hookimpl
    @contextmanager
    def prepare_pipeline(self, pipeline: Any) -> Iterator[None]:
        before = pipeline.vae.use_tiling
        pipeline.vae.enable_tiling()
        try:
            yield
        finally:
            if not before:
                pipeline.vae.disable_tiling()


class TextCache(Accelerator):
    """Encodes each prompt once."""

    name = "text-cache"
    claims = frozenset({"text_encoder"})

    def __init__(self) -> None:
        super().__init__()
        self.hits = 0

    @hookimpl
    @contextmanager
    def prepare_pipeline(self, pipeline: Any) -> Iterator[None]:
        encode, known = pipeline.encode_prompt, {}

        def cached(**arguments: Any) -> Any:
            key = repr(sorted(arguments.items(), key=lambda item: item[0]))
            self.hits += key in known
            if key not in known:
                known[key] = encode(**arguments)
            return known[key]

        pipeline.encode_prompt = cached
        try:
            yield
        finally:
            del pipeline.encode_prompt

    @hookimpl
    def run_started(self, run: Run) -> None:
        run.note(self, prompts_known=self.hits)
