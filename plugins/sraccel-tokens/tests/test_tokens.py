"""Tokens of a frame are merged before self-attention and told apart again behind it."""

from __future__ import annotations

from math import prod
from operator import floordiv
from typing import Any

import pytest
import torch
from diffusers import WanPipeline
from hypothesis import given, settings
from hypothesis import strategies as st
from sraccel_compile import RegionalCompile
from sraccel_diffusers_caches import PyramidAttention
from sraccel_stitch import HybridStitch
from sraccel_tokens import TokenMerging
from sraccel_tokens.matching import Grid, destinations, matching
from tiny_models import call_arguments, tiny_pipeline, tiny_transformer
from untouched import untouched

import sraccel
from sraccel.testing import check_accelerator, standard_targets

STEPS = 6


@pytest.fixture(scope="module")
def wan() -> WanPipeline:
    torch.set_grad_enabled(False)
    return tiny_pipeline()


def merging(**options: Any) -> TokenMerging:
    return TokenMerging(TokenMerging.Options(**{**TIME, **options}))


def generated(pipe: Any) -> torch.Tensor:
    return pipe(**call_arguments(STEPS)).frames


def through(pipe: Any, *accelerators: Any) -> tuple[torch.Tensor, Any]:
    with sraccel.compose(pipe, list(accelerators)) as stack:
        first, second = generated(pipe), generated(pipe)
    assert torch.equal(first, second)
    return first, stack.report


TIME = {"frames": 2, "rows": 1, "columns": 1}
"""A window that fits into the tiny pipeline's two frames of one token."""

grids = st.tuples(st.integers(1, 5), st.integers(2, 7), st.integers(2, 7))
windows = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(2, 3))


class TestMatching:
    @settings(max_examples=40, deadline=None)
    @given(grids, windows, st.integers(0, 9), st.floats(0, 0.5))
    def test_each_token_becomes_one_that_stays(
        self, grid: Grid, window: Grid, seed: int, ratio: float
    ) -> None:
        among, size = destinations(grid, window, seed), prod(grid)
        assert len(among.own) == prod(map(floordiv, grid, window))
        assert torch.equal(torch.cat([among.own, among.others]).sort().values, torch.arange(size))
        if not len(among.own):
            return
        number = min(round(ratio * size), len(among.others))
        tokens = torch.randn(2, size, 8, generator=torch.Generator().manual_seed(seed))
        merge = matching(tokens, among, number)
        assert merge.kept.shape == (2, size - number)
        place = merge.place.gather(1, merge.kept)
        assert torch.equal(place, torch.arange(size - number).expand(2, -1))

    def test_equal_tokens_are_merged_and_nothing_is_lost(self) -> None:
        """As many values as windows: each token finds its like, so undoing gives all back."""
        among = destinations((1, 4, 4), (1, 2, 2), 0)
        values = torch.randn(1, 4, 8)
        tokens = values[:, torch.randint(4, (16,))]
        tokens[:, among.own] = values
        merge = matching(tokens, among, 12)
        torch.testing.assert_close(merge.unmerged(merge.merged(tokens)), tokens)

    def test_what_is_merged_is_the_mean(self) -> None:
        among = destinations((1, 1, 3), (1, 1, 2), 0)
        tokens = torch.tensor([[[1.0, 0.0], [3.0, 0.0], [0.0, 9.0]]])
        fewer = matching(tokens, among, 1).merged(tokens)
        assert sorted(fewer[0].tolist()) == [[0.0, 9.0], [2.0, 0.0]]

    def test_the_most_alike_go_first(self) -> None:
        tokens = torch.randn(1, 16, 8)
        among = destinations((1, 4, 4), (1, 2, 2), 1)
        merge = matching(tokens, among, 5)
        unit = torch.nn.functional.normalize(tokens[0], dim=-1)
        best = (unit[among.others] @ unit[among.own].T).max(dim=1).values
        stayed = torch.isin(among.others, merge.kept[0])
        assert best[~stayed].min() >= best[stayed].max()


def test_every_attention_sees_fewer_tokens_and_the_video_has_all(wan: WanPipeline) -> None:
    seen: list[int] = []
    inner = wan.transformer.blocks[0].attn1.to_q
    handle = inner.register_forward_hook(lambda _, given, __: seen.append(given[0].shape[1]))
    bare = generated(wan)
    with untouched(wan):
        latents, report = through(wan, merging(start=0.5))
    handle.remove()
    notes = report.accelerators[0].notes
    (tokens,) = notes["tokens"].values()
    frames, height, width = bare.shape[2:]
    assert tokens["of"] == frames * (height // 2) * (width // 2)
    assert tokens["kept"] == tokens["of"] // 2
    calls = sum(len(step.calls) for step in report.steps)
    blocks = len(wan.transformer.blocks)
    assert notes["attentions_merged"] == notes["attentions_whole"] == calls * blocks // 2
    assert set(seen) == {tokens["of"], tokens["kept"]}
    assert latents.shape == bare.shape
    assert not torch.equal(latents, bare)


@pytest.mark.parametrize("options", [{"ratio": 0}, {"start": 1.0}])
def test_where_it_merges_nothing_no_bit_changes(options: Any, wan: WanPipeline) -> None:
    bare = generated(wan)
    latents, _ = through(wan, merging(**options))
    assert torch.equal(latents, bare)


def test_a_video_smaller_than_a_window_stays_whole_and_the_report_says_so(wan: WanPipeline) -> None:
    bare = generated(wan)
    latents, report = through(wan, merging(rows=99))
    assert torch.equal(latents, bare)
    assert any("merged nothing" in warning for warning in report.warnings)


def test_a_ratio_that_the_windows_do_not_allow_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at most 0\.75; take larger windows"):
        TokenMerging.Options(ratio=0.8)
    assert TokenMerging.Options(ratio=0.8, rows=4).ratio == 0.8


class TestBesideOthers:
    def test_sageattention_computes_what_is_left(self, wan: WanPipeline) -> None:
        sage = {"use": "sageattention", "kernel": "emulated"}
        one, report = through(wan, sage, merging())
        other, _ = through(wan, merging(), sage)
        alone, _ = through(wan, merging())
        assert torch.equal(one, other)
        assert not torch.equal(one, alone)
        served = report.accelerators[0].notes["attention_calls"]["transformer"]["served"]
        assert served >= report.accelerators[1].notes["attentions_merged"] > 0

    def test_behind_a_switch_the_other_model_merges_too(self, wan: WanPipeline) -> None:
        render = tiny_transformer(seed=7, layers=1)
        switch = {"use": "srdiffusion", "render": render, "switch_step": 3}
        with untouched(wan, render):
            _, report = through(wan, switch, merging())
        assert set(report.accelerators[1].notes["tokens"]) == {"transformer", "render"}

    def test_a_cache_skips_beside_it(self, wan: WanPipeline) -> None:
        cache = {"use": "teacache", "threshold": 3.0, "coefficients": [0.0, 0.0, 0.0, 1.0, 0.0]}
        one, report = through(wan, cache, merging())
        other, _ = through(wan, merging(), cache)
        assert torch.equal(one, other)
        assert report.accelerators[0].reused_calls > 0

    def test_another_that_changes_the_tokens_is_refused(self, wan: WanPipeline) -> None:
        switch = {"use": "srdiffusion", "render": tiny_transformer(seed=7), "switch_step": 3}
        with pytest.raises(sraccel.ConflictError, match="both change how many tokens"):
            sraccel.compose(wan, [switch, HybridStitch(), merging()])

    def test_compilation_is_refused(self, wan: WanPipeline) -> None:
        for both in ([merging(), RegionalCompile()], [RegionalCompile(), merging()]):
            with pytest.raises(sraccel.ConflictError, match="leave one of them out"):
                sraccel.compose(wan, both)

    def test_caches_of_attention_outputs_come_later(self, wan: WanPipeline) -> None:
        """A kept output of fewer tokens would be told apart by another step's merging."""
        pab = PyramidAttention()
        with pytest.raises(sraccel.ConflictError, match="'token-merging' first"):
            sraccel.compose(wan, [pab, merging()])
        with sraccel.compose(wan, [merging(), pab]):
            generated(wan)


@pytest.mark.parametrize(
    "target", ["Wan with two experts", pytest.param("Wan", marks=pytest.mark.slow)]
)
def test_it_behaves(target: str) -> None:
    targets = [one for one in standard_targets() if one.name == target]
    idle = {**TIME, "ratio": 0.0}
    found = check_accelerator(TokenMerging, options=TIME, idle=idle, targets=targets)
    assert found.targets == (target,)
