"""Throw inputs at sraccel for a while: `python tests/fuzz/run.py --seconds 60`.

What is found is kept in `tests/fuzz/seeds`, from where `test_fuzz.py` tries it again at every run
of the tests. Prints how many inputs of each kind were accepted and refused; exits with 1 after a
find.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from targets import TARGETS, inputs, tried

SEEDS = Path(__file__).parent / "seeds"
BATCH = 50


def batch(name: str, number: int, counts: Counter[str]) -> None:
    """Some inputs of one kind; hypothesis makes a find small before it is raised."""
    last = [b""]

    @seed(number)
    @settings(
        max_examples=BATCH,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        last[0] = data.draw(inputs(name))
        counts[tried(name, last[0])] += 1

    try:
        run()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        digest = hashlib.sha256(last[0]).hexdigest()[:12]
        (SEEDS / f"{name}-{digest}").write_bytes(last[0])
        counts["found"] += 1
        traceback.print_exception(error, limit=-3)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="where to begin")
    parser.add_argument("kinds", nargs="*", default=list(TARGETS))
    given = parser.parse_args()
    counts: dict[str, Counter[str]] = {name: Counter() for name in given.kinds}
    began, number = time.monotonic(), given.seed
    while time.monotonic() - began < given.seconds:
        for name in given.kinds:
            if time.monotonic() - began < given.seconds:
                batch(name, number, counts[name])
        number += 1
    print(f"{'kind':<14}{'accepted':>10}{'refused':>10}{'found':>8}")
    for name, count in counts.items():
        print(f"{name:<14}{count['accepted']:>10}{count['refused']:>10}{count['found']:>8}")
    return 1 if any(count["found"] for count in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
