"""Which of all accelerators go together, those of the packages included: a table of the docs.

Run where all packages under `plugins/` are installed, with what they need:

    python tests/benchmarks/matrix.py [--write]
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import torch
from docs_tables import DOCS, TABLE, markdown

from sraccel.check.matrix import Pair, pairs
from sraccel.loop.claims import BY_HOOK, claims_of
from sraccel.models.loading import load_demo
from sraccel.plugin import Accelerator
from sraccel.recipe.catalogue import installed

PAGE = "reference/plugins.md"
HEADINGS = "accelerator | package | claims | refused beside | must come later than | alone"


def main() -> None:
    """Compose each pair in both orders; print the table, or write it into its page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write docs/{PAGE}")
    given = parser.parse_args()
    torch.set_num_threads(1)
    names = sorted(installed().accelerators)
    table = markdown(HEADINGS, rows(names, list(pairs(load_demo("transformer"), names))))
    table += f"\n{len(names)} accelerators, each pair in both orders; {_versions()}.\n"
    if not given.write:
        print(table)
        return
    page = DOCS / PAGE
    text = page.read_text(encoding="utf-8")
    pattern = TABLE.format("matrix")
    text = re.sub(pattern, lambda found: found[1] + table + found[3], text, flags=re.DOTALL)
    page.write_text(text, encoding="utf-8")


def rows(names: Sequence[str], found: Sequence[Pair]) -> Iterator[tuple[str, ...]]:
    """A row for each accelerator, with what it is refused beside in both orders or in one."""
    refused = {(one.first, one.second): one.refusal for one in found if one.refusal}
    claims = {name: _claims(installed().accelerator(name)) for name in names}
    never, later = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for first, second in sorted(refused):
        if first != second:
            ((never if (second, first) in refused else later)[first]).append(second)
    for name in names:
        alone = refused.get((name, name))
        yield (
            f"`{name}`",
            f"`{installed().origin(name).rpartition(' ')[0]}`",
            ", ".join(f"`{claim}`{' (shared)' * shared}" for claim, shared in claims[name].items()),
            ", ".join(_by_claim(name, never[name], claims)),
            _listed(later[name]),
            "yes" if alone is None else f"no: {alone}",
        )


def _by_claim(
    name: str, refused: Sequence[str], claims: Mapping[str, Mapping[str, bool]]
) -> Iterator[str]:
    """What is refused beside an accelerator; of a claim that only one may make, all in one."""
    left = set(refused)
    for claim in (one for one, shared in claims[name].items() if not shared):
        peers = {other for other, made in claims.items() if claim in made} - {name}
        if len(peers) > 1 and peers <= set(refused):
            yield f"all that claim `{claim}`"
            left -= peers
    yield from (f"`{other}`" for other in sorted(left))


def _claims(kind: type[Accelerator]) -> dict[str, bool]:
    """The claims of an accelerator, and whether they are shared."""
    hooks = [hook for by in BY_HOOK.values() for hook in by if hasattr(kind, hook)]
    return {claim.name: claim.shared for claim in claims_of(kind, hooks)}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _versions() -> str:
    packages = ("torch", "diffusers", "torchao", "cache-dit")
    return ", ".join(f"{package} {version(package)}" for package in packages)


if __name__ == "__main__":
    main()
