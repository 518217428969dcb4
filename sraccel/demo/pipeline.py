"""The demo pair's pipeline: a `WanPipeline` that knows its own resolution.

A plain `WanPipeline` is called with 480 x 832 pixels and 81 frames by default, and pads prompts
to 512 tokens; the demo pair is trained for far less. This module imports torch.
"""

from __future__ import annotations

import functools
import inspect
import logging
from typing import Any

from diffusers import WanPipeline

from sraccel.demo.pair import demo_call

_Base: Any = WanPipeline
_PARAMETERS = inspect.signature(_Base.__call__)


class DemoPipeline(_Base):  # type: ignore[misc]
    """A `WanPipeline` whose call defaults to what the demo pair is trained for.

    Every argument of `WanPipeline` is there and means the same; only defaults differ. The VAE keeps
    every frame, so `WanPipeline` adds one to `num_frames`; the sum must fill whole patches.

    Raises:
        ValueError: `num_frames` does not fit.
    """

    @functools.wraps(_Base.__call__)
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given = _PARAMETERS.bind(self, *args, **kwargs).arguments
        defaults = {name: value for name, value in demo_call().items() if name not in given}
        num_frames = {**defaults, **given}["num_frames"]
        patch = self.transformer.config.patch_size[0]
        if (num_frames + 1) % patch:
            raise ValueError(
                f"num_frames is {num_frames}, but must be a multiple of {patch}, less one "
                f"({patch - 1}, {2 * patch - 1}, {3 * patch - 1}, ...)"
            )
        return super().__call__(*args, **kwargs, **defaults)


def _with_defaults(signature: inspect.Signature) -> inspect.Signature:
    """The signature as it is for the demo pair; `demo_call` has the values."""
    ours = demo_call()
    parameters = [
        parameter.replace(default=ours.get(name, parameter.default))
        for name, parameter in signature.parameters.items()
    ]
    return signature.replace(parameters=parameters)


# `inspect.signature` shows the demo pair's defaults.
DemoPipeline.__call__.__signature__ = _with_defaults(_PARAMETERS)  # type: ignore[attr-defined]

# `save_pretrained` writes this name as the class to load, and diffusers must know it.
DemoPipeline.__name__ = "WanPipeline"


def _is_not_about_divisibility_by_one(record: logging.LogRecord) -> bool:
    return "has to be divisible by 1." not in record.getMessage()


# A pipeline whose VAE keeps every frame warns at every call, whatever the number of frames.
logging.getLogger(_Base.__module__).addFilter(_is_not_about_divisibility_by_one)
