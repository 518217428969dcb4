"""What all pages share: templates that escape, styles, scripts, and the policy that guards them."""

from __future__ import annotations

import base64
import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

SHARED = Path(__file__).parent
STYLES = ("drawing.css", "base.css")
"""Of every page, before its own."""


@dataclass(frozen=True)
class Shell:
    """A kind of page.

    Attributes:
        folder: of its own templates, styles and scripts; what is not there is shared.
        template: extends `base.html.jinja`.
        styles, scripts: names of files, after those of every page.
    """

    folder: Path
    template: str
    styles: tuple[str, ...]
    scripts: tuple[str, ...]

    def render(self, data: Any, **content: Any) -> str:
        """The page's text; `data` is put into it as JSON, without NaN or infinity."""
        script = joined(self.folder, "base.js", *self.scripts)
        return render(
            self.folder,
            self.template,
            content,
            data=data,
            css=joined(self.folder, *STYLES, *self.styles),
            script=script,
            policy=_policy(script),
        )


def render(folder: Path, template: str, *content: Any, **more: Any) -> str:
    """A template of a folder, or one that is shared, filled in; everything is escaped."""
    return _environment(folder).get_template(template).render(*content, **more)


def joined(folder: Path, *names: str) -> str:
    """The texts of files in a folder, or of shared ones."""
    paths = [folder / name if (folder / name).exists() else SHARED / name for name in names]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


@functools.cache
def _environment(folder: Path) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([folder, SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["px"] = _px
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": True, "allow_nan": False}
    return environment


def _px(value: float) -> str:
    """A coordinate, short: thousands of them are in a page."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _policy(script: str) -> str:
    """Nothing is loaded, and only this script runs, whatever else got into the page."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = {
        "default-src": "'none'",
        "script-src": f"'sha256-{digest}'",
        "style-src": "'unsafe-inline'",
        "media-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())
