"""Train the demo pair: autoencoder, text encoder, sketch and render denoiser.

    python examples/demo_pair/train.py --work runs/demo-pair --out sraccel/demo/weights

Each stage leaves its result in the work folder and is skipped when that exists; inside a stage
a checkpoint is written about once a minute. Ctrl-C, then the same command, continues.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import checkpoint
import data
import text
import torch
import vae as autoencoder
from diffusers import AutoencoderKLWan
from dit import PLANS, DenoiserPlan, Training
from export import export_pair
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sampling import load_pair
from transformers import PreTrainedTokenizerFast, UMT5EncoderModel

from sraccel.accelerators.teacache import calibrate
from sraccel.demo.pair import DEMO_GUIDANCE_SCALE
from sraccel.demo.shapes import NUM_FRAMES, SIZE, training_scenes

SAVE_EVERY = 60.0
"""Seconds between checkpoints inside a stage."""
STAGES = (
    "encoder",
    "text",
    "latents",
    "sketch",
    "render",
    "decoder",
    "export",
    "teacache",
    "evaluate",
)


def main() -> None:
    """Run the wanted stages, in order."""
    options = parse_options()
    if options.threads:
        torch.set_num_threads(options.threads)
    run = Run(options)
    for stage in options.stages:
        getattr(run, stage)()


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/demo-pair"))
    parser.add_argument("--out", type=Path, default=Path("sraccel/demo/weights"))
    parser.add_argument("--docs", type=Path, default=Path("docs/assets/demo-pair"))
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="0: torch's own choice")
    parser.add_argument("--num-scenes", type=int, default=16384)
    parser.add_argument("--decoder-steps", type=int, default=700)
    parser.add_argument("--text-steps", type=int, default=800)
    parser.add_argument("--sketch-steps", type=int, default=PLANS["sketch"].steps)
    parser.add_argument("--render-steps", type=int, default=PLANS["render"].steps)
    parser.add_argument("--num-prompts", type=int, default=256, help="held-out, for the scores")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-compile", action="store_true")
    return parser.parse_args()


class Run:
    """One training run: its options, and the stages as methods."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Keep the options; nothing is loaded yet."""
        self.options = options
        self.work: Path = options.work
        self.device = torch.device(options.device)

    def encoder(self) -> None:
        """Set the autoencoder up as principal components; the encoder is then finished."""
        folder = self.work / "vae-linear"
        if folder.exists():
            return
        torch.manual_seed(self.options.seed)
        clips = data.clip_batch(training_scenes(512, self.options.seed))
        model = autoencoder.build_vae()
        autoencoder.initialise_linear(model, clips)
        autoencoder.record_statistics(model, clips)
        finish_folder(folder, model.save_pretrained)

    def decoder(self) -> None:
        """Train the autoencoder's decoder."""
        folder, steps = self.work / "vae", self.options.decoder_steps
        model = AutoencoderKLWan.from_pretrained(self.work / "vae-linear").to(self.device)
        optimizer = torch.optim.AdamW(model.decoder.parameters(), weight_decay=1e-4)
        clips = data.clip_batch(training_scenes(4096, self.options.seed))
        path = self.work / "decoder.pt"
        state = checkpoint.load(path) or {"losses": []}
        losses: list[float] = state["losses"]
        if "model" in state:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
        torch.manual_seed(self.options.seed + len(losses))

        def draw() -> torch.Tensor:
            return clips[torch.randint(len(clips), (16,))].to(self.device)

        def save() -> None:
            parts = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            checkpoint.save({**parts, "losses": losses}, path)

        steps_left = range(len(losses), steps)
        training = autoencoder.train_decoder(model, optimizer, draw, steps_left)
        drive("decoder", keep(training, losses), len(losses), steps, save)
        finish_folder(folder, model.cpu().save_pretrained)

    def text(self) -> None:
        """Train the text encoder; short enough to start again when interrupted."""
        folder, steps = self.work / "text_encoder", self.options.text_steps
        if folder.exists():
            return
        torch.manual_seed(self.options.seed)
        tokenizer = text.build_tokenizer()
        encoder = text.build_text_encoder(len(tokenizer))
        scenes = training_scenes(4096, self.options.seed)
        training = text.train_text_encoder(encoder, tokenizer, scenes, range(steps))
        drive("text", training, 0, steps, lambda: None)
        finish_folder(self.work / "tokenizer", tokenizer.save_pretrained)
        finish_folder(folder, encoder.save_pretrained)

    def latents(self) -> None:
        """Encode clips and captions once, for both denoisers."""
        path, options = self.work / "latents.pt", self.options
        if path.exists():
            return
        scenes = training_scenes(options.num_scenes, options.seed)
        model = AutoencoderKLWan.from_pretrained(self.work / "vae-linear").to(self.device)
        encode = lambda batch: _encode(model, data.clip_batch(batch).to(self.device))  # noqa: E731
        latents = torch.cat([encode(batch) for batch in data.batches(scenes, 64)])
        encoder = UMT5EncoderModel.from_pretrained(self.work / "text_encoder")
        tokenizer = PreTrainedTokenizerFast.from_pretrained(self.work / "tokenizer")
        captions = [scene.caption for scene in scenes]
        embeds = text.embed(encoder, tokenizer, captions)
        empty = text.embed(encoder, tokenizer, [""])[0]
        parts = {"latents": latents, "prompt_embeds": embeds, "empty_embeds": empty}
        checkpoint.save(parts, path)

    def sketch(self) -> None:
        """Train the large denoiser."""
        self._denoiser("sketch", self.options.sketch_steps)

    def render(self) -> None:
        """Train the small denoiser."""
        self._denoiser("render", self.options.render_steps)

    def _denoiser(self, role: str, steps: int) -> None:
        plan = dataclasses.replace(PLANS[role], steps=steps)
        training = self._resume(role, plan)
        if training.step < steps and not self.options.no_compile:
            training.compile()

        def save() -> None:
            checkpoint.save(training.state_dict(), self.work / f"{role}.pt")

        if training.step < steps:
            drive(role, training.run(), training.step, steps, save)

    def _resume(self, role: str, plan: DenoiserPlan) -> Training:
        dataset = data.LatentDataset(**(checkpoint.load(self.work / "latents.pt") or {}))
        training = Training(plan, dataset, self.device)
        state = checkpoint.load(self.work / f"{role}.pt")
        if state is not None:
            training.load_state_dict(state)
        return training

    def export(self) -> None:
        """Write the pair as pipeline folders, with the averaged weights."""
        export_pair(self.work, self.options.out)

    def teacache(self) -> None:
        """Fit TeaCache's coefficients for both models, in both variants."""
        pair = load_pair(self.options.out)
        captions = [scene.caption for scene in training_scenes(16, seed=77)]
        call = {
            "height": SIZE,
            "width": SIZE,
            "num_frames": NUM_FRAMES - 1,  # the pipeline makes one more than it is asked for
            "guidance_scale": DEMO_GUIDANCE_SCALE,
            "max_sequence_length": text.MAX_SEQUENCE_LENGTH,
        }
        path = self.work / "teacache.json"
        for role, model in (("transformer", pair.sketch), ("render", pair.render)):
            pair.pipeline.transformer = model
            for retention in (False, True):  # the second takes the first one's runs
                calibrate(pair.pipeline, captions, path, role=role, retention=retention, **call)
        shutil.copy(path, self.options.out / path.name)

    def evaluate(self) -> None:
        """Score held-out captions; write tables, loss curves and the contact sheet."""
        import evaluate

        evaluate.main(self.work, self.options.out, self.options.docs, self.options.num_prompts)


@torch.no_grad()
def _encode(model: AutoencoderKLWan, clips: torch.Tensor) -> torch.Tensor:
    return autoencoder.normalise(model, autoencoder.encode(model, clips)).cpu()


def keep(values: Iterator[float], losses: list[float]) -> Iterator[float]:
    """Append each value to ``losses`` on its way."""
    for value in values:
        losses.append(value)
        yield value


def drive(
    name: str, training: Iterator[float], start: int, steps: int, save: Callable[[], None]
) -> None:
    """Run a training with a progress bar; save about once a minute, at the end, on Ctrl-C."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    saved = time.monotonic()
    with Progress(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task(name, total=steps, completed=start)
        try:
            for loss in training:
                progress.update(task, advance=1, description=f"{name} loss {loss:.4f}")
                if time.monotonic() - saved > SAVE_EVERY:
                    save()
                    saved = time.monotonic()
        finally:
            save()


def finish_folder(folder: Path, write: Callable[[Path], object]) -> None:
    """Write a folder beside its place and move it there."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    write(partial)
    checkpoint.replace_folder(partial, folder)


if __name__ == "__main__":
    main()
