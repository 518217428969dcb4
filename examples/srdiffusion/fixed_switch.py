"""The fixed-step baseline: switch at several fixed steps; quality and speed against sketch only.

python examples/srdiffusion/fixed_switch.py --switch 5 10 15 20 25
"""

from __future__ import annotations

from collections.abc import Sequence

from experiment import (
    RENDER_ONLY,
    SKETCH_ONLY,
    Experiment,
    parser,
    srdiffusion,
    start,
)
from showing import SPEED_AND_QUALITY, draw_front

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
"""Switch steps as shares of all steps, unless --switch gives them."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write results."""
    options = parser(__doc__, "fixed-switch")
    options.add_argument("--switch", type=int, nargs="+", help="first steps of the render model")
    arguments = options.parse_args(argv)
    steps = arguments.switch or [round(arguments.steps * share) for share in SHARES]
    hybrids = [srdiffusion(f"switch at {step}", switch_step=step) for step in steps]
    experiment = Experiment("fixed-switch", [SKETCH_ONLY, *hybrids, RENDER_ONLY], arguments)
    experiment.run()
    rows = [experiment.summary(setting) for setting in experiment.settings]
    experiment.publish("Fixed switch", rows, SPEED_AND_QUALITY, draw_front)


if __name__ == "__main__":
    start(main)
