"""What works on every pipeline of diffusers that can be built offline: a table of the docs.

Each is built with a tiny configuration and real classes, run bare, under an empty recipe, under a
rule that only watches, with a second model of its class, and with reuse of its blocks' residual.

    python tests/benchmarks/any_pipeline.py [--only NAME ...] [--write]
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import diffusers
import torch
from any_pipeline import Tried, tried
from docs_tables import DOCS, TABLE, markdown
from tiny import BLOCK_STACKS, SDXL, TinyFamily
from tiny.unadapted import CONTROLLED, UNADAPTED, VARIANTS

PAGE = "reference/pipelines.md"
HEADINGS = (
    "pipeline | denoiser | adapter | empty recipe | steps and calls watched | second model "
    "| blocks skipped"
)
REASONS = {
    "no block stack": "refused: a UNet has no stack",
    "ControlNet": "refused: the ControlNet is made for one model",
    "could not be found": "refused: no blocks found",
    "do not fit each other": "refused: the models do not fit",
}


def main() -> None:
    """Try the pipelines; print the table, or write it into its page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], help="classes of pipelines")
    parser.add_argument("--write", action="store_true", help=f"write docs/{PAGE}")
    given = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    diffusers.utils.logging.set_verbosity_error()
    logging.getLogger("sraccel").setLevel(logging.ERROR)
    every = [*UNADAPTED, *CONTROLLED, *VARIANTS, *BLOCK_STACKS, SDXL]
    wanted = [tiny for tiny in every if not given.only or tiny.name in given.only]
    results = list(_tried(wanted))
    table = markdown(HEADINGS, [_row(one) for one in sorted(results, key=lambda one: one.pipeline)])
    if given.write:
        _write(table, results)
    else:
        print(table)


def _tried(wanted: list[TinyFamily]) -> Iterator[Tried]:
    for number, tiny in enumerate(wanted, 1):
        print(f"{number} of {len(wanted)}: {tiny.name}", file=sys.stderr, flush=True)
        yield tried(tiny)


def _row(one: Tried) -> list[str]:
    watched = f"{_identical(one.steps)}; {one.steps_seen} steps, {one.calls_seen} calls"
    return [
        f"`{one.pipeline}`",
        f"`{one.denoiser}`",
        f"`{one.adapter}`" if one.adapter else "none",
        _identical(one.empty),
        watched,
        _outcome(one.switched, "took {} calls"),
        _outcome(one.reused, "in {} calls"),
    ]


def _identical(same: bool) -> str:
    return "identical" if same else "**differs**"


def _outcome(found: int | str, words: str) -> str:
    if isinstance(found, int):
        return words.format(found)
    return next((said for part, said in REASONS.items() if part in found), f"refused: {found[:80]}")


def _write(table: str, results: list[Tried]) -> None:
    import re

    page = DOCS / PAGE
    text = page.read_text(encoding="utf-8")
    for name, content in (("pipelines", table), ("pipelines summary", _summary(results))):
        pattern = TABLE.format(re.escape(name))
        text = re.sub(
            pattern, lambda found, new=content: found[1] + new + found[3], text, flags=re.DOTALL
        )
    page.write_text(text, encoding="utf-8")


def _summary(results: list[Tried]) -> str:
    """What the table says in numbers."""
    identical = sum(one.empty and one.steps for one in results)
    unknown = [one for one in results if one.adapter is None]
    found = sum(isinstance(one.reused, int) for one in unknown)
    switched = sum(isinstance(one.switched, int) for one in results)
    return (
        f"{len(results)} runs of {len({one.pipeline for one in results})} pipeline classes with "
        f"{len({one.denoiser for one in results})} classes of denoisers (diffusers "
        f"{diffusers.__version__}, torch {torch.__version__}). Output identical to the bare one "
        f"under an empty recipe and under a rule that watches: {identical} of {len(results)}. A "
        f"second model of the class took over in {switched}. {len(unknown)} have no adapter; in "
        f"{found} of those the blocks were found, and skipped.\n"
    )


if __name__ == "__main__":
    main()
