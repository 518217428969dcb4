"""The calibrated placements of `placements.py` as the file that comes with the demo pair.

    python tests/benchmarks/ship_placements.py

Reads docs/assets/benchmarks/placements.json, writes sraccel/demo/weights/steps.json, which the
accelerator `steps` finds beside the weights.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from placed import DEFAULT
from points import checksums, start

from sraccel.calibration.budgets import Budget, BudgetFile
from sraccel.demo.pair import DEMO_GUIDANCE_SCALE, DEMO_WEIGHTS
from sraccel.testing import load_demo_pipeline


def shipped(found: dict[str, Any], pipe: Any) -> BudgetFile:
    """The placements at the pair's own flow shift.

    Raises:
        SystemExit: they were calibrated on other weights.
    """
    facts = pipe.transformer
    if checksums({"transformer": facts})["transformer"] != found["weights"]:
        raise SystemExit("the placements are of other weights: run placements.py again")
    pipe.scheduler.set_timesteps(found["steps"])
    shift = pipe.scheduler.config.flow_shift
    budgets = found["shifts"][f"{shift:g}"]["budgets"]
    return BudgetFile(
        what="steps",
        class_name=type(facts).__name__,
        weights=found["weights"],
        dtype=str(facts.dtype).removeprefix("torch."),
        scheduler=type(pipe.scheduler).__name__,
        flow_shift=shift,
        sigmas=[float(sigma) for sigma in pipe.scheduler.sigmas[:-1]],
        guidance_scale=DEMO_GUIDANCE_SCALE,
        budgets={
            int(number): Budget(positions=one["positions"], psnr_db=one["psnr_db"])
            for number, one in budgets.items()
        },
        prompts=found["prompts"],
        seeds=found["seeds"],
        versions=found["versions"],
        date=found["date"],
        comment="a descent on real runs (tests/benchmarks/placements.py); psnr_db is to videos of "
        f"{found['reference']['steps']} steps, on these prompts",
    )


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=DEMO_WEIGHTS / "steps.json")
    arguments = parser.parse_args()
    found = json.loads(DEFAULT.read_text("utf-8"))
    shipped(found, load_demo_pipeline()).save(arguments.out)


if __name__ == "__main__":
    start(main)
