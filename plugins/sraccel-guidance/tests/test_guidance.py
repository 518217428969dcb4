"""What guidance adds is left out or reused, against a loop of the formulas on a real pipeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from sraccel_guidance import AdaptiveGuidance, GuidanceCache, GuidanceInterval
from sraccel_guidance.adaptive import cosine
from tiny_models import call_arguments, tiny_pipeline, tiny_transformer
from untouched import untouched

import sraccel
from sraccel.plugin import Accelerator
from sraccel.testing import check_accelerator, standard_targets

STEPS = 10
Answer = Callable[[int, torch.Tensor, Callable[[], torch.Tensor]], torch.Tensor]


@pytest.fixture(scope="module")
def wan() -> WanPipeline:
    torch.set_grad_enabled(False)
    return tiny_pipeline()


@pytest.fixture(scope="module")
def render() -> WanTransformer3DModel:
    return tiny_transformer(seed=7, layers=2)


def generated(pipe: Any) -> torch.Tensor:
    return pipe(**call_arguments(STEPS)).frames


def made(kind: type[Accelerator], **options: Any) -> Accelerator:
    return kind(kind.Options(**options))


def through(pipe: Any, *accelerators: Any) -> tuple[torch.Tensor, Any]:
    """The latents and the report; twice, since state must not stay."""
    with untouched(pipe), sraccel.compose(pipe, list(accelerators)) as stack:
        first, second = generated(pipe), generated(pipe)
    assert torch.equal(first, second)
    return first, stack.report


def by_hand(pipe: Any, answer: Answer) -> torch.Tensor:
    """The pipeline with a forward that asks `answer` for every second call."""
    forward, calls, given = pipe.transformer.forward, [0], []

    def counting(*args: Any, **kwargs: Any) -> tuple[torch.Tensor]:
        step, branch = divmod(calls[0], 2)
        calls[0] += 1
        if branch == 0:
            given[:] = [forward(*args, **kwargs)[0]]
            return (given[0],)
        return (answer(step, given[0], lambda: forward(*args, **kwargs)[0]),)

    pipe.transformer.forward = counting
    try:
        return generated(pipe)
    finally:
        del pipe.transformer.forward


def answered(report: Any) -> list[int]:
    return [step.index for step in report.steps if step.calls[1].answered_by is not None]


def test_outside_the_interval_the_conditional_prediction_stands_alone(wan: WanPipeline) -> None:
    def answer(
        step: int, conditional: torch.Tensor, compute: Callable[[], torch.Tensor]
    ) -> torch.Tensor:
        return compute() if 2 <= step < 6 else conditional

    latents, report = through(wan, made(GuidanceInterval, start=0.2, stop=0.6))
    assert torch.equal(latents, by_hand(wan, answer))
    assert answered(report) == [0, 1, 6, 7, 8, 9]
    assert report.accelerators[0].answered_calls == 6
    assert report.accelerators[0].notes == {"guided_steps": 4, "of_steps": STEPS}


def test_the_cache_reuses_the_difference_of_the_last_computed_step(wan: WanPipeline) -> None:
    kept: list[Any] = [None]

    def answer(
        step: int, conditional: torch.Tensor, compute: Callable[[], torch.Tensor]
    ) -> torch.Tensor:
        if step in (3, 4, 6, 7, 9):
            return conditional - kept[0]
        output = compute()
        kept[0] = conditional - output
        return output

    latents, report = through(wan, made(GuidanceCache, every=3, start=0.3))
    assert answered(report) == [3, 4, 6, 7, 9]
    assert torch.equal(latents, by_hand(wan, answer))
    assert report.accelerators[0].cache_bytes == latents.nbytes


def test_adaptive_guidance_stops_after_the_step_at_which_the_branches_agree(
    wan: WanPipeline,
) -> None:
    _, bare = through(wan, made(AdaptiveGuidance, threshold=0.99999))
    curve = [step.measured["adaptive-guidance.similarity"] for step in bare.steps]
    assert len(curve) == STEPS
    threshold = curve[3] - 1e-7
    first = next(step for step, value in enumerate(curve) if value > threshold)
    latents, report = through(wan, made(AdaptiveGuidance, threshold=threshold))
    assert answered(report) == list(range(first + 1, STEPS))
    assert report.accelerators[0].notes["last_guided_step"] == first

    def answer(
        step: int, conditional: torch.Tensor, compute: Callable[[], torch.Tensor]
    ) -> torch.Tensor:
        return compute() if step <= first else conditional

    assert torch.equal(latents, by_hand(wan, answer))


@pytest.mark.parametrize(
    "idle",
    [
        made(GuidanceInterval, start=0.0, stop=1.0),
        made(GuidanceCache, every=1),
        made(AdaptiveGuidance, threshold=1.0),
    ],
    ids=lambda one: one.name,
)
def test_where_they_decide_nothing_no_bit_changes(idle: Accelerator, wan: WanPipeline) -> None:
    bare = generated(wan)
    latents, report = through(wan, idle)
    assert torch.equal(latents, bare)
    assert f"{idle.name} answered no call in {STEPS} steps" in report.warnings


class TestBesideOthers:
    def test_a_switch_starts_the_cache_anew(
        self, wan: WanPipeline, render: WanTransformer3DModel
    ) -> None:
        switch = {"use": "srdiffusion", "render": render, "switch_step": 5}
        _, report = through(wan, switch, made(GuidanceCache, every=4, start=0.0))
        assert answered(report) == [1, 2, 3, 6, 7, 8]
        assert [step.calls[0].denoiser for step in report.steps[5:]] == ["render"] * 5

    @pytest.mark.parametrize("first", [True, False])
    def test_beside_teacache_each_reports_its_own(self, first: bool, wan: WanPipeline) -> None:
        cache = {
            "use": "teacache",
            "threshold": 3.0,
            "coefficients": [0.0, 0.0, 0.0, 1.0, 0.0],
        }
        both = [cache, made(GuidanceInterval, stop=0.5)]
        _, report = through(wan, *(both if first else reversed(both)))
        counts = {one.name: (one.reused_calls, one.answered_calls) for one in report.accelerators}
        assert counts["guidance-interval"] == (0, 5)
        assert counts["teacache"][0] > 0
        assert counts["teacache"][1] == 0

    def test_two_of_them_are_refused(self, wan: WanPipeline) -> None:
        both = [made(GuidanceInterval), made(GuidanceCache)]
        with pytest.raises(sraccel.ConflictError, match=r"guidance-interval.*guidance-cache"):
            sraccel.compose(wan, both)


def test_without_a_second_call_they_say_that_they_could_do_nothing(wan: WanPipeline) -> None:
    with sraccel.compose(wan, [made(GuidanceCache)]) as stack:
        wan(**{**call_arguments(3), "guidance_scale": 1.0})
    assert any("could do nothing" in warning for warning in stack.report.warnings)


def test_the_gain_is_attributed_and_the_pipeline_is_what_it_was(wan: WanPipeline) -> None:
    report = sraccel.compare(
        wan, [made(GuidanceInterval, stop=0.0)], **call_arguments(STEPS)
    ).report
    (record,) = report.accelerators
    assert record.answered_calls == STEPS
    assert report.speedup.predicted == pytest.approx(record.factor)


def test_cosine_is_that_of_the_whole_tensors() -> None:
    one = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    assert cosine(one, one * 3) == pytest.approx(1)
    assert cosine(one, one.flip(1)) == pytest.approx(0)
    assert cosine(one, -one) == pytest.approx(-1)


IDLE: dict[type[Accelerator], dict[str, Any]] = {
    GuidanceInterval: {"stop": 1.0},
    GuidanceCache: {"every": 1},
    AdaptiveGuidance: {"threshold": 1.0},
}


@pytest.mark.parametrize(
    "target",
    [
        "Wan with two experts",
        pytest.param("a toy denoiser", marks=pytest.mark.slow),
        pytest.param("Wan", marks=pytest.mark.slow),
        pytest.param("Wan under Heun's method", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("kind", IDLE, ids=lambda kind: kind.name)
def test_they_behave(kind: type[Accelerator], target: str) -> None:
    targets = [one for one in standard_targets() if one.name == target]
    assert check_accelerator(kind, idle=IDLE[kind], targets=targets).targets == (target,)
