"""The files of a tuning: a recipe for each point of the front, `front.json`, and a picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from sraccel.files import save_text
from sraccel.recipe.recipe import Recipe
from sraccel.study.results import Estimate
from sraccel.text import shortened
from sraccel.tuning.outcome import Measured, Outcome
from sraccel.tuning.picture import save_picture

RESULT, PICTURE = "front.json", "front.png"
WIDTH = 90


def write(outcome: Outcome, recipe: Recipe, out: Path) -> list[Path]:
    """Write everything; recipe files of an earlier call that are no longer in it go.

    Raises:
        OutputError: a file cannot be written.
    """
    tuned = [one for one in outcome.points if one.kind == "tuned"]
    for old in out.glob("tuned-*.yaml"):
        if old.stem not in {one.name for one in tuned}:
            old.unlink()
    paths = [
        save_text(recipe_text(one, outcome, recipe), out / f"{one.name}.yaml") for one in tuned
    ]
    result = save_text(outcome.model_dump_json(indent=1) + "\n", out / RESULT)
    return [*paths, result, save_picture(outcome, out / PICTURE)]


def recipe_text(one: Measured, outcome: Outcome, recipe: Recipe) -> str:
    """A recipe file; how it came about is in comments before it."""
    content: dict[str, Any] = {
        "name": one.name,
        "description": f"{_speed(one)} at {outcome.goal.split('>')[0].split('<')[0]} "
        f"{one.quality.value:.4g}, tuned for {outcome.goal}",
        "model": recipe.model,
        "sampling": recipe.sampling.arguments() or None,
        "flow_shift": recipe.flow_shift,
        "accelerators": one.accelerators,
    }
    given = {key: value for key, value in content.items() if value is not None}
    body = yaml.safe_dump(given, sort_keys=False, allow_unicode=True, width=WIDTH)
    return "".join(f"# {line}".rstrip() + "\n" for line in _provenance(one, outcome)) + "\n" + body


def _provenance(one: Measured, outcome: Outcome) -> Iterator[str]:
    yield f"Written by `sraccel tune` on {outcome.date} for {outcome.goal}."
    yield f"Speedup: {_speed(one)}, of the denoising loop, beside bare runs of the same noise."
    met = "" if one.meets else "; this misses what was asked for"
    yield f"Quality: {_with_interval(one.quality, '.4g')} (mean of {one.held_out} held-out prompts"
    yield f"  that chose nothing{met})."
    yield f"Worst prompt: {one.worst.quality:.4g}, {_quoted(one.worst.prompt)}."
    if one.chosen_speedup is not None and one.chosen_quality is not None:
        yield (
            f"On the {len(outcome.tuning_prompts)} prompts that chose it: "
            f"{one.chosen_speedup:.2f}x, {one.chosen_quality:.4g}."
        )
    if one.peak_memory is not None:
        yield f"Peak memory: {one.peak_memory / 2**30:.2f} GiB."
    yield from _cliffs(one)
    for name, model in outcome.models.items():
        yield f"Model: {name}, {model['class']}, {model['dtype']}, weights {model['weights']}."
    yield "Call: " + ", ".join(f"{key}={value}" for key, value in outcome.call.items())
    yield "Versions: " + ", ".join(f"{key} {value}" for key, value in outcome.versions.items())
    yield "Machine: " + ", ".join(outcome.environment.values())
    yield f"Prompts that chose it, seeds from {outcome.seed}:"
    yield from (f"  {_quoted(prompt)}" for prompt in outcome.tuning_prompts)
    yield "Held-out prompts:"
    yield from (f"  {_quoted(prompt)}" for prompt in outcome.held_out_prompts[: one.held_out])


def _cliffs(one: Measured) -> Iterator[str]:
    if one.cliffs is None:
        yield "Cliffs: not looked for."
    elif not one.cliffs:
        yield "Cliffs: none one notch beside any of its options."
    for cliff in one.cliffs or []:
        yield (
            f"Cliff: {cliff.option} {cliff.value} -> {cliff.beside} takes quality from "
            f"{cliff.quality:.4g} to {cliff.beside_quality:.4g} on {cliff.prompts} prompts."
        )


def _speed(one: Measured) -> str:
    return f"{_with_interval(one.speedup, '.2f')}x"


def _with_interval(estimate: Estimate, form: str) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:{form}}"
    return f"{estimate.value:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"


def _quoted(prompt: str) -> str:
    return repr(shortened(" ".join(prompt.split()), WIDTH))
