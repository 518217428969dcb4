"""SRDiffusion switches where the paper's rule says, and the render model takes over from there."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from hypothesis import given
from hypothesis import strategies as st
from srdiffusion_report import D_PER_STEP, d_of, switch_rule
from tiny_models import IDENTITY, call_arguments, tiny_transformer
from untouched import untouched

import sraccel
from sraccel.accelerators.srdiffusion import SRDiffusion
from sraccel.accelerators.srdiffusion.switching import PerStepRule, SwitchDetector
from sraccel.plugin import Accelerator, Step, hookimpl, rel_l1_distance

Generate = Callable[..., torch.Tensor]


def reference_switch(
    predictions: list[torch.Tensor], threshold: float, min_step: int, max_step: int | None
) -> int | None:
    """The paper's rule in ten lines: the step after which to switch."""
    d: dict[int, float] = {}
    for i, eps in enumerate(predictions):
        if i >= 1:
            previous = predictions[i - 1]
            d[i] = float((eps - previous).abs().mean() / previous.abs().mean())
        if i >= 2 and i >= min_step and 0 < d[i - 1] - d[i] < threshold:
            return i
        if max_step is not None and i >= max_step:
            return i
    return None


def detector(**options: Any) -> SwitchDetector:
    return SwitchDetector(SRDiffusion.Options(render="demo", **options))


def smooth_decline(steps: int) -> list[torch.Tensor]:
    """Predictions whose relative change falls smoothly: D_i about 0.3 * 0.85^i."""
    torch.manual_seed(0)
    base, position = torch.randn(64), torch.zeros(64)
    predictions = []
    for i in range(steps):
        position = position + torch.ones(64) * 0.3 * 0.85**i * float(base.abs().mean())
        predictions.append(base * 3 + position)
    return predictions


def test_with_skipped_steps_the_rule_changes_to_per_step_and_still_switches() -> None:
    """A cache repeats nearly the last prediction: the raw rule sees a saw and never switches."""
    predictions = smooth_decline(24)
    repeated = [predictions[i - i % 2] for i in range(24)]
    raw, auto = detector(rule="paper", threshold=0.003), detector(threshold=0.003)
    for i, prediction in enumerate(repeated):
        raw.observe(i, prediction, computed=i % 2 == 0)
        if not auto.switched:
            auto.observe(i, prediction, computed=i % 2 == 0)
            decided_at = i
    assert not raw.switched
    assert auto.switched
    assert auto.rule == "per_step"
    assert decided_at % 2 == 0, "decided at a step that was not computed"


def reference_per_step(
    predictions: list[torch.Tensor], computed: list[bool], threshold: float, min_step: int
) -> int | None:
    """The rule between computed steps, from a run's whole past; the step after which to switch."""
    looks: list[tuple[float, float]] = []
    stopped = False
    at: int | None = None
    for i, eps in enumerate(predictions):
        if computed[i]:
            if at is not None:
                earlier = predictions[at]
                d = float((eps - earlier).abs().mean() / earlier.abs().mean())
                looks.append(((at + i) / 2, d / (i - at)))
            at, stopped = i, False
        if computed[i] and len(looks) > 1:
            (t0, d0), (t1, d1) = looks[-2:]
            fell = any(later < sooner for (_, sooner), (_, later) in pairwise(looks))
            fall = (d0 - d1) / (t1 - t0)
            if fall > 0:
                fall *= (d1 / d0) ** ((i - 1 - (t0 + t1) / 2) / (t1 - t0))
                stopped = fall < threshold * math.sqrt(t1 - t0)
            stopped = stopped or (fall <= 0 and fell and t1 - t0 > 1)
        if stopped and i >= min_step:
            return i
    return None


def walked(walk: list[float]) -> list[torch.Tensor]:
    """Predictions along one direction."""
    torch.manual_seed(0)
    base, direction = torch.randn(2, 40)
    return [base + direction * sum(walk[: i + 1]) for i in range(len(walk))]


def switched_after(
    watched: SwitchDetector, predictions: list[torch.Tensor], computed: list[bool]
) -> int | None:
    for i, prediction in enumerate(predictions):
        watched.observe(i, prediction, computed[i])
        if watched.switched:
            return i
    return None


WALKS = st.lists(st.floats(-1, 1), min_size=4, max_size=30)
COMPUTED = st.lists(st.booleans(), min_size=29, max_size=29).map(lambda drawn: [True, *drawn])


@given(walk=WALKS, computed=COMPUTED, threshold=st.floats(0.001, 0.5), min_step=st.integers(0, 10))
def test_between_computed_steps_the_switch_equals_the_reference(
    walk: list[float], computed: list[bool], threshold: float, min_step: int
) -> None:
    predictions = walked(walk)
    watched = detector(rule="per_step", threshold=threshold, min_step=min_step)
    expected = reference_per_step(predictions, computed, threshold, min_step)
    assert switched_after(watched, predictions, computed) == expected


@given(walk=WALKS, computed=COMPUTED, threshold=st.floats(0.001, 0.5), min_step=st.integers(0, 10))
def test_auto_is_the_papers_rule_until_a_step_is_skipped_and_then_per_step(
    walk: list[float], computed: list[bool], threshold: float, min_step: int
) -> None:
    predictions = walked(walk)
    skipped = next((i for i in range(len(walk)) if not computed[i]), len(walk))
    expected = reference_switch(predictions[:skipped], threshold, min_step, None)
    if expected is None and skipped < len(walk):
        expected = reference_per_step(predictions, computed, threshold, min_step)
    watched = detector(threshold=threshold, min_step=min_step)
    assert switched_after(watched, predictions, computed) == expected


@pytest.mark.parametrize("rule", ["auto", "paper", "per_step"])
@given(
    walk=WALKS,
    threshold=st.floats(0.001, 0.5),
    min_step=st.integers(0, 10),
    max_step=st.none() | st.integers(10, 20),
)
def test_without_a_skipped_step_every_rule_is_the_ten_line_reference(
    rule: str, walk: list[float], threshold: float, min_step: int, max_step: int | None
) -> None:
    predictions = walked(walk)
    watched = detector(rule=rule, threshold=threshold, min_step=min_step, max_step=max_step)
    expected = reference_switch(predictions, threshold, min_step, max_step)
    assert switched_after(watched, predictions, [True] * len(walk)) == expected
    assert watched.rule == ("paper" if rule == "auto" else rule)


@given(walk=WALKS, computed=COMPUTED, threshold=st.floats(0.001, 0.5), min_step=st.integers(0, 10))
def test_a_skipped_steps_prediction_is_never_looked_at(
    walk: list[float], computed: list[bool], threshold: float, min_step: int
) -> None:
    predictions = walked(walk)
    others = [
        eps if done else torch.full_like(eps, 7 + i)
        for i, (eps, done) in enumerate(zip(predictions, computed, strict=False))
    ]
    options = {"rule": "per_step", "threshold": threshold, "min_step": min_step}
    at = switched_after(detector(**options), predictions, computed)
    assert at == switched_after(detector(**options), others, computed)
    assert at is None or computed[at] or at == min_step, "decided where there was nothing to see"


@given(
    gaps=st.lists(st.integers(2, 6), min_size=6, max_size=12),
    lowest=st.integers(1, 4),
    threshold=st.floats(1e-9, 1),
    steepness=st.floats(1.05, 8),
)
def test_where_d_falls_and_rises_again_the_switch_always_comes(
    gaps: list[int], lowest: int, threshold: float, steepness: float
) -> None:
    """However low the threshold: what the raw rule misses, and what happens between two looks."""
    rule, at = PerStepRule(threshold), 0
    hits = []
    for look, gap in enumerate(gaps):
        at += gap
        hits.append(rule.hit(0.01 * steepness ** abs(look - lowest) * gap, gap, at))
    assert any(hits[: lowest + 2])


def test_a_look_before_min_step_counts_until_the_next_one() -> None:
    predictions = smooth_decline(24)
    computed = [i % 6 == 0 for i in range(24)]
    assert switched_after(detector(threshold=0.01, min_step=0), predictions, computed) == 12
    assert switched_after(detector(threshold=0.01, min_step=15), predictions, computed) == 15


@pytest.mark.parametrize(
    ("options", "at", "decided_by"),
    [
        ({"threshold": 0.01}, 12, "metric"),
        ({"threshold": 0.01, "min_step": 15}, 15, "min_step"),
        ({"threshold": 0.01, "min_step": 12}, 12, "metric"),
        ({"threshold": 1e-12, "max_step": 3}, 3, "max_step"),
    ],
)
def test_what_decided_the_switch_is_reported(
    options: dict[str, Any], at: int, decided_by: str
) -> None:
    watched = detector(**options)
    computed = [i % 6 == 0 for i in range(24)] if at > 3 else [True] * 24
    assert switched_after(watched, smooth_decline(24), computed) == at
    assert watched.notes()["switch_decided_by"] == decided_by


def test_on_x0_the_metric_is_that_of_the_clean_latents(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
) -> None:
    clean: list[torch.Tensor] = []
    step = pipe.scheduler.step

    def spy(model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, **more: Any) -> Any:
        sigma = float(timestep) / 1000
        clean.append(sample.float() - sigma * model_output.float())
        return step(model_output, timestep, sample, **more)

    pipe.scheduler.step = spy  # type: ignore[method-assign]
    recipe = [{"use": "srdiffusion", "render": render, "min_step": 99, "metric_on": "x0"}]
    with sraccel.compose(pipe, recipe) as stack:
        generate(pipe)
    for i, record in enumerate(stack.report.steps[1:], start=1):
        assert d_of(record) == pytest.approx(
            float(rel_l1_distance(clean[i], clean[i - 1])), rel=1e-3
        )


def test_fixed_switch_step_is_the_first_step_of_the_render_model(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
) -> None:
    with sraccel.compose(
        pipe, [{"use": "srdiffusion", "render": render, "switch_step": 3}]
    ) as stack:
        generate(pipe)
    report = stack.report
    assert [step.denoiser for step in report.steps] == ["transformer"] * 3 + ["render"] * 5
    assert (report.switch_step, switch_rule(report)) == (3, "fixed")
    assert report.accelerators[0].notes["switch_decided_by"] == "fixed"
    assert [d_of(step) is not None for step in report.steps] == [False, True, True] + [False] * 5


def test_every_run_starts_with_the_sketch_model(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
) -> None:
    def interrupt(pipe: Any, index: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        pipe._interrupt = index >= 5
        return {}

    recipe = [{"use": "srdiffusion", "render": render, "max_step": 3}]
    with sraccel.compose(pipe, recipe) as stack:
        first = generate(pipe)
        generate(pipe, callback_on_step_end=interrupt)
        assert torch.equal(generate(pipe), first)
    assert {report.switch_step for report in stack.reports} <= {2, 3, 4}
    assert all(report.steps[0].denoiser == "transformer" for report in stack.reports)


def test_the_metric_is_taken_on_the_guided_prediction_of_consecutive_steps(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
) -> None:
    guided: list[torch.Tensor] = []
    step = pipe.scheduler.step

    def spy(model_output: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        guided.append(model_output.clone())
        return step(model_output, *args, **kwargs)

    pipe.scheduler.step = spy  # type: ignore[method-assign]
    recipe = [{"use": "srdiffusion", "render": render, "min_step": 99}]
    with sraccel.compose(pipe, recipe) as stack:
        generate(pipe)
    for i, record in enumerate(stack.report.steps[1:], start=1):
        d = (guided[i] - guided[i - 1]).abs().mean() / guided[i - 1].abs().mean()
        assert d_of(record) == pytest.approx(float(d), rel=1e-6)


def test_another_dtype_of_the_render_model_is_cast_in_and_out(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
) -> None:
    def run(model: WanTransformer3DModel) -> torch.Tensor:
        recipe = [{"use": "srdiffusion", "render": model, "switch_step": 4}]
        with sraccel.compose(pipe, recipe):
            return generate(pipe)

    single = run(render)
    half = run(tiny_transformer(seed=7, layers=1).to(torch.bfloat16))
    assert half.dtype == single.dtype
    assert not torch.equal(half, single)
    assert torch.allclose(half, single, atol=0.1)


def test_under_autocast_an_identical_render_model_changes_no_bit(
    pipe: WanPipeline, generate: Generate
) -> None:
    twin = copy.deepcopy(pipe.transformer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        bare = generate(pipe, steps=4)
        with sraccel.compose(pipe, [{"use": "srdiffusion", "render": twin, "switch_step": 2}]):
            assert torch.equal(generate(pipe, steps=4), bare)


def test_the_report_holds_what_the_per_step_rule_saw(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
) -> None:
    cache = {
        "use": "teacache",
        "threshold": 5.0,
        "coefficients": dict.fromkeys(("transformer", "render"), IDENTITY),
    }
    recipe = [{"use": "srdiffusion", "render": render, "min_step": 99}, cache]
    predictions: list[torch.Tensor] = []

    class Records(Accelerator):
        """Keeps the guided predictions."""

        name = "records"

        @hookimpl
        def step_finished(self, step: Step) -> None:
            assert step.noise_pred is not None
            predictions.append(step.noise_pred.clone())

    with sraccel.compose(pipe, [*recipe, Records.Options()]) as stack:
        generate(pipe, steps=12)
    steps = stack.report.steps
    computed = [step.index for step in steps if not step.calls[0].reused]
    skipped = [step.index for step in steps if step.calls[0].reused]
    assert skipped
    for before, at in pairwise(computed):
        rate = steps[at].measured[D_PER_STEP]
        if at < skipped[0]:
            assert rate is None  # the paper's rule is in force
        else:
            d = rel_l1_distance(predictions[at], predictions[before])
            assert rate == pytest.approx(float(d) / (at - before), rel=1e-5)
    assert all(D_PER_STEP not in steps[at].measured for at in skipped)


def test_a_switch_beyond_the_run_is_a_warning_and_the_run_is_bare(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
) -> None:
    bare = generate(pipe)
    recipe = [{"use": "srdiffusion", "render": render, "switch_step": 50}]
    with untouched(pipe, render), sraccel.compose(pipe, recipe) as stack:
        assert torch.equal(generate(pipe), bare)
    warnings = " ".join(stack.report.warnings)
    assert "beyond the run's 8 steps" in warnings
    assert "never switched" in warnings
    assert stack.report.switch_step is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"switch_step": 3, "threshold": 0.02}, "switch_step fixes the switch"),
        ({"min_step": 9, "max_step": 3}, "max_step 3 is before min_step 9"),
        ({"threshold": 0}, "greater than 0"),
        ({"threshold": float("nan")}, "finite"),
        ({"switch_step": -1}, "must be 0 or more"),
        ({"switch_sigma": 0.5, "switch_step": 3}, "both fix the switch"),
        ({"switch_sigma": 0.5, "threshold": 0.02}, "switch_sigma fixes the switch, so threshold"),
        ({"switch_sigma": 0.0}, "greater than 0"),
        ({"switch_sigma": float("inf")}, "finite"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(sraccel.RecipeError, match=message):
        sraccel.Recipe(accelerators=[{"use": "srdiffusion", "render": "demo", **options}])


def test_everything_that_differs_is_said_at_once_and_before_weights_are_loaded(
    pipe: WanPipeline, tmp_path: Path
) -> None:
    other = dict(pipe.vae.config) | {"latents_mean": [0.5] * 4, "_class_name": "AutoencoderKLWan"}
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "config.json").write_text(json.dumps(other))
    tiny_transformer(layers=1, text_dim=32).save_config(tmp_path / "transformer")  # no weights
    with pytest.raises(sraccel.ModelError) as refused:
        sraccel.compose(pipe, [{"use": "srdiffusion", "render": str(tmp_path)}])
    message = str(refused.value)
    assert (
        "VAE latents_mean: [0.0, 0.0, 0.0, 0.0] (transformer), [0.5, 0.5, 0.5, 0.5] (render)"
        in message
    )
    assert "text_dim: 16 (transformer), 32 (render)" in message
    assert "z_dim" not in message


def test_a_render_folder_that_is_not_there_is_refused(pipe: WanPipeline, tmp_path: Path) -> None:
    with pytest.raises(sraccel.ModelError, match="no model folder"):
        sraccel.compose(pipe, [{"use": "srdiffusion", "render": str(tmp_path / "nowhere")}])


def test_the_pipelines_own_model_is_no_render_model(pipe: WanPipeline) -> None:
    with pytest.raises(sraccel.ModelError, match="is the pipeline's own model"):
        sraccel.compose(pipe, [{"use": "srdiffusion", "render": pipe.transformer}])


def test_an_own_loop_without_finish_is_refused_when_the_rule_needs_it(
    pipe: WanPipeline, render: WanTransformer3DModel
) -> None:
    recipe = [{"use": "srdiffusion", "render": render}]
    with sraccel.compose(pipe.transformer, recipe) as stack, stack.run(3) as run:
        with pytest.raises(sraccel.LoopError, match=r"step\.finish"), run.step(0) as step:
            with step.branch("cond"):
                _denoise(pipe)


def _denoise(pipe: WanPipeline) -> None:
    arguments = call_arguments()
    pipe.transformer(
        hidden_states=torch.ones(1, 4, 2, 8, 8),
        timestep=torch.tensor([900]),
        encoder_hidden_states=arguments["prompt_embeds"],
    )


def test_a_pipeline_led_switch_restarts_the_metric(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
) -> None:
    """Wan2.2 has two experts: D between predictions of different experts says nothing."""
    pipe.register_modules(transformer_2=tiny_transformer(seed=5))
    pipe.register_to_config(boundary_ratio=0.8)
    recipe = [
        {"use": "srdiffusion", "render": render, "min_step": 99},
        {
            "use": "teacache",
            "threshold": 0.01,
            "coefficients": dict.fromkeys(("transformer", "transformer_2", "render"), IDENTITY),
        },
    ]
    with sraccel.compose(pipe, recipe) as stack:
        generate(pipe, steps=12)
    roles = [step.denoiser for step in stack.report.steps]
    boundary = roles.index("transformer_2")
    assert roles == ["transformer"] * boundary + ["transformer_2"] * (12 - boundary)
    missing = [i for i, step in enumerate(stack.report.steps) if d_of(step) is None]
    assert missing == [0, boundary]
