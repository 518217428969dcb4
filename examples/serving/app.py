"""Videos over HTTP, on Ray Serve: sketch -> render -> decode, each a deployment of its own.

    pip install 'sraccel' 'ray[serve]'
    serve run app:pools        # two pools of denoisers; `app:alone` is one process, to compare with
    curl -d '{"prompt": "a red circle moving left"}' -o video.mp4 http://127.0.0.1:8000/

Each request brings its recipe. A request beyond those that may wait is answered by 503 at once, so
that memory does not grow; one whose client has gone stops at its next step, and its place is free.
"""

from __future__ import annotations

import asyncio
import functools
import json
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from sraccel import Handover, compose, resume, until_switch
from sraccel.handover.half_stack import load_render_pipeline, sketch_stack
from sraccel.models.loading import load_pipeline
from sraccel.recipe.recipe import Recipe
from sraccel.video.frames import frames_of
from sraccel.video.mp4 import save_video

MODEL, FPS = "demo", 8
UNDER_WAY, WAITING = 4, 4
"""Requests at a time, and those that may wait for them; others are refused."""
RECIPE = [{"use": "srdiffusion", "render": "demo", "switch_step": 3}]
Made = TypeVar("Made")


class Asked(BaseModel):
    """What a client asks for."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(min_length=1)
    seed: int = Field(0, ge=0)
    steps: int = Field(8, ge=2, le=100)
    recipe: list[dict[str, Any]] = RECIPE


class ClientGoneError(Exception):
    """Nobody waits for this video any more."""


class Place:
    """Room for one call at a time, which ends at its next step when its caller is cancelled."""

    def __init__(self) -> None:
        self._free = asyncio.Lock()

    async def call(self, make: Callable[[Callable[..., Any]], Made]) -> Made:
        """Run `make(callback)` in a thread; the callback is the pipeline's, at the end of steps."""
        gone = threading.Event()

        def callback(pipe: Any, step: int, timestep: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
            if gone.is_set():
                raise ClientGoneError
            return kwargs

        async with self._free:
            work = asyncio.ensure_future(asyncio.to_thread(make, callback))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                gone.set()
                with suppress(ClientGoneError):
                    await work  # a step at most
                raise


def arguments(asked: Asked, callback: Callable[..., Any]) -> dict[str, Any]:
    """Of the pipeline's call."""
    return {
        "prompt": asked.prompt,
        "num_inference_steps": asked.steps,
        "generator": torch.Generator().manual_seed(asked.seed),
        "callback_on_step_end": callback,
    }


def stacks(make: Callable[[Any, Recipe], Any], pipe: Any) -> Callable[[Asked], Any]:
    """A stack for each recipe that is asked for; the last few are kept."""
    pipe.set_progress_bar_config(disable=True)

    @functools.lru_cache(maxsize=4)
    def stack(recipe: str) -> Any:
        return make(pipe, Recipe.load(json.loads(recipe)))

    return lambda asked: stack(json.dumps(asked.recipe, sort_keys=True))


@serve.deployment(max_ongoing_requests=UNDER_WAY, ray_actor_options={"num_cpus": 0})
class Sketch:
    """Holds the large model: the prompt's embedding, and the steps up to the switch."""

    def __init__(self) -> None:
        self._place, self._stack = Place(), stacks(sketch_stack, load_pipeline(MODEL))

    async def make(self, asked: Asked) -> bytes:
        def sketch(callback: Callable[..., Any]) -> bytes:
            made = until_switch(self._stack(asked), arguments(asked, callback))
            if made.handover is None:
                raise ValueError("no switch came: the recipe leaves the render model nothing to do")
            return made.handover.to_bytes()

        return await self._place.call(sketch)


@serve.deployment(max_ongoing_requests=UNDER_WAY, ray_actor_options={"num_cpus": 0})
class Render:
    """Holds the small model: the steps from the switch on."""

    def __init__(self) -> None:
        self._place, self._stack = Place(), stacks(compose, load_render_pipeline(MODEL))

    async def make(self, asked: Asked, run: bytes) -> torch.Tensor:
        def render(callback: Callable[..., Any]) -> torch.Tensor:
            call = {**arguments(asked, callback), "output_type": "latent"}
            return resume(self._stack(asked), Handover.from_bytes(run), call).output.frames

        return await self._place.call(render)


@serve.deployment(max_ongoing_requests=UNDER_WAY, ray_actor_options={"num_cpus": 0})
class Decode:
    """Holds the VAE: latents to an .mp4."""

    def __init__(self) -> None:
        roles = {"transformer": None, "text_encoder": None, "tokenizer": None}
        self._place, self._pipe = Place(), load_pipeline(MODEL, without=[*roles])

    async def make(self, latents: torch.Tensor) -> bytes:
        return await self._place.call(lambda callback: mp4(decoded(self._pipe, latents)))


@torch.no_grad()
def decoded(pipe: Any, latents: torch.Tensor) -> Any:
    """What the end of `WanPipeline.__call__` makes of latents, with its very arithmetic."""
    vae, shape = pipe.vae, (1, pipe.vae.config.z_dim, 1, 1, 1)
    latents = latents.to(vae.device, vae.dtype)
    mean = torch.tensor(vae.config.latents_mean).view(shape).to(latents)
    std = 1.0 / torch.tensor(vae.config.latents_std).view(shape).to(latents)
    frames = vae.decode(latents / std + mean, return_dict=False)[0]
    return pipe.video_processor.postprocess_video(frames, output_type="np")


def mp4(output: Any) -> bytes:
    """The file's bytes."""
    videos = frames_of(output)
    assert videos is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        save_video(videos[0].movedim(1, -1), path, fps=FPS)
        return path.read_bytes()


@serve.deployment(max_ongoing_requests=1, ray_actor_options={"num_cpus": 0})
class Whole:
    """One process that holds everything, to compare with."""

    def __init__(self) -> None:
        self._place, self._stack = Place(), stacks(compose, load_pipeline(MODEL))

    async def make(self, asked: Asked) -> bytes:
        def whole(callback: Callable[..., Any]) -> bytes:
            stack = self._stack(asked)
            with stack:
                return mp4(stack.pipeline(**arguments(asked, callback)))

        return await self._place.call(whole)


@serve.deployment(
    max_ongoing_requests=UNDER_WAY,
    max_queued_requests=WAITING,
    ray_actor_options={"num_cpus": 0},
)
class Videos:
    """Answers requests; what passes between the pools does not come by here."""

    def __init__(self, *stages: Any) -> None:
        self._stages = stages

    async def __call__(self, http: Request) -> Response:
        try:
            asked = Asked.model_validate_json(await http.body())
        except ValidationError as error:
            return Response(error.json(), status_code=422, media_type="application/json")
        if len(self._stages) == 1:
            video = await self._stages[0].make.remote(asked)
        else:
            sketch, render, decode = self._stages
            latents = render.make.remote(asked, sketch.make.remote(asked))
            video = await decode.make.remote(latents)
        return Response(video, media_type="video/mp4")


pools = Videos.bind(Sketch.bind(), Render.bind(), Decode.bind())
alone = Videos.bind(Whole.bind())
