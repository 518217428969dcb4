"""Configurations of a model's folder, checked before anything reads or builds them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sraccel.files import read_text

NAMES = ("model_index.json", "config.json", "scheduler_config.json")
LARGEST = 2**20
"""Bytes of a configuration; those of known models have a few thousand."""
COUNTS = re.compile(r"(layers|blocks|depth)(_|$)")
"""Keys whose numbers say how many modules are made."""
MOST_MODULES = 1000
"""Known models have up to about a hundred."""


def check_folder(folder: Path) -> None:
    """Refuse configurations that cannot be read in a moment, or that ask for endless modules.

    Raises:
        OSError: one is no regular file, or too large; ValueError: it is no JSON, nested too deeply,
            or asks for too much.
    """
    for path in _configurations(folder):
        try:
            check_config(json.loads(read_text(path, LARGEST)))
        except (ValueError, RecursionError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else error
            raise ValueError(f"{path.relative_to(folder)}: {reason}") from None
        except OSError as error:
            raise OSError(f"{path.relative_to(folder)}: {error.strerror}") from None


def check_config(config: Any) -> None:
    """Refuse a configuration by which a model of countless modules would be built.

    Raises:
        ValueError: naming the key.
    """
    for key, value in config.items() if isinstance(config, dict) else ():
        numbers = value if isinstance(value, (list, tuple)) else [value]
        counts = [one for one in numbers if isinstance(one, int) and not isinstance(one, bool)]
        if COUNTS.search(str(key)) and sum(counts) > MOST_MODULES:
            shown = str(value)[:40] if sum(counts) < 10**40 else "of more than 40 digits"
            raise ValueError(f"{key} {shown} is more than the {MOST_MODULES} that a model may have")


def _configurations(folder: Path) -> Iterator[Path]:
    """In the folder itself and one level below; what is no regular file is among them."""
    for place in [folder, *(child for child in folder.iterdir() if child.is_dir())]:
        yield from (place / name for name in NAMES if (place / name).exists())
