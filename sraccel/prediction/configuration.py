"""Published models' configurations: `published/*.yaml`, each with its source; no weights.

Importing this module imports neither torch nor diffusers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from sraccel.demo.pair import DEMO, demo_call
from sraccel.errors import ModelError
from sraccel.models.source import ModelSource
from sraccel.text import did_you_mean

SUFFIX = "-diffusers"
"""Of names on the hub; left out of short names."""


class Configuration(BaseModel):
    """What a published model consists of.

    Attributes:
        name: on the hub.
        source: where the values come from.
        pipeline: class of diffusers.
        settings: further arguments of that class.
        size: of the call, where neither the recipe nor an option says.
        scheduler, vae, denoisers: configurations with `_class_name`; what they leave out has the
            default of diffusers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    source: str
    pipeline: str
    settings: dict[str, Any] = Field(default_factory=dict)
    size: dict[str, int]
    scheduler: dict[str, Any]
    vae: dict[str, Any]
    denoisers: dict[str, dict[str, Any]]

    @property
    def short(self) -> str:
        """The name without its owner, in lower case: `wan2.1-t2v-14b`."""
        return self.name.rpartition("/")[2].lower().removesuffix(SUFFIX)

    def write(self, folder: Path) -> Path:
        """Write it as a folder in diffusers' format, as a download begins; returns the folder."""
        index: dict[str, Any] = {"_class_name": self.pipeline, **self.settings}
        parts = {"scheduler": self.scheduler, "vae": self.vae, **self.denoisers}
        for part, config in parts.items():
            index[part] = ["diffusers", config["_class_name"]]
            name = "scheduler_config.json" if part == "scheduler" else "config.json"
            (folder / part).mkdir(parents=True)
            (folder / part / name).write_text(json.dumps(config), encoding="utf-8")
        (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
        return folder


def _read() -> Iterator[Configuration]:
    for file in sorted((files(__package__) / "published").iterdir(), key=lambda file: file.name):
        yield Configuration.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))


CONFIGURATIONS: Mapping[str, Configuration] = {one.short: one for one in _read()}
"""Every published configuration that is known here, by short name."""


def known_configuration(name: str) -> Configuration | None:
    """The one of this name, on the hub or short; case does not matter."""
    wanted = name.lower()
    found = CONFIGURATIONS.values()
    return next((one for one in found if wanted in (one.short, one.name.lower())), None)


class Folders:
    """Finds the folder that holds a model's configurations; those that are published are written.

    Attributes:
        sources: where the configurations came from, by the name that was asked for.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._written: dict[str, Path] = {}
        self.sources: dict[str, str] = {}

    def find(self, name: str) -> str:
        """A folder, or `demo`.

        Raises:
            ModelError: it is neither a folder nor a known name; the message lists these.
        """
        if name == DEMO or Path(name).expanduser().is_dir():
            self.sources[name] = "the demo pair in this package" if name == DEMO else "a folder"
            return name
        found = known_configuration(name)
        if found is None:
            known = [DEMO, *CONFIGURATIONS]
            hint = did_you_mean(name, known) or "."
            raise ModelError(
                f"no configuration of {name!r} is known{hint} Give a folder in diffusers' format "
                f"(configurations are enough), or one of: {', '.join(known)}",
                model=name,
            )
        self.sources[found.name] = " ".join(found.source.split())
        if found.short not in self._written:
            self._written[found.short] = found.write(self._root / found.short)
        return str(self._written[found.short])

    def local(self, source: ModelSource) -> ModelSource:
        """A model that a recipe names, where its configuration lies."""
        folder = self.find(source.model)
        if folder == source.model:
            return source
        return source.model_copy(update={"model": folder, "revision": None, "variant": None})


@contextmanager
def configuration_folders() -> Iterator[Folders]:
    """Folders of configurations, for as long as the block lasts."""
    with TemporaryDirectory(prefix="sraccel-") as root:
        yield Folders(Path(root))


def usual_size(name: str) -> dict[str, Any]:
    """Height, width and frames of a model's call where nobody says; empty: as its pipeline says."""
    if name == DEMO:
        return {key: demo_call()[key] for key in ("height", "width", "num_frames")}
    found = known_configuration(name)
    return dict(found.size) if found is not None else {}
