"""Pairs of published models of which one may sketch and the other render, and how that is known.

A pair here is a lead, not a promise: whether two models fit is checked when a stack is composed.
Importing this module imports neither torch nor diffusers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Handoff = Literal["identity", "change of variables", "re-encode"]
Evidence = Literal["measured", "published", "plausible", "unverified"]

HANDOFFS: dict[Handoff, str] = {
    "identity": "The latents mean the same to both: they go over as they are.",
    "change of variables": "One VAE, but another scale or noise schedule: each call is converted, "
    "exactly.",
    "re-encode": "Different VAEs: the video is decoded, encoded and noised again between two "
    "pipeline calls.",
}
"""What happens where the render model takes over."""

EVIDENCE: dict[Evidence, str] = {
    "measured": "Run and measured in this project.",
    "published": "Run by the authors of a paper.",
    "plausible": "The published configurations fit each other; nobody is known to have run "
    "the pair.",
    "unverified": "Something that decides whether the pair fits could not be found out.",
}
"""How much is known of a pair."""


@dataclass(frozen=True)
class Pair:
    """Two models that may take turns.

    Attributes:
        sketch: name on the hub of the large model's pipeline, or `demo`.
        render: name on the hub of the small model, or `demo`.
        family: name of the denoiser adapter.
        handoff: what happens where the render model takes over; a key of `HANDOFFS`.
        evidence: how much is known; a key of `EVIDENCE`.
        known: what is known of the pair.
        source: where that is said.
        unverified: what could not be verified, or nothing.
    """

    sketch: str
    render: str
    family: str
    handoff: Handoff
    evidence: Evidence
    known: str
    source: str
    unverified: str = ""


SRDIFFUSION = "SRDiffusion, arXiv 2505.19151"

PAIRS = (
    Pair(
        sketch="demo",
        render="demo",
        family="wan",
        handoff="identity",
        evidence="measured",
        known="Tiny models of 48 x 48 shapes, trained for this project; they come with sraccel.",
        source="docs/explanation/demo-pair.md",
    ),
    Pair(
        sketch="Wan-AI/Wan2.1-T2V-14B-Diffusers",
        render="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        family="wan",
        handoff="identity",
        evidence="published",
        known="One VAE and text encoder. The paper reports more than 3x at nearly unchanged VBench "
        "scores.",
        source=f"{SRDIFFUSION}; model cards on the hub",
    ),
    Pair(
        sketch="Wan-AI/Wan2.2-T2V-A14B-Diffusers",
        render="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        family="wan",
        handoff="identity",
        evidence="plausible",
        known="A14B, with two experts, keeps Wan 2.1's VAE (16 channels) and text width (4096). "
        "The pipeline's own change of experts and the hand-off go together.",
        source="transformer and transformer_2 configurations on the hub",
        unverified="How well the older 1.3B finishes what A14B began.",
    ),
    Pair(
        sketch="Wan-AI/Wan2.1-I2V-14B-480P-Diffusers",
        render="weizhou03/Wan2.1-Fun-1.3B-InP-Diffusers",
        family="wan",
        handoff="identity",
        evidence="unverified",
        known="No image-to-video model of 1.3B by the Wan team was found. alibaba-pai's "
        "Wan2.1-Fun-1.3B-InP takes the same 36 input channels; this is a conversion of it by a "
        "third party to diffusers' format (of V1.1: engineerA314/Wan2.1-Fun-V1.1-1.3B-InP-"
        "Diffusers).",
        source="model pages on the hub",
        unverified="Whether the two expect the same image embeddings; the converted weights.",
    ),
    Pair(
        sketch="zai-org/CogVideoX-5b",
        render="zai-org/CogVideoX-2b",
        family="cogvideox",
        handoff="change of variables",
        evidence="published",
        known="One VAE and text encoder, but a scale of 0.7 against 1.15258426 and an "
        "snr_shift_scale of 1.0 against 3.0; only 5b has rotary embeddings, so the other "
        "direction cannot work. The paper reports 2x.",
        source=f"{SRDIFFUSION}; scheduler and VAE configurations on the hub",
        unverified="Whether the paper converts between the two noise schedules as sraccel does.",
    ),
    Pair(
        sketch="stabilityai/stable-diffusion-3.5-large",
        render="stabilityai/stable-diffusion-3.5-medium",
        family="sd3",
        handoff="identity",
        evidence="plausible",
        known="Images. One VAE (16 channels) and the same three text encoders. HybridStitch's "
        "authors report 1.55x for SRDiffusion on Stable Diffusion 3. No TeaCache coefficients are "
        "published.",
        source="configuration of the medium model on the hub; HybridStitch, arXiv 2603.07815",
        unverified="Which checkpoints that comparison used.",
    ),
    Pair(
        sketch="Lightricks/LTX-Video-0.9.7-dev",
        render="Lightricks/LTX-Video-0.9.5",
        family="ltx",
        handoff="identity",
        evidence="unverified",
        known="13B and 2B. The VAEs of 0.9.0, 0.9.1 and 0.9.5 differ, as their authors say, so no "
        "version before 0.9.5 can render. diffusers' conversion seems to use one VAE configuration "
        "for 0.9.5 and 0.9.7.",
        source="issue 128 of Lightricks/LTX-Video; issue 4 of madebyollin/taehv; "
        "Lightricks' collection on the hub",
        unverified="Whether the weights and the statistics of the VAEs of 0.9.5 and 0.9.7 are the "
        "same: one report says that 0.9.7 has a VAE of its own.",
    ),
    Pair(
        sketch="stabilityai/stable-diffusion-xl-base-1.0",
        render="segmind/SSD-1B",
        family="sdxl",
        handoff="identity",
        evidence="plausible",
        known="Images, UNets: no cache can skip their blocks. SSD-1B is distilled from SDXL, half "
        "its size and 60% faster on its own, with the same conditioning.",
        source="model card of segmind/SSD-1B; UNet configuration of latent-consistency/lcm-ssd-1b",
    ),
    Pair(
        sketch="stabilityai/stable-diffusion-xl-base-1.0",
        render="segmind/Segmind-Vega",
        family="sdxl",
        handoff="identity",
        evidence="unverified",
        known="Images, UNets: no cache can skip their blocks. A smaller distillate of SDXL.",
        source="its name on the hub",
        unverified="Its configuration was not read.",
    ),
    Pair(
        sketch="Wan-AI/Wan2.2-T2V-A14B-Diffusers",
        render="Wan-AI/Wan2.2-TI2V-5B-Diffusers",
        family="wan",
        handoff="re-encode",
        evidence="plausible",
        known="TI2V-5B has a VAE of its own (48 channels against 16), so the two cannot share a "
        "sampling loop.",
        source="model configurations on the hub; diffusers' documentation of Wan",
        unverified="What decoding and encoding in the middle costs in quality.",
    ),
)
"""Every pair that is known here, the demo pair first."""


def pairs_of(name: str) -> list[Pair]:
    """Pairs in which a model's name contains `name`; case does not matter."""
    wanted = name.lower()
    return [
        pair for pair in PAIRS if wanted in pair.sketch.lower() or wanted in pair.render.lower()
    ]
