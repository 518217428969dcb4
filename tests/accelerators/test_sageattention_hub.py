"""`kernel: sage_hub` on the CPU: by diffusers and the package kernels, from a folder as the hub's.

What is in the folder is the arithmetic of `kernel: emulated`, which the CPU can compute; the way
there is the real one. Skipped without the package (`pip install kernels`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers.models import attention_dispatch
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel

from sraccel.accelerators.sageattention import kernels
from sraccel.accelerators.sageattention.backend_kernel import HubKernel
from sraccel.accelerators.sageattention.processor import covered
from sraccel.accelerators.sageattention.tally import Tally
from sraccel.plugin import ModelError

pytest.importorskip("kernels", reason="takes the package kernels")
SAGE_HUB = attention_dispatch.AttentionBackendName.SAGE_HUB
KERNEL = """
from sraccel.accelerators.sageattention.emulated import int8_attention


def sageattn(q, k, v, tensor_layout="HND", is_causal=False, sm_scale=None, return_lse=False):
    assert tensor_layout == "NHD"
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    out = int8_attention(q, k, v, scale=sm_scale, is_causal=is_causal)
    return FACTOR * out.transpose(1, 2)
"""
Published = Callable[[float], None]


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    """Puts a kernel where the package looks for it; its output times a factor."""
    monkeypatch.setattr(kernels, "_cuda_lacks", lambda: None)
    monkeypatch.setattr(kernels, "TRIED_ON", "cpu")
    monkeypatch.setattr(HubKernel, "devices", ("cpu",))
    monkeypatch.setattr(attention_dispatch, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(attention_dispatch._HUB_KERNELS_REGISTRY[SAGE_HUB], "kernel_fn", None)

    def publish(factor: float) -> None:
        build = tmp_path / "build" / "torch-cpu"
        build.mkdir(parents=True)
        about = {"id": f"_sage_{tmp_path.name}", "name": "sage-attention", "version": 3}
        rest = {"license": "Apache-2.0", "python-depends": [], "backend": {"type": "cpu"}}
        (build / "metadata.json").write_text(json.dumps({**about, **rest}))
        (build / "__init__.py").write_text(KERNEL.replace("FACTOR", str(factor)))
        monkeypatch.setenv("LOCAL_KERNELS", f"SageAttention/sage-attention={tmp_path}")

    return publish


def test_a_kernel_of_the_hub_serves_every_call_of_a_wan_model(published: Published) -> None:
    published(1.0)
    kernel = kernels.choose("sage_hub").kernel
    assert kernel is not None
    assert kernel.name == "sage_hub"
    torch.manual_seed(0)
    model = WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=64, in_channels=4, out_channels=4, text_dim=16,
        freq_dim=16, ffn_dim=32, num_layers=2, rope_max_seq_len=32,
    )  # fmt: skip
    model = model.to(torch.bfloat16).eval()
    latents, text = torch.randn(1, 4, 2, 16, 16), torch.randn(1, 8, 16)
    given = (latents.bfloat16(), torch.tensor([500]), text.bfloat16())
    tally = Tally()
    with torch.no_grad():
        bare = model(*given, return_dict=False)[0]
        with covered(model, kernel, tally):
            found = model(*given, return_dict=False)[0]
    assert tally.facts() == {"served": 4, "fell_back": {}}
    assert not torch.equal(found, bare)
    assert float((found - bare).float().norm() / bare.float().norm()) < 0.05


def test_a_kernel_that_is_wrong_here_is_refused_before_a_run(published: Published) -> None:
    published(1.3)
    with pytest.raises(ModelError, match="it is wrong on this GPU: off by 30% from exact"):
        kernels.choose("sage_hub")


def test_what_cannot_be_downloaded_says_so_and_how_to_name_a_copy(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_KERNELS", f"SageAttention/sage-attention={tmp_path}")  # empty
    with pytest.raises(ModelError, match=r"cannot be had .*build variant.* LOCAL_KERNELS=Sage"):
        kernels.choose("sage_hub")
