"""One set of recorded bare runs: resumable, of one model, enough for steps and schedules."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, WanPipeline
from tiny_models import TEXT_DIM, tiny_pipeline

import sraccel
from sraccel.accelerators.forecast.extrapolation import weights
from sraccel.calibration.fitting import Predictor, fitted
from sraccel.calibration.recording import recorded
from sraccel.plugin import Accelerator, Step, hookimpl

SMALL = {"height": 16, "width": 16, "num_frames": 5}


@pytest.fixture
def worded(pipe: WanPipeline) -> Any:
    """The tiny pipeline, which takes prompts as embeddings made of them."""

    def encode_prompt(prompt: Any, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        text = prompt if isinstance(prompt, str) else "".join(prompt)
        generator = torch.Generator().manual_seed(len(text))
        embeds = torch.randn(2, 1, 6, TEXT_DIM, generator=generator)
        return embeds[0], embeds[1]

    pipe.encode_prompt = encode_prompt
    return pipe


class Seen(Accelerator):
    name = "seen"

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[torch.Tensor] = []

    @hookimpl
    def step_finished(self, step: Step) -> None:
        self.rows += [step.latents.flatten().clone(), step.noise_pred.flatten().clone()]


def test_runs_are_kept_as_products_and_not_made_twice(worded: Any, tmp_path: Path) -> None:
    path, said = tmp_path / "runs.jsonl", []
    report = lambda *at: said.append(at)  # noqa: E731
    _, first = recorded(worded, ["a", "bcd"], [0], path, 6, report, **SMALL)
    assert said[-1] == ("calibrating", 12, 12)
    content = path.read_bytes()
    path.write_bytes(content + b'{"half')  # as an interrupt leaves it
    said.clear()
    setup, again = recorded(worded, ["a", "bcd"], [0], path, 6, report, **SMALL)
    assert (again, said) == (first, [])
    assert path.read_bytes() == content
    seen = Seen()
    with sraccel.compose(worded, [seen]):
        worded(
            prompt="a",
            num_inference_steps=6,
            generator=torch.Generator().manual_seed(0),
            output_type="latent",
            **SMALL,
        )
    rows = torch.stack([*seen.rows[::2], *seen.rows[1::2]]).double()
    np.testing.assert_allclose(first[0].matrix(), rows @ rows.T / rows.shape[1], rtol=1e-4)
    taylor = Predictor(partial(weights, "taylor", 1), 2, {"kind": "taylor", "order": 1})
    for what, predictor in (("steps", None), ("schedule", taylor)):
        file = fitted(again, [3, 4], setup, predictor)
        saved = str(file.save(tmp_path / f"{what}.json"))
        key = {"steps": "number", "schedule": "budget"}[what]
        with sraccel.compose(worded, [{"use": what, key: 3, "file": saved}]):
            pass


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda pipe, path: tiny_pipeline(seed=5), "weights"),
        (lambda pipe, path: path.write_text("{}\n{}\n") and pipe, "damaged"),
    ],
)
def test_runs_of_another_model_are_refused(
    change: Callable[..., Any], said: str, worded: Any, tmp_path: Path
) -> None:
    path = tmp_path / "runs.jsonl"
    recorded(worded, ["a"], [0], path, 4, **SMALL)
    other = change(worded, path)
    other.encode_prompt = worded.encode_prompt
    with pytest.raises(sraccel.ConflictError, match=said):
        recorded(other, ["a"], [0], path, 4, **SMALL)


def test_what_is_no_flow_matching_is_refused(tmp_path: Path) -> None:
    pipe = tiny_pipeline(scheduler=DDIMScheduler())
    with pytest.raises(sraccel.ModelError, match="flow matching"):
        recorded(pipe, ["a"], [0], tmp_path / "runs.jsonl", 4)
