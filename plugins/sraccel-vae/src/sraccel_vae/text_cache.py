"""A cache of text embeddings: a prompt that was encoded before is not encoded again."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import Field

from sraccel.plugin import Accelerator, AcceleratorOptions, ModelError, Run, Stack, hookimpl

PLAIN = (str, int, float, bool, type(None))


class TextCache(Accelerator):
    """Encodes each prompt once, for as long as the stack is attached."""

    name = "text-cache"
    claims = frozenset({"text_encoder"})

    class Options(AcceleratorOptions):
        """Options of the cache."""

        size: int = Field(64, ge=1, description="Calls of `encode_prompt` that are remembered.")

    options: Options

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        if not hasattr(stack.pipeline, "encode_prompt"):
            raise ModelError(
                f"text-cache: {type(stack.pipeline).__name__} has no encode_prompt, whose answers "
                f"could be kept; leave text-cache out"
            )

    @hookimpl
    @contextmanager
    def prepare_pipeline(self, pipeline: Any) -> Iterator[None]:
        inner, before = pipeline.encode_prompt, vars(pipeline).get("encode_prompt")
        signature, self._kept = inspect.signature(inner), OrderedDict[Any, Any]()
        self._encoded = self._reused = 0

        def encode_prompt(*args: Any, **kwargs: Any) -> Any:
            key = key_of(signature.bind(*args, **kwargs).arguments)
            if key is None or key not in self._kept:
                self._encoded += 1
                return self._keep(key, inner(*args, **kwargs))
            self._reused += 1
            self._kept.move_to_end(key)
            return copied(self._kept[key])

        vars(pipeline)["encode_prompt"] = encode_prompt
        try:
            yield
        finally:
            self._kept.clear()
            del vars(pipeline)["encode_prompt"]
            if before is not None:
                vars(pipeline)["encode_prompt"] = before

    def _keep(self, key: Any, embeddings: Any) -> Any:
        if key is not None:
            self._kept[key] = copied(embeddings)
            while len(self._kept) > self.options.size:
                self._kept.popitem(last=False)
        return embeddings

    @hookimpl
    def run_started(self, run: Run) -> None:
        run.note(self, prompts_encoded=self._encoded, prompts_reused=self._reused)


def key_of(arguments: dict[str, Any]) -> Any:
    """What the embeddings depend on; None where that cannot be compared (tensors, images)."""
    found = []
    for name, value in sorted(arguments.items()):
        values = value if isinstance(value, (list, tuple)) else [value]
        for one in values:
            if not isinstance(one, PLAIN) and type(one).__module__ != "torch":
                return None
            if hasattr(one, "shape"):
                return None
        found.append((name, type(value).__name__, tuple(map(str, values))))
    return tuple(found)


def copied(embeddings: Any) -> Any:
    """Copies of tensors: a pipeline may change what it is given."""
    if isinstance(embeddings, (list, tuple)):
        return type(embeddings)(copied(one) for one in embeddings)
    return embeddings.clone() if hasattr(embeddings, "clone") else embeddings
