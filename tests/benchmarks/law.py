"""Do single accelerators and pairs of them predict what three give together?

    python tests/benchmarks/law.py --predict
    python tests/benchmarks/law.py --measure

The prediction is written down first: `--predict` runs every pair of each stack as a study of its
own, on some prompts, and no three together; it writes `law-predicted.json`. Commit that.
`--measure` runs all of a stack on other prompts, and writes `law-measured.json` beside it: what was
found, over what had been predicted. Both go on after an interrupt. Two of the stacks need plugins:
`pip install plugins/sraccel-caches plugins/sraccel-example plugins/sraccel-guidance`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sraccel
from sraccel.demo.shapes import held_out_scenes
from sraccel.study.results import StudyReport
from sraccel.testing import load_demo_pipeline

ASSETS = Path(__file__).parents[2] / "docs" / "assets" / "benchmarks"
SRDIFFUSION = {"use": "srdiffusion", "render": "demo", "threshold": 0.01}
BF16 = {"use": "bf16-linear"}
STACKS: dict[str, list[dict[str, Any]]] = {
    "placed steps, two models, a cache": [
        {"use": "steps", "number": 12},
        SRDIFFUSION,
        {"use": "teacache", "threshold": 0.05},
    ],
    "two models, cached guidance, bfloat16": [
        SRDIFFUSION,
        {"use": "guidance-cache", "every": 2},
        BF16,
    ],
    "a first-block cache, cached guidance, bfloat16": [
        {"use": "firstblock", "threshold": 0.1},
        {"use": "guidance-cache", "every": 3},
        BF16,
    ],
}
PREDICTED_ON, MEASURED_ON = slice(300, 304), slice(310, 318)
"""Of the held-out captions; other benchmarks report on earlier ones."""


def study(accelerators: list[Any], design: str, captions: slice, out: Path) -> StudyReport:
    """Of one recipe, two rounds."""
    pipe = load_demo_pipeline()
    pipe.set_progress_bar_config(disable=True)
    prompts = [scene.caption for scene in held_out_scenes(captions.stop)[captions]]
    plan = {"prompts": prompts, "design": design, "repeats": 2, "show": 1}
    recipe = {"accelerators": accelerators, "study": plan, "name": out.name}
    return sraccel.run_study(pipe, recipe, out, num_inference_steps=50)


def log_speedup(report: StudyReport, names: list[str]) -> float:
    """Of the cell with these accelerators."""
    cell = next(
        c for c in report.analysis.cells if c.kind == "stack" and sorted(c.accelerators) == names
    )
    assert cell.speedup is not None, f"{names} did not run: {cell.errors}"
    return math.log(cell.speedup.value)


def predict(stack: list[Any], work: Path) -> dict[str, Any]:
    """The speedup of three: the product of each alone and of what each pair keeps."""
    alone: dict[str, list[float]] = {}
    kept = {}
    for two in itertools.combinations(stack, 2):
        names = sorted(entry["use"] for entry in two)
        report = study(list(two), "full", PREDICTED_ON, work / "-".join(names))
        own = [log_speedup(report, [name]) for name in names]
        kept[" x ".join(names)] = log_speedup(report, names) - sum(own)
        for name, value in zip(names, own, strict=True):
            alone.setdefault(name, []).append(value)
    product = sum(statistics.mean(values) for values in alone.values())
    return {
        "accelerators": stack,
        "alone": {name: math.exp(statistics.mean(values)) for name, values in alone.items()},
        "kept": {pair: math.exp(value) for pair, value in kept.items()},
        "plain_product": math.exp(product),
        "predicted": math.exp(product + sum(kept.values())),
    }


def measured(name: str, stack: list[Any], predicted: Any, work: Path) -> dict[str, Any]:
    """What the three gave, over what had been predicted, with its interval."""
    report = study(stack, "pairs", MEASURED_ON, work / "all")
    names = sorted(entry["use"] for entry in stack)
    cell = next(c for c in report.analysis.cells if sorted(c.accelerators) == names)
    assert cell.speedup is not None, f"{name} did not run: {cell.errors}"
    found = cell.speedup.model_dump()
    over = {key: value / predicted["predicted"] for key, value in found.items() if value}
    same = report.analysis.combinations[0]
    print(f"{name}: {found}, over predicted {over}")
    return {
        "speedup": found,
        "over_predicted": over,
        "plain_product_over_measured": predicted["plain_product"] / found["value"],
        "within_the_same_study": same.model_dump(mode="json"),
    }


def main() -> None:
    """Predict, or measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    step = parser.add_mutually_exclusive_group(required=True)
    step.add_argument("--predict", action="store_true", help="from each alone and all pairs")
    step.add_argument("--measure", action="store_true", help="all together, on other prompts")
    parser.add_argument("--work", type=Path, default=Path("runs/law"))
    parser.add_argument("--out", type=Path, default=ASSETS)
    arguments = parser.parse_args()
    written = arguments.out / "law-predicted.json"
    found: dict[str, Any] = {"date": datetime.now(UTC).isoformat(timespec="minutes")}
    predictions = {} if arguments.predict else json.loads(written.read_text("utf-8"))
    for number, (name, stack) in enumerate(STACKS.items()):
        work = arguments.work / str(number)
        if arguments.predict:
            found[name] = predict(stack, work / "pairs")
        else:
            found[name] = measured(name, stack, predictions[name], work)
    path = written if arguments.predict else arguments.out / "law-measured.json"
    path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(path.read_text("utf-8"))


if __name__ == "__main__":
    main()
