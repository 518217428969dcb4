"""The accelerator: which kernel, installed where, undone how, and what it reports."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import WanTransformer3DModel
from diffusers.models import attention_dispatch
from diffusers.models.attention_processor import CogVideoXAttnProcessor2_0
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from pydantic import ValidationError
from tiny.cogvideox import cogvideox_transformer
from tiny_models import tiny_transformer
from torch import nn
from torch.nn import functional

from sraccel.accelerators.sageattention import SageAttention, kernels
from sraccel.accelerators.sageattention.emulated import int8_attention
from sraccel.plugin import ModelError

NO_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without CUDA")


class RecordedRun:
    """What an accelerator sees of a run: calls that were made, warnings, notes."""

    def __init__(self, *roles: str) -> None:
        calls = [SimpleNamespace(denoiser=SimpleNamespace(role=r), reused_by=None) for r in roles]
        self.steps = [SimpleNamespace(calls=calls)]
        self.warnings: list[str] = []
        self.notes: dict[str, Any] = {}

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def note(self, accelerator: SageAttention, **facts: Any) -> None:
        self.notes.update(facts)


def accelerator(kernel: str = "emulated", **options: Any) -> SageAttention:
    return SageAttention(SageAttention.Options(kernel=kernel, **options))


def denoiser(module: nn.Module, role: str = "transformer") -> Any:
    return SimpleNamespace(module=module, role=role, family="wan")


@contextmanager
def attached(module: nn.Module, sage: SageAttention | None = None) -> Iterator[SageAttention]:
    sage = sage or accelerator()
    context = sage.prepare_denoiser(denoiser(module))
    assert context is not None
    with context:
        yield sage


def report_of(sage: SageAttention, use: Callable[[], Any], *roles: str) -> RecordedRun:
    run: Any = RecordedRun(*(roles or ("transformer",)))
    sage.run_started(run)
    use()
    sage.run_finished(run)
    return run


def wan(seed: int = 0, head_dim: int = 64, layers: int = 2) -> WanTransformer3DModel:
    return tiny_transformer(seed, attention_head_dim=head_dim, layers=layers)


def predict(model: nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 4, 3, 12, 12, generator=generator)
    text = torch.randn(1, 6, 16, generator=generator)
    out: torch.Tensor = model(latents, torch.tensor([500]), text, return_dict=False)[0]
    return out


def cogvideox() -> Any:
    return cogvideox_transformer("2b", layers=2, attention_head_dim=32)


def predict_cogvideox(model: nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 2, 4, 8, 8, generator=generator)
    text = torch.randn(1, 6, 16, generator=generator)
    out: torch.Tensor = model(latents, text, torch.tensor([500]), return_dict=False)[0]
    return out


def processors(model: nn.Module) -> list[Any]:
    return [m.processor for m in model.modules() if hasattr(m, "processor")]


def state(model: nn.Module) -> list[tuple[int, type, dict[str, Any]]]:
    return [(id(p), type(p), dict(vars(p))) for p in processors(model)]


class ForeignProcessor(WanAttnProcessor):
    """A processor that somebody else sets."""


class Masked(WanAttnProcessor):
    """Hides the last token."""

    def __call__(self, attn: Any, hidden: Any, context: Any = None, *more: Any) -> Any:
        tokens = (hidden if context is None else context).shape[1]
        mask = torch.ones(1, 1, 1, tokens, dtype=torch.bool)
        mask[..., -1] = False
        return WanAttnProcessor.__call__(self, attn, hidden, context, mask, *more[1:])


of_either_kind = pytest.mark.parametrize(
    ("make", "use"), [(wan, predict), (cogvideox, predict_cogvideox)], ids=["Wan", "CogVideoX"]
)

# Where attention goes


@of_either_kind
def test_attention_is_computed_by_the_kernel_while_attached_and_only_then(
    make: Callable[[], nn.Module], use: Callable[[nn.Module], torch.Tensor]
) -> None:
    model = make()
    bare, before = use(model), state(model)
    with attached(model) as sage:
        run = report_of(sage, lambda: use(model))
        accelerated = use(model)
    error = float((accelerated - bare).norm() / bare.norm())
    assert 0 < error < 0.02
    assert run.warnings == []
    served = run.notes["attention_calls"]["transformer"]["served"]
    assert served == len(before)
    assert state(model) == before
    assert torch.equal(use(model), bare)


def test_wan_attached_equals_wan_whose_attention_function_is_the_emulation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = wan()
    with attached(model):
        accelerated = predict(model)

    def attend(query: Any, key: Any, value: Any, **_: Any) -> torch.Tensor:
        return int8_attention(query, key, value)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", attend)
    assert torch.equal(predict(model), accelerated)


def test_nothing_beyond_the_denoiser_notices(pipe: Any) -> None:
    other, latents = wan(seed=1), torch.randn(1, 4, 2, 8, 8)
    q = torch.randn(1, 2, 128, 64)

    def elsewhere() -> list[torch.Tensor]:
        return [
            predict(other),
            pipe.vae.decode(latents).sample,
            functional.scaled_dot_product_attention(q, q, q),
        ]

    before, function = elsewhere(), functional.scaled_dot_product_attention
    registry = attention_dispatch._AttentionBackendRegistry
    active, names = registry.get_active_backend(), registry.list_backends()
    with attached(wan()):
        assert functional.scaled_dot_product_attention is function
        assert registry.get_active_backend() == active
        assert all(map(torch.equal, before, elsewhere()))
    assert registry.get_active_backend() == active
    assert registry.list_backends() == names


def test_two_models_attached_at_once_keep_their_own_counts() -> None:
    sage, sketch, render = accelerator(), wan(), wan(seed=1, layers=1)
    contexts = [
        sage.prepare_denoiser(denoiser(m, r))
        for m, r in ((sketch, "transformer"), (render, "render"))
    ]
    assert contexts[0] is not None
    assert contexts[1] is not None
    with contexts[0], contexts[1]:
        run = report_of(sage, lambda: (predict(sketch), predict(sketch), predict(render)))
        again = report_of(sage, lambda: predict(render))
    counts = {role: facts["served"] for role, facts in run.notes["attention_calls"].items()}
    assert counts == {"transformer": 8, "render": 2}
    assert again.notes["attention_calls"]["transformer"]["served"] == 0


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_blocks_use_the_kernel_without_graph_breaks_or_further_recompiles(
    backend: str,
) -> None:
    graphs = 0

    def counting(graph: Any, inputs: Any) -> Any:
        nonlocal graphs
        graphs += 1
        return torch._dynamo.lookup_backend(backend)(graph, inputs)

    model = wan(layers=4)
    bare = predict(model)
    with attached(model) as sage:
        eager = predict(model)
        model.compile_repeated_blocks(fullgraph=True, backend=counting)
        run = report_of(sage, lambda: predict(model))
        assert torch.equal(predict(model), eager)
    assert graphs == 1
    assert run.warnings == []
    assert run.notes["attention_calls"]["transformer"]["compiled"] is True
    assert torch.equal(predict(model), bare)


# Restoration


def test_attributes_pass_both_ways_and_a_backend_set_meanwhile_stays_set() -> None:
    model = wan()
    original = model.blocks[0].attn1.processor
    original.flavour = "vanilla"
    with attached(model):
        cover = model.blocks[0].attn1.processor
        assert isinstance(cover, WanAttnProcessor)
        assert cover.flavour == "vanilla"
        assert cover._parallel_config is None
        cover.flavour = "lemon"
        model.blocks[0].attn1.set_attention_backend("_native_math")
    assert model.blocks[0].attn1.processor is original
    assert original.flavour == "lemon"
    assert original._attention_backend == "_native_math"
    assert model.blocks[1].attn1.processor._attention_backend is None


def test_a_backend_set_before_is_set_aside_and_comes_back() -> None:
    model = wan()
    plain = predict(model)
    for processor in processors(model):
        processor._attention_backend = attention_dispatch.AttentionBackendName._NATIVE_MATH
    before = state(model)
    with attached(model) as sage:
        run = report_of(sage, lambda: predict(model))
    assert run.notes["attention_calls"]["transformer"] == {"served": 4, "fell_back": {}}
    assert state(model) == before
    torch.testing.assert_close(predict(model), plain)


def test_a_processor_set_meanwhile_survives_and_works() -> None:
    model = wan()
    bare = predict(model)
    with attached(model):
        foreign = ForeignProcessor()
        model.blocks[0].attn1.set_processor(foreign)
    assert model.blocks[0].attn1.processor is foreign
    assert type(model.blocks[1].attn1.processor) is WanAttnProcessor
    assert torch.equal(predict(model), bare)


@of_either_kind
def test_a_cover_that_somebody_kept_is_inert_after_detaching(
    make: Callable[[], Any], use: Callable[[Any], torch.Tensor]
) -> None:
    model = make()
    bare = use(model)
    with attached(model):
        kept = dict(model.attn_processors)
    model.set_attn_processor(kept)
    assert torch.equal(use(model), bare)


def test_one_processor_shared_by_all_modules_is_covered_and_restored() -> None:
    model, shared = wan(), ForeignProcessor()
    model.set_attn_processor(shared)
    bare = predict(model)
    with attached(model) as sage:
        run = report_of(sage, lambda: predict(model))
    assert run.notes["attention_calls"]["transformer"]["served"] == 4
    assert all(processor is shared for processor in processors(model))
    assert torch.equal(predict(model), bare)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@of_either_kind
def test_a_copy_of_an_attached_model_is_bare(
    make: Callable[[], Any], use: Callable[[Any], torch.Tensor], duplicate: Callable[[Any], Any]
) -> None:
    model = make()
    bare = use(model)
    with attached(model):
        twin = duplicate(model)
        assert torch.equal(use(twin), bare)
        assert not torch.equal(use(model), bare)
    assert {type(p) for p in processors(twin)} == {type(p) for p in processors(model)}


def test_an_exception_restores_and_attaching_again_is_harmless() -> None:
    model, sage = wan(), accelerator()
    before = state(model)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), attached(model, sage):
            raise KeyboardInterrupt
        assert state(model) == before


@pytest.mark.parametrize("outer_first", [False, True])
def test_two_on_one_model_restore_in_either_order(outer_first: bool) -> None:
    model = wan()
    bare, before = predict(model), state(model)
    contexts = [accelerator().prepare_denoiser(denoiser(model)) for _ in range(2)]
    for context in contexts:
        assert context is not None
        context.__enter__()
    for context in contexts if outer_first else reversed(contexts):
        assert context is not None
        assert not torch.equal(predict(model), bare)
        context.__exit__(None, None, None)
    assert state(model) == before
    assert torch.equal(predict(model), bare)


# What the kernel cannot take


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"attn_mask": torch.ones(1, 1, 1, 20, dtype=torch.bool)}, "attention mask"),
        ({"dropout_p": 1e-9}, "dropout"),
        (
            {"attention_kwargs": {"window_size": (3, 3)}},
            "argument window_size of the attention backend",
        ),
        ({"enable_gqa": True}, None),
        ({"is_causal": True}, None),
        ({"scale": 0.3}, None),
    ],
)
def test_arguments_are_obeyed_or_the_call_falls_back_and_is_counted(
    arguments: dict[str, Any], reason: str | None
) -> None:
    class Asking(WanAttnProcessor):
        def __call__(self, attn: Any, hidden_states: torch.Tensor, *_: Any) -> torch.Tensor:
            x = hidden_states.unflatten(2, (attn.heads, -1))[:, :20]
            keys = x[:, :, :1] if arguments.get("enable_gqa") else x
            out = attention_dispatch.dispatch_attention_fn(
                x, keys, keys, **arguments, backend=self._attention_backend
            )
            return torch.cat([out.flatten(2), hidden_states[:, 20:]], dim=1)

    model = wan(layers=1)
    model.blocks[0].attn1.set_processor(Asking())
    bare = predict(model)
    with attached(model) as sage:
        run = report_of(
            sage, lambda: torch.testing.assert_close(predict(model), bare, atol=0.02, rtol=0.05)
        )
    facts = run.notes["attention_calls"]["transformer"]
    if reason is None:
        assert facts == {"served": 2, "fell_back": {}}
        assert run.warnings == []
    else:
        assert facts == {"served": 1, "fell_back": {reason: 1}}
        assert run.warnings == [
            "sageattention: 1 of 2 attention calls of the denoiser 'transformer' kept the original "
            f"attention: {reason} (1x)"
        ]


def test_after_nan_from_the_kernel_both_models_have_exact_attention_for_the_run() -> None:
    class Spiked(WanAttnProcessor):
        """One key far from all others: in float16, K less its mean is infinite."""

        def __call__(self, attn: Any, hidden_states: torch.Tensor, *_: Any) -> torch.Tensor:
            x = hidden_states.unflatten(2, (attn.heads, -1)).half()
            keys = torch.full_like(x, 5e4 if self.spiked else 1.0)
            keys[:, :1] *= -1
            out = attention_dispatch.dispatch_attention_fn(
                1e-5 * x, keys, x, backend=self._attention_backend
            )
            return out.float().flatten(2)

        spiked = True

    sage, sketch, render = accelerator(), wan(), wan(seed=1)
    spiked = Spiked()
    sketch.blocks[0].attn1.set_processor(spiked)
    bare = predict(sketch), predict(render)
    contexts = [
        sage.prepare_denoiser(denoiser(m, r))
        for m, r in ((sketch, "transformer"), (render, "render"))
    ]
    assert contexts[0] is not None
    assert contexts[1] is not None
    with contexts[0], contexts[1]:
        both = ("transformer", "render")
        found: list[torch.Tensor] = []
        run = report_of(sage, lambda: found.extend((predict(sketch), predict(render))), *both)
        spiked.spiked = False
        again = report_of(sage, lambda: (predict(sketch), predict(render)), *both)
    assert torch.equal(found[0], bare[0])
    assert torch.equal(found[1], bare[1])
    (warning,) = run.warnings
    assert "the kernel 'emulated' gave NaN or infinity" in warning
    assert run.notes["exact_after_non_finite"] is True
    facts = run.notes["attention_calls"]
    assert {role: facts[role]["served"] for role in both} == dict.fromkeys(both, 0)
    assert again.warnings == []
    assert all(again.notes["attention_calls"][role]["served"] == 4 for role in both)


def test_a_masked_call_equals_the_original_attention_bit_for_bit() -> None:
    model = wan()
    model.set_attn_processor(Masked())
    bare = predict(model)
    with attached(model):
        assert torch.equal(predict(model), bare)


def test_what_compiled_code_declines_is_a_warning_too() -> None:
    model = wan(head_dim=16)
    model.blocks[0].attn1.set_processor(Masked())
    bare = predict(model)
    with attached(model) as sage:
        model.compile_repeated_blocks(fullgraph=True, backend="eager")
        run = report_of(sage, lambda: predict(model))
    assert run.warnings == [
        "sageattention: compiled code of the denoiser 'transformer' keeps the original "
        "attention in some calls: attention mask"
    ]
    assert torch.equal(predict(model), bare)


def test_wanted_gradients_keep_the_original_attention_and_say_so() -> None:
    model = wan().requires_grad_(True)
    with torch.enable_grad(), attached(model) as sage:
        run = report_of(sage, lambda: predict(model).sum().backward())
    assert "gradients are wanted (run under torch.no_grad())" in run.warnings[0]
    assert model.blocks[0].attn1.to_q.weight.grad.abs().sum() > 0


def test_an_odd_head_dim_falls_back() -> None:
    q = torch.randn(1, 1, 10, 15)
    call = kernels.AttentionCall(q, q, q)
    assert kernels.EmulatedKernel().unsupported(call) == "head dim 15"


def test_a_denoiser_that_ran_without_reaching_the_kernel_is_a_warning() -> None:
    class ByHand(WanAttnProcessor):
        def __call__(self, attn: Any, hidden_states: torch.Tensor, *_: Any) -> torch.Tensor:
            return hidden_states

    model = wan()
    model.set_attn_processor(ByHand())
    with attached(model) as sage:
        run = report_of(sage, lambda: predict(model))
        unused = report_of(sage, lambda: None, "render")
    assert "did nothing for the denoiser 'transformer'" in run.warnings[0]
    assert unused.warnings == []


def test_a_processor_with_neither_backend_nor_torch_attention_is_a_warning() -> None:
    class Softmax(CogVideoXAttnProcessor2_0):
        def __call__(
            self, attn: Any, hidden_states: Any, encoder_hidden_states: Any, **_: Any
        ) -> Any:
            return hidden_states, encoder_hidden_states

    model = cogvideox()
    model.transformer_blocks[0].attn1.set_processor(Softmax())
    with attached(model) as sage:
        run = report_of(sage, lambda: predict_cogvideox(model))
    reason = "attention by other means than scaled_dot_product_attention"
    facts = run.notes["attention_calls"]["transformer"]
    assert facts == {"served": 1, "fell_back": {reason: 1}}
    assert reason in run.warnings[0]


def test_a_processor_that_cannot_be_covered_is_a_warning() -> None:
    model = wan()
    inner = model.blocks[0].attn1.processor
    model.blocks[0].attn1.set_processor(lambda *given, **more: inner(*given, **more))
    with attached(model) as sage:
        run = report_of(sage, lambda: predict(model))
    assert run.notes["attention_calls"]["transformer"]["uncovered"] == {"function": 1}
    assert "1 attention modules of the denoiser 'transformer'" in run.warnings[0]


def test_a_model_without_attention_processors_is_refused() -> None:
    with pytest.raises(ModelError, match=r"no attention processors.*leave sageattention out"):
        accelerator().prepare_denoiser(denoiser(nn.Linear(2, 2)))


# Which kernel


@NO_CUDA
def test_auto_without_cuda_keeps_the_original_attention_and_warns_what_to_do() -> None:
    model, sage = wan(), accelerator("auto")
    before = state(model)
    assert sage.prepare_denoiser(denoiser(model)) is None
    run = report_of(sage, lambda: None)
    assert state(model) == before
    assert "does nothing here" in run.warnings[0]
    assert "NVIDIA" in run.warnings[0]
    assert "emulated" in run.warnings[0]
    assert run.notes["kernel"] is None
    assert not sage.claims_speed


@NO_CUDA
@pytest.mark.parametrize("kernel", ["sage", "sage_hub", "triton"])
def test_a_named_kernel_that_is_unusable_is_an_error_with_advice(kernel: str) -> None:
    with pytest.raises(
        ModelError, match=rf"'{kernel}' cannot be used here: .*('emulated'|pip install)"
    ):
        accelerator(kernel).prepare_denoiser(denoiser(wan()))


@pytest.mark.parametrize(
    ("installed", "advice"),
    [
        ({}, "pip install sageattention==1.0.6 triton"),
        ({"sageattention": "2.2.0"}, "choose kernel 'sage'"),
        ({"sageattention": "1.0.6"}, "pip install triton"),
    ],
)
def test_on_a_gpu_the_triton_kernel_says_which_package_it_lacks(
    monkeypatch: pytest.MonkeyPatch, installed: dict[str, str], advice: str
) -> None:
    monkeypatch.setattr(kernels, "_cuda_lacks", lambda: None)
    monkeypatch.setattr(kernels, "_installed", installed.get)
    with pytest.raises(ModelError, match=advice):
        kernels.choose("triton")


def test_on_a_gpu_a_kernel_that_fails_there_says_so_before_a_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernels, "_cuda_lacks", lambda: None)
    monkeypatch.setattr(kernels, "_installed", {"sageattention": "1.0.6", "triton": "3"}.get)
    monkeypatch.setattr(kernels, "_fails", lambda kernel: "it fails on this GPU: no compiler")
    with pytest.raises(ModelError, match="no compiler"):
        kernels.choose("triton")
    assert kernels.choose("auto").kernel is None


@pytest.mark.parametrize(
    ("usable", "chosen"), [({"sage", "triton"}, "sage"), ({"triton"}, "triton")]
)
def test_auto_prefers_sageattention_2(
    monkeypatch: pytest.MonkeyPatch, usable: set[str], chosen: str
) -> None:
    made = {name: (lambda name=name: None if name in usable else "no", make)
            for name, (_, make) in kernels._KERNELS.items()}  # fmt: skip
    monkeypatch.setattr(kernels, "_KERNELS", made)
    kernel = kernels.choose("auto").kernel
    assert kernel is not None
    assert kernel.name == chosen


def test_the_plugin_imports_neither_torch_nor_diffusers() -> None:
    code = (
        "import sys, sraccel.accelerators.sageattention as plugin;"
        "assert plugin.sraccel_accelerators() == [plugin.SageAttention];"
        "assert not {'torch', 'diffusers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_emulation_claims_no_speed_and_real_kernels_do() -> None:
    assert not accelerator("emulated").claims_speed
    assert accelerator("auto").claims_speed


@pytest.mark.parametrize("kernel", ["auto", "sage", "sage_hub"])
def test_smoothing_cannot_be_left_out_where_the_kernel_would_not_obey(kernel: str) -> None:
    with pytest.raises(ValidationError, match="smooth_k"):
        SageAttention.Options(kernel=kernel, smooth_k=False)


def test_smooth_k_reaches_the_kernel() -> None:
    model = wan()
    with attached(model, accelerator(smooth_k=True)):
        smooth = predict(model)
    with attached(model, accelerator(smooth_k=False)):
        assert not torch.equal(predict(model), smooth)


@pytest.mark.gpu
def test_on_a_gpu_auto_serves_every_call_of_a_wan_model() -> None:
    model, sage = wan().to("cuda", torch.bfloat16), accelerator("auto")
    latents = torch.randn(1, 4, 4, 32, 32, device="cuda", dtype=torch.bfloat16)
    text = torch.randn(1, 64, 16, device="cuda", dtype=torch.bfloat16)
    timestep = torch.tensor([500], device="cuda")
    bare = model(latents, timestep, text, return_dict=False)[0]
    with attached(model, sage):
        run = report_of(sage, lambda: model(latents, timestep, text))
        accelerated = model(latents, timestep, text, return_dict=False)[0]
    assert run.warnings == []
    assert run.notes["attention_calls"]["transformer"]["served"] == 4
    assert float((accelerated - bare).norm() / bare.norm()) < 0.05
