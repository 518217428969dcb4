"""The names in a new package, all of them from one."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from importlib.util import find_spec

PREFIX = "sraccel-"
"""What packages of plugins begin with; their accelerators do without."""
ALLOWED = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_.][A-Za-z0-9]+)*")
LONGEST = 24
"""Characters of an accelerator's name, so that the files' lines stay within 100."""
TAKEN = frozenset(
    {"Accelerator", "AcceleratorOptions", "Any", "Call", "Denoiser", "Field", "Iterable"}
    | {"Iterator", "Mapping", "Metric", "ModelSource", "Options", "RuleOptions", "Sequence"}
    | {"Stack", "Step", "Tensor", "None", "True", "False"}
)
"""Names that the templates import."""


@dataclass(frozen=True)
class Names:
    """What is called how.

    Attributes:
        distribution: as pip knows it: `sraccel-quiet-steps`.
        package: as Python imports it: `sraccel_quiet_steps`.
        item: as a recipe names the accelerator: `quiet-steps`.
        module: the file that it is in: `quiet_steps`; also a metric's name.
        kind: the class: `QuietSteps`.
    """

    distribution: str
    package: str
    item: str
    module: str
    kind: str


def names_of(name: str) -> Names:
    """All names from the one that the user gave.

    Raises:
        ValueError: no package can have that name, or something that is installed has it.
    """
    if not ALLOWED.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot be a package's name: letters and digits, with - between words, as in "
            f"'sraccel-quiet-steps'"
        )
    if len(name.lower().removeprefix(PREFIX)) > LONGEST:
        raise ValueError(f"{name!r} is longer than {LONGEST} characters: choose a shorter name")
    distribution = re.sub(r"[-_.]+", "-", name).lower()
    item = distribution.removeprefix(PREFIX)
    package, module = distribution.replace("-", "_"), item.replace("-", "_")
    kind = "".join(word.capitalize() for word in item.split("-"))
    if not kind.isidentifier() or keyword.iskeyword(module) or kind in TAKEN:
        raise ValueError(f"an accelerator cannot be called {item!r} in Python: choose another name")
    if package == "sraccel" or keyword.iskeyword(package) or find_spec(package) is not None:
        raise ValueError(f"a Python package {package!r} is there already: choose another name")
    return Names(distribution, package, item, module, kind)
