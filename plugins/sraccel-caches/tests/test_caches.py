"""Each published cache against diffusers' own, or a loop of its formulas without sraccel."""

from __future__ import annotations

import ast
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FirstBlockCacheConfig, MagCacheConfig, WanPipeline, WanTransformer3DModel
from diffusers.hooks.sea_cache import _apply_sea_filter
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sraccel_caches import EasyCache, FirstBlock, MagCache, SeaCache
from sraccel_caches.mag_calibration import MagRatios, Ratios
from sraccel_caches.mag_ratios import PUBLISHED
from sraccel_caches.magcache import nearest
from sraccel_caches.seacache import filtered
from tiny import KANDINSKY5, WAN_2_2
from tiny_models import call_arguments, tiny_pipeline
from untouched import untouched

import sraccel
from sraccel.calibration.fitting import calibrated
from sraccel.calibration.recording import setup_of
from sraccel.plugin import Accelerator, Trajectory

STEPS = 14
RATIOS = [1.003, 1.021, 0.987, 1.013, 1.004, 0.981, 1.027, 0.976, 1.006, 1.002, 0.993, 0.982]
RATIOS += [0.951, 0.903]


@pytest.fixture(scope="module")
def wan() -> WanPipeline:
    torch.set_grad_enabled(False)
    return tiny_pipeline()


def generated(pipe: Any, steps: int = STEPS) -> torch.Tensor:
    return pipe(**call_arguments(steps)).frames


def through(pipe: Any, *accelerators: Accelerator) -> tuple[torch.Tensor, list[bool]]:
    """The latents, and for each call whether it was skipped; twice, since state must not stay."""
    with untouched(pipe), sraccel.compose(pipe, list(accelerators)) as stack:
        first, second = generated(pipe), generated(pipe)
    assert torch.equal(first, second)
    return first, [call.reused for step in stack.report.steps for call in step.calls]


@contextmanager
def ran_blocks(pipe: Any, found: list[bool]) -> Any:
    """Whether the last block computed, call by call, under diffusers' own caches."""
    ran: list[int] = []
    hooks = [
        pipe.transformer.blocks[-1].attn1.to_q.register_forward_pre_hook(lambda *_: ran.append(1)),
        pipe.transformer.norm_out.register_forward_pre_hook(
            lambda *_: (found.append(bool(ran)), ran.clear())[2:] or None
        ),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def through_diffusers(pipe: Any, config: Any) -> tuple[torch.Tensor, list[bool]]:
    ran: list[bool] = []
    pipe.transformer.enable_cache(config)
    try:
        with ran_blocks(pipe, ran):
            latents = generated(pipe)
    finally:
        pipe.transformer.disable_cache()
    return latents, [not one for one in ran]


def made(kind: type[Accelerator], **options: Any) -> Accelerator:
    return kind(kind.Options(**options))


class TestAgainstDiffusers:
    @pytest.mark.parametrize("threshold", [0.0, 0.02, 0.05, 0.2, 1.0])
    def test_firstblock_skips_what_first_block_cache_skips(
        self, threshold: float, wan: WanPipeline
    ) -> None:
        theirs, skipped = through_diffusers(wan, FirstBlockCacheConfig(threshold=threshold))
        ours, decisions = through(wan, made(FirstBlock, threshold=threshold))
        assert decisions == skipped
        torch.testing.assert_close(ours, theirs)

    @pytest.mark.parametrize(("threshold", "skips"), [(0.0, 3), (0.06, 3), (0.06, 1), (0.5, 5)])
    def test_magcache_skips_what_mag_cache_skips(
        self, threshold: float, skips: int, wan: WanPipeline
    ) -> None:
        config = MagCacheConfig(
            threshold=threshold,
            max_skip_steps=skips,
            num_inference_steps=STEPS,
            mag_ratios=RATIOS,
        )
        theirs, skipped = through_diffusers(wan, config)
        given = {"threshold": threshold, "max_skips": skips, "ratios": RATIOS}
        ours, decisions = through(wan, made(MagCache, **given))
        assert decisions == skipped
        torch.testing.assert_close(ours, theirs)

    @given(st.floats(0, 1), st.floats(0.5, 4), st.integers(0, 99))
    def test_seacache_filters_as_diffusers_does(
        self, sigma: float, power: float, seed: int
    ) -> None:
        latents = torch.randn(2, 3, 4, 6, 5, generator=torch.Generator().manual_seed(seed))
        theirs = [_apply_sea_filter(one.movedim(0, -1), sigma, power) for one in latents]
        expected = torch.stack([one.movedim(-1, 0) for one in theirs])
        torch.testing.assert_close(filtered(latents, sigma, power), expected)


def test_seacache_accumulates_until_its_threshold(wan: WanPipeline) -> None:
    """Against the formulas on the latents that the run itself had."""
    inputs: list[torch.Tensor] = []
    handle = wan.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: inputs.append(kwargs["hidden_states"].clone()),
        with_kwargs=True,
    )
    with sraccel.compose(wan, [made(SeaCache, threshold=0.3, max_skips=2)]) as stack:
        generated(wan)
    handle.remove()
    decisions = [call.reused for step in stack.report.steps for call in step.calls]
    wan.scheduler.set_timesteps(STEPS)
    sigmas, expected = wan.scheduler.sigmas.tolist(), []
    before, accumulated, skipped = None, 0.0, 0
    for step, latents in enumerate(inputs[::2]):
        now = filtered(latents, sigmas[step], 3.0)
        skip = False
        if before is not None and step < STEPS - 1 and skipped < 2:
            accumulated += float((now - before).abs().mean() / before.abs().mean())
            skip = accumulated < 0.3
        if not skip:
            accumulated = skipped = 0
        skipped, before = skipped + skip, now
        expected += [skip, skip]
    assert decisions == expected
    assert any(decisions)


def test_easycache_is_the_published_loop(wan: WanPipeline) -> None:
    """Against a forward that caches by itself, in the manner of the official code."""
    bare = generated(wan)
    threshold, warm_up = 0.4, 3
    ours, decisions = through(wan, made(EasyCache, threshold=threshold, warm_up=warm_up))
    forward, cache = wan.transformer.forward, _Official(threshold, warm_up)
    wan.transformer.forward = lambda *args, **kwargs: cache(forward, kwargs)
    try:
        theirs = generated(wan)
    finally:
        del wan.transformer.forward
    assert decisions == cache.decisions
    assert any(decisions)
    assert not all(decisions[2 * warm_up : -2])
    torch.testing.assert_close(ours, theirs)
    assert not torch.equal(ours, bare)


class _Official:
    """EasyCache around a forward, for calls in turns: conditional, unconditional."""

    def __init__(self, threshold: float, warm_up: int) -> None:
        self.threshold, self.warm_up = threshold, warm_up
        self.count, self.decisions = 0, list[bool]()
        self.added: dict[int, torch.Tensor] = {}
        self.accumulated, self.k = 0.0, 0.0
        self.raw: torch.Tensor | None = None
        self.computed: tuple[torch.Tensor, torch.Tensor] | None = None

    def __call__(self, forward: Any, kwargs: dict[str, Any]) -> Any:
        noisy, (step, branch) = kwargs["hidden_states"], divmod(self.count, 2)
        self.count += 1
        if branch == 0:
            self.skip = self._decide(noisy, step)
        self.decisions.append(self.skip)
        if self.skip:
            return (noisy + self.added[branch],)
        output = forward(**kwargs)[0]
        self.added[branch] = output - noisy
        if branch == 0:
            if self.computed is not None:
                moved = (noisy - self.computed[0]).abs().mean()
                self.k = float((output - self.computed[1]).abs().mean() / moved)
            self.computed = noisy.clone(), output.clone()
        return (output,)

    def _decide(self, noisy: torch.Tensor, step: int) -> bool:
        before, self.raw = self.raw, noisy.clone()
        if step < self.warm_up or step == STEPS - 1 or before is None or self.computed is None:
            self.accumulated = 0.0
            return False
        change = float((noisy - before).abs().mean() / self.computed[1].abs().mean())
        self.accumulated += self.k * change
        if self.accumulated < self.threshold:
            return True
        self.accumulated = 0.0
        return False


class TestBesideOthers:
    @pytest.mark.parametrize(
        "rule",
        [
            made(FirstBlock, threshold=9.0),
            made(MagCache, ratios="wan2.1-t2v-14b", threshold=9.0),
            made(SeaCache, threshold=9.0),
        ],
        ids=lambda rule: rule.name,
    )
    def test_a_switch_starts_them_anew_and_forecast_predicts_for_them(
        self, rule: Accelerator, wan: WanPipeline, render: WanTransformer3DModel
    ) -> None:
        switch = {"use": "srdiffusion", "render": render, "switch_step": 6}
        with sraccel.compose(wan, [switch, rule, {"use": "forecast"}]) as stack:
            generated(wan)
        skipped = [step for step in stack.report.steps if step.calls[0].reused]
        assert {step.calls[0].denoiser for step in skipped} == {"transformer", "render"}
        assert not stack.report.steps[6].calls[0].reused
        assert {step.calls[0].predicted_by for step in skipped} == {"forecast"}

    def test_thresholds_of_0_change_no_bit(self, wan: WanPipeline) -> None:
        bare = generated(wan)
        for rule in (
            made(MagCache, ratios=RATIOS, threshold=0.0),
            made(SeaCache, threshold=0.0),
            made(EasyCache, threshold=0.0),
        ):
            assert torch.equal(through(wan, rule)[0], bare)


@given(st.integers(1, 80), st.sampled_from(sorted(PUBLISHED)))
def test_ratios_of_another_number_of_steps_are_the_nearest(steps: int, model: str) -> None:
    ratios = PUBLISHED[model]
    found = nearest(ratios, steps)
    assert len(found) == steps
    assert set(found) <= set(ratios)
    assert found[-1] == ratios[-1]
    assert nearest(ratios, len(ratios)) == ratios


def test_with_kandinskys_ratios_and_settings_the_steps_are_skipped_that_its_authors_skip() -> None:
    """Their rule, `magcache_utils.py` of kandinskylab/kandinsky-5, on the conditional ratios."""
    ratios, expected = PUBLISHED["kandinsky5-t2v-lite-5s"], []
    ratio, error, steps = 1.0, 0.0, 0
    for step in range(len(ratios)):
        skip = False
        if step >= int(len(ratios) * 0.2):
            ratio, steps = ratio * ratios[step], steps + 1
            error += abs(1 - ratio)
            skip = error < 0.12 and steps <= 2
            if not skip:
                ratio, error, steps = 1.0, 0.0, 0
        expected += [skip] * 2
    pipe = KANDINSKY5.pipeline()
    rule = made(MagCache, ratios="kandinsky5-t2v-lite-5s", threshold=0.12, max_skips=2)
    with sraccel.compose(pipe, [rule]) as stack:
        KANDINSKY5.generate(pipe, len(ratios))
    assert [call.reused for step in stack.report.steps for call in step.calls] == expected
    assert 0.4 < sum(expected) / len(expected) < 0.6


def test_behind_the_switch_of_experts_the_second_computes_before_it_skips() -> None:
    """Whatever the ratio there: what the first expert's blocks added is not the second's."""
    pipe = WAN_2_2.pipeline()
    _, skipped = through(pipe, made(MagCache, ratios="wan2.2-t2v-a14b", retention=0.1))
    with sraccel.compose(pipe, []) as stack:
        generated(pipe)
    roles = [step.calls[0].denoiser for step in stack.report.steps]
    first = roles.index("transformer_2")
    assert first > 1
    assert skipped[2 * first : 2 * first + 2] == [False, False]
    assert any(skipped[2 * first + 2 :])


def test_calibrated_ratios_are_those_that_diffusers_prints_and_a_file_of_them_serves(
    wan: WanPipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = Ratios()
    through(wan, recorder)
    ours = recorder.recorded()
    capsys.readouterr()
    wan.transformer.enable_cache(MagCacheConfig(calibrate=True, num_inference_steps=STEPS))
    generated(wan)
    wan.transformer.disable_cache()
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[1")]
    assert ours == pytest.approx(ast.literal_eval(printed[0]), abs=1e-3)

    runs = [
        Trajectory(
            prompt=prompt, seed=0, sigmas=[0.5] * STEPS, products=[], more={"magcache": ours}
        )
        for prompt in "ab"
    ]
    setup = setup_of(sraccel.compose(wan, []), wan, STEPS, {})
    file = calibrated(MagRatios(), runs, setup)
    assert file.fit["ratios"] == pytest.approx(ours)
    assert (file.error, file.error_held_out) == pytest.approx((0, 0), abs=1e-9)
    path = str(file.save(tmp_path / "magcache.json"))
    same = [{"use": "magcache", "ratios": ratios, "retention": 0.1} for ratios in (ours, path)]
    given, named = (through(wan, MagCache(MagCache.Options(**one)))[1] for one in same)
    assert given == named


def test_unknown_ratios_are_refused_with_what_is_known() -> None:
    with pytest.raises(ValidationError, match=r"did you mean .wan2\.1-t2v-14b"):
        MagCache.Options(ratios="wan2.1-t2v-14B")
