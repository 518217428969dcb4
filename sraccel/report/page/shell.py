"""What all pages share: templates that escape, styles, scripts, and the policy that guards them."""

from __future__ import annotations

import base64
import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.files import replacing

if TYPE_CHECKING:
    from jinja2 import Environment

SHARED = Path(__file__).parent


@dataclass(frozen=True)
class Shell:
    """A kind of page.

    Attributes:
        folder: of its own templates, styles and scripts; what is not there is shared.
        template: extends `base.html.jinja`.
        styles, scripts: names of files, after `base.css` and `base.js`.
    """

    folder: Path
    template: str
    styles: tuple[str, ...]
    scripts: tuple[str, ...]

    def render(self, data: Any, **content: Any) -> str:
        """The page's text; `data` is put into it as JSON, without NaN or infinity."""
        script = self._joined("base.js", *self.scripts)
        template = _environment(self.folder).get_template(self.template)
        return template.render(
            content,
            data=data,
            css=self._joined("base.css", *self.styles),
            script=script,
            policy=_policy(script),
        )

    def save(self, path: str | Path, text: str) -> Path:
        """Write a page that was rendered.

        Raises:
            OutputError: the file cannot be written.
        """
        with replacing(path) as temporary:
            temporary.write_bytes(text.encode("utf-8", "replace"))
        return Path(path)

    def _joined(self, *names: str) -> str:
        return "\n".join(self._text(name) for name in names)

    def _text(self, name: str) -> str:
        own = self.folder / name
        return (own if own.exists() else SHARED / name).read_text(encoding="utf-8")


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
