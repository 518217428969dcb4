"""The adaptive switch: several thresholds; where it switched, and quality against speed.

python examples/srdiffusion/threshold_sweep.py --thresholds 0.005 0.01 0.02 0.03
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiment import (
    SKETCH_ONLY,
    Experiment,
    parser,
    srdiffusion,
    start,
)
from showing import SPEED_AND_QUALITY, draw_front

THRESHOLDS = (0.005, 0.01, 0.02, 0.03)
"""The paper sweeps the last three."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write results."""
    options = parser(__doc__, "threshold-sweep")
    options.add_argument("--thresholds", type=float, nargs="+", default=THRESHOLDS)
    options.add_argument("--min-step", type=int, default=0, help="no switch before this step (0)")
    arguments = options.parse_args(argv)
    hybrids = [
        srdiffusion(f"threshold {value:g}", threshold=value, min_step=arguments.min_step)
        for value in arguments.thresholds
    ]
    experiment = Experiment("threshold-sweep", [SKETCH_ONLY, *hybrids], arguments)
    experiment.run()
    rows = [experiment.summary(setting) for setting in experiment.settings]
    experiment.publish("Threshold sweep", rows, SPEED_AND_QUALITY, draw)


def draw(rows: list[dict[str, Any]], figure: Any) -> None:
    """The front of speed and quality, and each prompt's switch step."""
    front, switches = figure.subfigures(1, 2, width_ratios=(2, 1))
    draw_front(rows, front)
    axes = switches.subplots()
    for position, row in enumerate(rows[1:]):
        taken = [step for step in row["switch_step"] if step is not None]
        axes.plot(taken, [position] * len(taken), "|", markersize=14, alpha=0.6, color="C0")
    axes.set_yticks(range(len(rows) - 1), [row["setting"] for row in rows[1:]], fontsize=8)
    axes.set(xlabel="switch step of each prompt", ylim=(-0.6, len(rows) - 1.4))
    axes.grid(alpha=0.3, axis="x")


if __name__ == "__main__":
    start(main)
