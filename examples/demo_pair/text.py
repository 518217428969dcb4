"""Stage 2: a word-level tokenizer and a small text encoder that knows which word belongs where.

The encoder is trained until each word predicts its own figure's attributes and place, then
frozen; the denoisers see its output exactly as ``WanPipeline`` feeds it, zero-padded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel
from torch import nn
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from sraccel.demo.captions import COLOURS, MOTIONS, PATTERNS, RELATIONS, SHAPES
from sraccel.demo.shapes import Scene

MAX_SEQUENCE_LENGTH = 24
TEXT_DIM = 64
SPECIAL = ("<pad>", "</s>", "<unk>")
IGNORED = -100
PLACES = 1 + len(RELATIONS)
SIZES = (len(COLOURS), len(PATTERNS), len(SHAPES), len(MOTIONS), PLACES, PLACES)
"""Classes of each of a word's targets."""


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word of the world's vocabulary, ``</s>`` at the end."""
    phrases = ["a", *COLOURS, *PATTERNS[1:], *SHAPES, *MOTIONS, *RELATIONS]
    words = sorted({word for phrase in phrases for word in phrase.split()})
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", vocabulary["</s>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=MAX_SEQUENCE_LENGTH,
    )


def build_text_encoder(vocabulary_size: int) -> UMT5EncoderModel:
    """Return an untrained encoder: two layers, 64 wide."""
    config = UMT5Config(
        vocab_size=vocabulary_size,
        d_model=TEXT_DIM,
        d_kv=16,
        d_ff=128,
        num_layers=2,
        num_decoder_layers=2,
        num_heads=4,
        relative_attention_num_buckets=32,
        relative_attention_max_distance=32,
        dropout_rate=0.0,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
    )
    return UMT5EncoderModel(config)


def tokenise(
    tokenizer: PreTrainedTokenizerFast, captions: Sequence[str]
) -> dict[str, torch.Tensor]:
    """Return ids and mask, each (batch, 24), with the arguments ``WanPipeline`` uses."""
    encoded = tokenizer(
        list(captions),
        padding="max_length",
        max_length=MAX_SEQUENCE_LENGTH,
        truncation=True,
        add_special_tokens=True,
        return_attention_mask=True,
        return_tensors="pt",
    )
    return {"input_ids": encoded.input_ids, "attention_mask": encoded.attention_mask}


@torch.no_grad()
def embed(
    encoder: UMT5EncoderModel, tokenizer: PreTrainedTokenizerFast, captions: Sequence[str]
) -> torch.Tensor:
    """Return prompt embeddings (batch, 24, 64), zero after each caption's end."""
    tokens = tokenise(tokenizer, captions)
    hidden: torch.Tensor = encoder(**tokens).last_hidden_state
    return hidden * tokens["attention_mask"][..., None]


def targets(scene: Scene) -> list[tuple[int, ...]]:
    """For each word: its figure's colour, pattern, shape and motion, and how the figure stands.

    The last two are the relations to the figure before it and to the one after it, as seen from
    this one: 0 for none, else 1 + the index. Words of a relation belong to the figure after it.
    """
    description = scene.description
    names = [1 + list(RELATIONS).index(relation) for relation in description.relations]
    rows: list[tuple[int, ...]] = []
    for number, figure in enumerate(description.figures):
        before = 1 + ((names[number - 1] - 1) ^ 1) if number else 0
        row = (
            list(COLOURS).index(figure.colour),
            PATTERNS.index(figure.pattern),
            SHAPES.index(figure.shape),
            list(MOTIONS).index(figure.motion),
            before,
            names[number] if number < len(names) else 0,
        )
        relation_words = len(description.relations[number - 1].split()) if number else 0
        rows += [row] * (len(figure.text.split()) + relation_words)
    return rows


def target_batch(scenes: Sequence[Scene]) -> torch.Tensor:
    """Pad the targets of several scenes to (batch, 24, 6)."""
    batch = torch.full((len(scenes), MAX_SEQUENCE_LENGTH, len(SIZES)), IGNORED)
    for padded, scene in zip(batch, scenes, strict=True):
        rows = torch.tensor(targets(scene))
        padded[: len(rows)] = rows
    return batch


def train_text_encoder(
    encoder: UMT5EncoderModel,
    tokenizer: PreTrainedTokenizerFast,
    scenes: Sequence[Scene],
    steps: range,
    *,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
) -> Iterator[float]:
    """Train encoder and throw-away linear probes (seconds); yields the loss of each step."""
    probes = nn.ModuleList(nn.Linear(TEXT_DIM, size) for size in SIZES)
    parameters = [*encoder.parameters(), *probes.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=1e-4)
    tokens = tokenise(tokenizer, [scene.caption for scene in scenes])
    wanted = target_batch(scenes)
    for step in steps:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (1 - step / steps.stop)
        rows = torch.randint(len(scenes), (batch_size,))
        hidden = encoder(**{key: value[rows] for key, value in tokens.items()}).last_hidden_state
        loss = _probe_loss(probes, hidden, wanted[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        yield float(loss.detach())


def _probe_loss(probes: nn.ModuleList, hidden: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    losses = [
        nn.functional.cross_entropy(probe(hidden).flatten(0, 1), wanted[..., index].flatten())
        for index, probe in enumerate(probes)
    ]
    return torch.stack(losses).sum()
