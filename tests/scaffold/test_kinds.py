"""What a new package brings works: found by its entry point, composed, and taken off again."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from untouched import untouched

import sraccel
from sraccel.plugin import Accelerator
from sraccel.recipe.catalogue import Catalogue
from sraccel.scaffold.names import names_of
from sraccel.scaffold.package import write_package

Generate = Callable[..., torch.Tensor]


@pytest.fixture
def bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Catalogue]:
    """What a new package of a kind brings, imported from where it was written."""

    def bring(kind: str) -> Catalogue:
        names = names_of(f"sraccel-new-{kind}")
        write_package(names, kind, tmp_path / kind)
        monkeypatch.syspath_prepend(tmp_path / kind / "src")
        catalogue = Catalogue()
        catalogue.load(EntryPoint(names.item, names.package, "sraccel"))
        (plugin,) = catalogue.plugins
        assert (plugin.error, plugin.faults) == (None, ())
        return catalogue

    return bring


def run(pipe: WanPipeline, generate: Generate, *items: Any) -> tuple[torch.Tensor, Any]:
    """Twice, since nothing may stay; the latents, and the last report."""
    with untouched(pipe), sraccel.compose(pipe, list(items)) as stack:
        first, second = generate(pipe), generate(pipe)
    assert torch.equal(first, second)
    return first, stack.report


@pytest.mark.parametrize(
    ("kind", "acts", "rests"),
    [
        ("rule", {"threshold": 0.5}, {"threshold": 0.0}),
        ("kernel", {}, None),
        ("denoiser", {"after": 0.5}, {"after": 1.0}),
    ],
)
def test_an_accelerator_acts_rests_and_leaves_no_trace(
    bring: Callable[[str], Catalogue],
    kind: str,
    acts: dict[str, Any],
    rests: dict[str, Any] | None,
    pipe: WanPipeline,
    render: WanTransformer3DModel,
    generate: Generate,
) -> None:
    (brought,) = bring(kind).accelerators.values()
    more = {"model": render} if kind == "denoiser" else {}
    bare = generate(pipe)
    accelerated, report = run(pipe, generate, brought.Options(**acts, **more))
    assert accelerated.isfinite().all()
    assert not torch.equal(accelerated, bare)
    assert not report.warnings
    if rests is not None:
        rested, _ = run(pipe, generate, brought.Options(**rests, **more))
        assert torch.equal(rested, bare)
    assert torch.equal(generate(pipe), bare)


class EveryOther(Accelerator):
    """Computes every other step."""

    name = "every-other"

    @sraccel.hookimpl
    def skip_blocks(self, call: Any) -> bool:
        return call.step.solver_step % 2 == 1


def test_a_predictor_stands_in_and_at_strength_0_is_plain_reuse(
    bring: Callable[[str], Catalogue], pipe: WanPipeline, generate: Generate
) -> None:
    (brought,) = bring("predictor").accelerators.values()
    reused, _ = run(pipe, generate, EveryOther.Options())
    predicted, report = run(pipe, generate, EveryOther.Options(), brought.Options())
    assert report.accelerators[1].predicted_calls > 0
    assert not torch.equal(predicted, reused)
    rested, _ = run(pipe, generate, EveryOther.Options(), brought.Options(strength=0))
    assert torch.equal(rested, reused)


def test_a_metric_is_0_for_the_same_motion_and_more_for_another(
    bring: Callable[[str], Catalogue],
) -> None:
    (metric,) = bring("metric").metrics.values()
    video = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert metric.compare(video, video) == 0
    assert 0 < metric.compare(video.flip(0), video) <= 1
