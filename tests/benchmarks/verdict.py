"""What the figures say of each sentence of the goal; computed, whatever comes out.

"At the same cost" is at the same counted cost: prompt by prompt between the two nearest settings of
a rival's line, linear in the logarithm of the speedup. Beyond the line's end its end stands in, and
the sentence says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from point_figures import points_text
from points import Setting, mean_psnr
from semantic import paired_interval

UNIFORM, PLACED = "fewer steps, uniform", "fewer steps, placed"
RULE = "SRDiffusion, the paper's rule"
STACK = "SRDiffusion + TeaCache"
STACK_EMULATED = f"{STACK} + SageAttention emulated"
SWITCHED = "SRDiffusion on placed steps"
AT_POSITIONS = "plain steps at the positions of"
REFERENCES = ("bare", "converged")
"""Videos to which a PSNR is measured; the converged one costs more than all others together."""
PAPER_THRESHOLD = "threshold 0.01"

Row = dict[str, Any]
Verdict = dict[str, Any]


def judge(points: list[Setting], rows: list[Row], ranking: Row | None) -> list[Verdict]:
    """A verdict for each sentence; `ranking` is that of `ranking.py`, if it was run."""
    board = Board(points, rows)
    return [
        _alone(board),
        _together(board, STACK, "cpu_speedup"),
        _together(board, STACK_EMULATED, "counted_speedup"),
        _above_uniform(board),
        _ranked(ranking),
        _above_placed(board),
    ]


def said(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as text."""
    words = {True: "reached", False: "NOT reached", None: "not measured"}
    lines = []
    for verdict in verdicts:
        lines.append(f"{words[verdict['reached']]}: {verdict['sentence']}")
        lines += [f"    {line}" for line in verdict["details"]]
    return "\n".join(lines)


class Board:
    """The settings and their rows, by family, and rivals at equal cost."""

    def __init__(self, points: list[Setting], rows: list[Row]) -> None:
        self.pairs = list(zip(points, rows, strict=True))

    def of(self, *families: str) -> list[tuple[Setting, Row]]:
        """Settings of these families."""
        return [(point, r) for point, r in self.pairs if point.family in families]

    def over(self, ours: tuple[Setting, Row], rival: str, measure: str) -> Row | None:
        """How far a setting is above a rival's line at equal cost; None where one was not run."""
        point, r = ours
        if measure in REFERENCES and measure not in point.psnr_db:
            return None
        speed = np.log(r["counted_speedup"][0])
        line = [(np.log(their["counted_speedup"][0]), p) for p, their in self.of(rival)]
        if not line:
            return None
        line.sort(key=lambda pair: pair[0])
        speeds = np.array([each for each, _ in line])
        values = np.stack([_values(p, measure) for _, p in line])
        theirs = np.array([np.interp(speed, speeds, column) for column in values.T])
        beyond = not speeds[0] - 0.02 <= speed <= speeds[-1] + 0.02
        return {"difference": paired_interval(_values(point, measure), theirs), "beyond": beyond}


def _values(point: Setting, measure: str) -> np.ndarray:
    if measure in REFERENCES:
        return mean_psnr(point, measure)
    return point.outcome.measure(measure)


def _line(r: Row) -> str:
    speeds = "x, ".join(f"{r[key][0]:.2f}" for key in ("speedup", "cpu_speedup", "counted_speedup"))
    return (
        f"{r['name']}: {speeds}x (clock, CPU, counted), score {points_text(r['score_difference'])} "
        f"points, IoU {points_text(r['iou_difference'])}"
    )


def _alone(board: Board) -> Verdict:
    rows = [r for point, r in board.of(RULE) if point.label == PAPER_THRESHOLD]
    reached = [
        r["cpu_speedup"][0] > 3
        and r["score_difference"][0] >= -0.01
        and r["score_difference"][1] >= -0.02
        for r in rows
    ]
    return {
        "sentence": "SRDiffusion alone by the paper's rule: above 3x (CPU), at most 1 point of the "
        "score lost, the interval's end at most 2",
        "reached": any(reached) if rows else None,
        "details": [_line(r) for _, r in board.of(RULE)],
    }


def _together(board: Board, family: str, speed: str) -> Verdict:
    rows = [r for _, r in board.of(family)]
    reached = [r[speed][0] > 6 and r["score_difference"][0] >= -0.02 for r in rows]
    by = speed.removesuffix("_speedup")
    return {
        "sentence": f"{family}: above 6x ({by}), at most 2 points of the score lost",
        "reached": any(reached) if rows else None,
        "details": [_line(r) for r in rows],
    }


def _above_uniform(board: Board) -> Verdict:
    alone = [pair for pair in board.of(RULE) if pair[0].label == PAPER_THRESHOLD]
    compared = [(pair, _over_uniform(board, pair)) for pair in [*alone, *board.of(STACK)]]
    known = [(pair, found) for pair, found in compared if found]
    by_family = {
        family: any(_far_above(found) for (point, _), found in known if point.family == family)
        for family in (RULE, STACK)
    }
    return {
        "sentence": "both at least 8 points of the score, or 8 dB (to the bare or the converged "
        "video), above uniform fewer steps at the same cost",
        "reached": all(by_family.values()) if known else None,
        "details": [f"{r['name']}: {_over_text(found)}" for (_, r), found in known],
    }


def _over_uniform(board: Board, pair: tuple[Setting, Row]) -> dict[str, Row]:
    found = {name: board.over(pair, UNIFORM, name) for name in ("score", "bare", "converged")}
    return {name: each for name, each in found.items() if each is not None}


def _far_above(found: dict[str, Row]) -> bool:
    limits = {"score": 0.08, "bare": 8, "converged": 8}
    return any(each["difference"][0] >= limits[name] for name, each in found.items())


def _over_text(found: dict[str, Row]) -> str:
    parts = []
    for name, each in found.items():
        middle, low, high = each["difference"]
        decibel = f"{middle:+.1f} dB to {name} ({low:+.1f} to {high:+.1f})"
        score = f"{name} {points_text(each['difference'])} points"
        parts.append(score if name in ("score", "iou") else decibel)
    beyond = any(each["beyond"] for each in found.values())
    return ", ".join(parts) + (" (beyond the rival's line: its end)" if beyond else "")


def _ranked(ranking: Row | None) -> Verdict:
    if ranking is None:
        reached, details = None, ["run tests/benchmarks/ranking.py"]
    else:
        middle, low, high = ranking["tau"]
        reached = middle >= 0.8
        details = [f"tau {middle:.2f} ({low:.2f} to {high:.2f})"]
    sentence = "Kendall's tau between the published orders and the pair's at least 0.8"
    return {"sentence": sentence, "reached": reached, "details": details}


def _above_placed(board: Board) -> Verdict:
    stacks = board.of(RULE, STACK, SWITCHED)
    fast = [pair for pair in stacks if pair[1]["counted_speedup"][0] >= 6]
    compared = []
    for pair in fast:
        found = {name: board.over(pair, PLACED, name) for name in ("score", "iou", "converged")}
        compared.append((pair, {name: each for name, each in found.items() if each is not None}))
    known = [(pair, found) for pair, found in compared if found]
    above = [found["score"]["difference"][0] > 0 for _, found in known]
    return {
        "sentence": "from 6x (counted) on, stacks with SRDiffusion above placed fewer steps in the "
        "score at equal cost",
        "reached": all(above) if known else None,
        "details": [f"{r['name']}: {_over_text(found)}" for (_, r), found in known],
    }
