"""The emulation against exact attention, and against the package's own kernels."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from sraccel.accelerators.sageattention.emulated import (
    BLOCK_K,
    BLOCK_Q,
    LOG2_E,
    int8_attention,
    quantised,
    smoothed,
)
from sraccel.accelerators.sageattention.kernel import AttentionCall
from sraccel.accelerators.sageattention.package_kernel import PackageKernel

CASES = (
    "whole blocks",
    "ragged query",
    "ragged key",
    "grouped heads",
    "head dim 96",
    "head dim 128",
    "float16",
    "bfloat16",
    "causal",
    "causal, head dim 96",
)
RAGGED = ("ragged key",)


def relative_error(given: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((given.double() - wanted.double()).norm() / wanted.double().norm())


def exact(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **more: Any) -> torch.Tensor:
    doubles = (x.double() for x in (query, key, value))
    return scaled_dot_product_attention(*doubles, enable_gqa=True, **more)


def random_qkv(seed: int, *, tokens: int, keys: int, head_dim: int = 64, heads: int = 2) -> Any:
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(1, heads, tokens, head_dim, generator=generator)
    key, value = torch.randn(2, 1, heads, keys, head_dim, generator=generator).unbind()
    return query, key, value


lengths = st.integers(1, 300)
seeds = st.integers(0, 2**31 - 1)


@given(tokens=lengths, keys=lengths, head_dim=st.sampled_from((16, 64, 96, 128)), seed=seeds)
@settings(max_examples=40, deadline=None)
def test_the_emulation_stays_within_three_percent_of_exact_attention(
    tokens: int, keys: int, head_dim: int, seed: int
) -> None:
    q, k, v = random_qkv(seed, tokens=tokens, keys=keys, head_dim=head_dim)
    assert relative_error(int8_attention(q, k, v), exact(q, k, v)) < 0.03


@given(tokens=lengths, block=st.sampled_from((BLOCK_K, BLOCK_Q)), seed=seeds)
@settings(max_examples=40, deadline=None)
def test_quantised_values_are_int8_and_within_half_a_step(
    tokens: int, block: int, seed: int
) -> None:
    x = torch.randn(1, 2, tokens, 16, generator=torch.Generator().manual_seed(seed))
    integers, scale = quantised(x, block)
    assert integers.abs().max() <= 127
    assert torch.equal(integers, integers.round())
    assert ((integers * scale - x).abs() <= 0.5001 * scale).all()


@given(tokens=st.integers(2, 200), seed=seeds, size=st.floats(1, 100))
@settings(max_examples=25, deadline=None)
def test_a_bias_common_to_all_keys_costs_no_accuracy_where_k_is_smoothed(
    tokens: int, seed: int, size: float
) -> None:
    q, k, v = random_qkv(seed, tokens=tokens, keys=tokens)
    bias = size * torch.randn(1, 2, 1, 64, generator=torch.Generator().manual_seed(seed + 1))
    assert relative_error(int8_attention(q, k + bias, v), exact(q, k, v)) < 0.03


def test_without_smoothing_that_bias_costs_much() -> None:
    q, k, v = random_qkv(0, tokens=128, keys=128)
    biased = k + 50 * torch.randn(1, 2, 1, 64, generator=torch.Generator().manual_seed(1))
    smooth = relative_error(int8_attention(q, biased, v), exact(q, biased, v))
    rough = relative_error(int8_attention(q, biased, v, smooth_k=False), exact(q, biased, v))
    assert rough > 10 * smooth


def test_causal_attention_sees_nothing_of_the_future() -> None:
    q, k, v = random_qkv(0, tokens=200, keys=200)
    assert (
        relative_error(int8_attention(q, k, v, is_causal=True), exact(q, k, v, is_causal=True))
        < 0.03
    )


def test_grouped_heads_equal_repeated_heads() -> None:
    q, _, _ = random_qkv(0, tokens=100, keys=100, heads=4)
    _, k, v = random_qkv(1, tokens=100, keys=100, heads=2)
    repeated = (x.repeat_interleave(2, dim=1) for x in (k, v))
    assert torch.equal(int8_attention(q, k, v), int8_attention(q, *repeated))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_output_has_the_querys_dtype_and_inputs_stay_as_they_are(dtype: torch.dtype) -> None:
    tensors = [x.to(dtype) for x in random_qkv(0, tokens=70, keys=90)]
    copies = [x.clone() for x in tensors]
    assert int8_attention(*tensors).dtype == dtype
    assert all(map(torch.equal, tensors, copies))


def test_long_sequences_are_computed_in_parts_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    q, k, v = random_qkv(0, tokens=200, keys=200)
    whole = int8_attention(q, k, v)
    causal = int8_attention(q, k, v, is_causal=True)
    monkeypatch.setattr("sraccel.accelerators.sageattention.emulated._LOGITS_AT_ONCE", 5000)
    torch.testing.assert_close(int8_attention(q, k, v), whole)
    torch.testing.assert_close(int8_attention(q, k, v, is_causal=True), causal)


def test_values_too_large_for_float16_do_not_overflow() -> None:
    q, k, v = random_qkv(0, tokens=128, keys=128)
    v = 1e6 * (v + 1)
    assert relative_error(int8_attention(q, k, v), exact(q, k, v)) < 0.03


def test_a_single_key_and_constant_keys_give_the_mean_value() -> None:
    q, k, v = random_qkv(0, tokens=5, keys=1)
    torch.testing.assert_close(int8_attention(q, k, v), v.expand_as(q), rtol=1e-3, atol=1e-3)
    q, _, v = random_qkv(0, tokens=5, keys=70)
    constant = torch.full_like(v, 3.0)
    mean = v.mean(dim=2, keepdim=True).expand_as(q)
    torch.testing.assert_close(int8_attention(q, constant, v), mean, rtol=1e-3, atol=1e-3)


def test_a_nan_is_passed_on() -> None:
    for position in range(3):
        tensors = list(random_qkv(0, tokens=70, keys=70))
        tensors[position][0, 0, 3, 5] = torch.nan
        assert int8_attention(*tensors).isnan().any()


# The package's own kernels, run by Triton's interpreter.


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What sageattention 1.0.6 computes on the CPU, by case."""
    for name in ("sageattention", "triton"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed (pip install sageattention==1.0.6 triton)")
    results = tmp_path_factory.mktemp("package") / "results.pt"
    script = Path(__file__).parents[1] / "support" / "package_under_interpreter.py"
    done = subprocess.run(
        [sys.executable, str(script), str(results)], capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = torch.load(results)
    return loaded


@pytest.mark.parametrize("case", CASES)
def test_quantisation_equals_the_packages_bit_for_bit(package: dict[str, Any], case: str) -> None:
    real = package[case]
    scale = real["query"].shape[-1] ** -0.5 * LOG2_E
    q, q_scale = quantised(real["query"], BLOCK_Q, scale)
    k, k_scale = quantised(smoothed(real["key"]), BLOCK_K)
    assert torch.equal(q, real["q_int8"].float())
    assert torch.equal(k, real["k_int8"].float())
    assert torch.equal(q_scale[:, :, ::BLOCK_Q], real["q_scale"])
    assert torch.equal(k_scale[:, :, ::BLOCK_K], real["k_scale"])


@pytest.mark.parametrize("case", CASES)
def test_emulated_output_equals_the_packages_up_to_float16_sums(
    package: dict[str, Any], case: str
) -> None:
    real = package[case]
    emulated = int8_attention(
        *(real[name] for name in ("query", "key", "value")),
        is_causal=real["is_causal"],
        padding_counts=True,
    )
    rounding = 6e-3 if real["query"].dtype is torch.bfloat16 else 4e-4
    assert relative_error(emulated, real["raw"]) < rounding


def test_nan_from_the_package_is_replaced_by_exact_attention_from_then_on(
    package: dict[str, Any],
) -> None:
    real = package["spiked"]
    assert not real["direct"].isfinite().all()
    assert torch.equal(real["diverted"], real["exact"])
    assert real["exact"].isfinite().all()
    assert real["failed"]
    assert real["afterwards"] == "NaN or infinity from the kernel"


def test_the_package_counts_padding_as_keys_and_the_emulation_does_not(
    package: dict[str, Any],
) -> None:
    real = package["ragged key"]
    q, k, v = (real[name] for name in ("query", "key", "value"))
    assert relative_error(real["raw"], exact(q, k, v)) > 0.05
    assert relative_error(int8_attention(q, k, v), exact(q, k, v)) < 0.005


@pytest.mark.parametrize("case", CASES)
def test_the_guarded_package_is_right_and_leaves_k_alone(
    package: dict[str, Any], case: str
) -> None:
    real = package[case]
    q, k, v = (real[name] for name in ("query", "key", "value"))
    tolerance = 0.02 if case in RAGGED else 0.005
    wanted = exact(q, k, v, is_causal=real["is_causal"])
    assert relative_error(real["guarded"], wanted) < tolerance
    assert real["key_untouched"]


def test_the_guarded_package_does_not_overflow_where_the_package_does(
    package: dict[str, Any],
) -> None:
    real = package["overflowing"]
    assert not real["raw"].isfinite().all()
    wanted = exact(*(real[name] for name in ("query", "key", "value")))
    assert relative_error(real["guarded"], wanted) < 0.005


def test_the_guarded_package_is_one_operation_to_the_compiler(package: dict[str, Any]) -> None:
    assert package["compiled equals eager"]


@pytest.mark.parametrize(
    ("tokens", "keys", "head_dim", "more", "reason"),
    [
        (128, 128, 80, {}, "head dim 80"),
        (108, 108, 64, {}, "108 key tokens"),
        (60, 60, 64, {"is_causal": True}, "causal attention of 60 tokens"),
        (64, 128, 64, {"is_causal": True}, "unequal lengths"),
        (128, 128, 64, {"attn_mask": torch.ones(128, 128, dtype=torch.bool)}, "attention mask"),
        (128, 128, 64, {"dropout_p": 0.1}, "dropout"),
        (128, 6400, 64, {}, None),
        (128, 6401, 64, {}, None),
    ],
)
def test_the_guarded_package_declines_what_it_would_get_wrong(
    tokens: int, keys: int, head_dim: int, more: dict[str, Any], reason: str | None
) -> None:
    kernel = PackageKernel(devices=("cpu",))
    qkv = random_qkv(0, tokens=tokens, keys=keys, head_dim=head_dim)
    found = kernel.unsupported(AttentionCall(*qkv, **more))
    assert (found is None) if reason is None else (found is not None and reason in found)


def test_the_guarded_package_declines_ragged_keys_without_smoothing() -> None:
    call = AttentionCall(*random_qkv(0, tokens=128, keys=6401))
    found = PackageKernel(smooth_k=False, devices=("cpu",)).unsupported(call)
    assert found is not None
    assert "without smooth_k" in found


def test_the_guarded_package_declines_offsets_beyond_32_bits() -> None:
    far = torch.empty_strided((1, 2, 64, 64), (0, 0, 2**26, 1), device="meta")
    found = PackageKernel(devices=("meta",)).unsupported(AttentionCall(far, far, far))
    assert found == "tensors beyond 2^31 elements"


@pytest.mark.gpu
@pytest.mark.parametrize("tokens", [128, 6400, 6401])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_package_on_a_gpu_is_near_exact_attention(tokens: int, dtype: torch.dtype) -> None:
    pytest.importorskip("sageattention")
    q, k, v = (x.to("cuda", dtype) for x in random_qkv(0, tokens=tokens, keys=tokens))
    before = k.clone()
    call = AttentionCall(q, k, v)
    kernel = PackageKernel()
    assert kernel.unsupported(call) is None
    assert relative_error(kernel.attend(call), exact(q, k, v)) < 0.03
    assert torch.equal(before, k)
