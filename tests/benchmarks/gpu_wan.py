"""What accelerators gain at real size on a GPU: Wan 2.1 and CogVideoX, random weights.

    python tests/benchmarks/gpu_wan.py --out runs/gpu
    python tests/benchmarks/gpu_wan.py --out runs/gpu-tiny --tiny --device cpu

Bare, real SageAttention, a cache that skips as much as published, placed steps, and a switch at 5,
10, 15 and 20 of 50, in all combinations: whole runs at a small size, steps at the published one,
measured beside predicted. Then `both`, `swap` and `prefetch`; compiled blocks; CogVideoX 5B and 2B.

Each part is a process with a time limit of its own, the most important first. A part that fails is
written down, and the next one comes; what had no time gets what the others leave. Every measurement
is in `results.jsonl` when it is made, the tables in `results.md` after each part; the same command
goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).parent))

from gpu_parts import ORDER, Setup, machine, measure
from gpu_results import Results

MOST_SECONDS = 500
"""Of a part."""
SHARES = {"wan2.1 runs": 4, "wan2.1 full": 4, "cogvideox runs": 2, "cogvideox full": 2}
"""Of the time that is left when a part begins, beside those of the parts after it; others: 1."""
State = Literal["done", "unfinished", "stopped", "failed"]
"""`unfinished`: there was no time for some of its cases."""
SPARE = 20
"""Seconds before its limit in which a part begins nothing more."""


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"))
    parser.add_argument("--minutes", type=float, default=18.0, help="all parts together")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="two layers, small videos: a try")
    parser.add_argument("--parts", nargs="+", choices=ORDER, default=list(ORDER), metavar="PART")
    parser.add_argument("--part", choices=ORDER, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, default=0.0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Run all parts, or the one that a process was started for; 1 where a part failed."""
    given = options()
    results = Results(given.out)
    if given.part:
        setup = Setup(given.part, results, given.device, given.tiny, given.until)
        results.add(part=given.part, what="done" if measure(setup) else "unfinished")
        return 0
    if results.find(what="machine") is None:
        results.add(what="machine", **machine(given.device))
    ends = time.time() + 60 * given.minutes
    states = _pass([part for part in ORDER if part in given.parts], results, given, ends)
    if ends - time.time() > 2 * SPARE:
        short = [part for part, state in states.items() if state in ("unfinished", "stopped")]
        states |= _pass(short, results, given, ends)
    print(results.save_table().read_text("utf-8"))
    return 1 if {"failed", "stopped"} & {*states.values()} else 0


def _pass(
    parts: Sequence[str], results: Results, given: argparse.Namespace, ends: float
) -> dict[str, State]:
    """How each part ended, run one after the other; those that an earlier call did are left out."""
    todo = [part for part in parts if not results.find(part=part, what="done")]
    return {part: _run(part, todo[n:], results, given, ends) for n, part in enumerate(todo)}


def _run(
    part: str, todo: Sequence[str], results: Results, given: argparse.Namespace, ends: float
) -> State:
    """One part in a process of its own, before the others to do."""
    seconds = _limit(part, todo, ends)
    if seconds < 2 * SPARE and not given.tiny:
        results.add(part=part, what="part", failed="no time was left")
        return "stopped"
    print(f"{part}: at most {seconds:.0f} s", file=sys.stderr, flush=True)
    state, why = _started(part, given, seconds)
    if why:
        results.add(part=part, what="part", failed=why)
    elif results.find(part=part, what="done") is None:
        state = "unfinished"
    results.save_table()
    return state


def _limit(part: str, todo: Sequence[str], ends: float) -> float:
    """Seconds of a part: what the parts before left over goes to it and those after."""
    share = SHARES.get(part, 1) / sum(SHARES.get(one, 1) for one in todo)
    return min(MOST_SECONDS, share * (ends - time.time()))


def _started(part: str, given: argparse.Namespace, seconds: float) -> tuple[State, str]:
    """Run a part's process; how it ended, and why it did not end well."""
    log = given.out / f"{part.replace(' ', '-')}.log"
    until = time.time() + seconds - SPARE
    command = [sys.executable, __file__, "--out", str(given.out), "--device", given.device]
    command += ["--part", part, "--until", str(until), *(["--tiny"] if given.tiny else [])]
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return "stopped", f"stopped after {seconds:.0f} s; what it measured until then is kept"
        finally:
            _end(process)
    if code == 0:
        return "done", ""
    last = log.read_text("utf-8", "replace").strip().splitlines()[-1:]
    return "failed", f"exit code {code}: {' '.join(last)[:300]}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the part's process group; nothing where it ended by itself."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
