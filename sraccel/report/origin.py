"""Where a video comes from: the models and files that made it, and how they were used.

A report holds it under `origin`, an MP4 among its tags, so that `sraccel generate --from` can
repeat the run. Importing this module imports neither torch nor diffusers.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pydantic import BaseModel, ConfigDict, Field

from sraccel.models.loading import Device, DType, Offload, locate

if TYPE_CHECKING:
    import torch

    from sraccel.models.source import ModelSource
    from sraccel.recipe.recipe import Recipe
    from sraccel.report.model import Report

TAG = "sraccel"
"""The tag of an MP4 that holds what is needed to make it again, as JSON."""
REPEATABLE = frozenset(
    {"schema_version", "recipe", "call", "num_inference_steps", "versions", "environment", "origin"}
)
"""Keys of a report that the tag holds, too."""

TEXTS = frozenset({".json", ".txt", ".model", ".yaml"})
"""Configurations and vocabularies: they count whole, so do files that a recipe names."""
WEIGHTS = ".safetensors"
SAMPLES, SAMPLE_BYTES = 64, 4096
"""How much of a weights file counts, evenly spread: models of one shape differ nearly everywhere,
and reading tens of gigabytes would take longer than the run."""
COMMIT = re.compile(r"[0-9a-f]{40}")


class Source(BaseModel):
    """A model that made a video, or another file that its recipe names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        description="Folder or file, name on the hub (`name@branch`), or `demo`; as it was given."
    )
    revision: str | None = Field(None, description="Commit on the hub; null for a local one.")
    fingerprint: str | None = Field(
        None, description="Checksum of a local one; of weights, headers and samples count."
    )

    @property
    def identity(self) -> str | None:
        """What distinguishes it from another version of itself; None if nothing is known."""
        return self.fingerprint or self.revision


class Origin(BaseModel):
    """What made a video, besides the recipe and the call."""

    model_config = ConfigDict(extra="forbid")

    sources: list[Source] = Field(
        min_length=1, description="The pipeline, then what the recipe names."
    )
    dtype: DType = Field(description="Precision of the weights.")
    device: Device = Field(description="Where it ran.")
    offload: Offload = Field("none", description="What was kept off the GPU.")
    fps: float = Field(gt=0, le=1000, description="Frames per second of the video.")
    frame_size: tuple[int, int] | None = Field(
        None, description="Width and height as the pipeline returned them; files may be enlarged."
    )
    frames_sha256: str | None = Field(
        None, description="Checksum of the frames as the pipeline returned them."
    )


def sources_of(
    pipelines: Iterable[ModelSource], recipe: Recipe, commits: Mapping[str, str] | None = None
) -> list[Source]:
    """The pipelines, then everything that the recipe names; each once.

    Args:
        pipelines: by name, as the caller loads them.
        recipe: as it was given.
        commits: those of models on the hub that are taken at another one than their newest.

    Raises:
        ModelError: a model is neither a folder nor a name on the hub.
    """
    brought = [source for item in recipe.accelerators for source in item.models()]
    found: dict[str, Source] = {}
    for source in (*pipelines, *brought):
        if str(source) not in found:
            found[str(source)] = _model(source, commits or {})
    for name in _files_in(recipe.model_dump(mode="json", fallback=str)["accelerators"]):
        if name not in found:
            found[name] = Source(name=name, fingerprint=fingerprint(name))
    return list(found.values())


def _model(source: ModelSource, commits: Mapping[str, str]) -> Source:
    place, name = locate(source.model), str(source)
    if Path(place).is_dir():
        return Source(name=name, fingerprint=fingerprint(place))
    return Source(name=name, revision=commits.get(name) or hub_commit(place, source.revision))


def _files_in(value: Any) -> Iterator[str]:
    """Paths among a recipe's values: calibration files, LoRAs."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _files_in(item)
    elif isinstance(value, str) and _counts(os.path.expanduser(value)):
        yield value


def _counts(path: str) -> bool:
    """Whether a value is the path of something that can make a difference."""
    if os.path.isdir(path):  # not just any folder: looking through it could take long
        return any(name.endswith(WEIGHTS) for name in os.listdir(path))
    return os.path.isfile(path) and Path(path).suffix in (*TEXTS, WEIGHTS)


def hub_commit(name: str, revision: str | None = None) -> str | None:
    """The commit that a branch or tag of a repository on the hub stands for in the local cache."""
    if revision is not None and COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type="model")
    try:
        commit = (folder / "refs" / (revision or "main")).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return commit if COMMIT.fullmatch(commit) else None


def fingerprint(path: str | Path) -> str:
    """A checksum of a file, or of the configurations and weights in a folder; reads little.

    Of weights (safetensors) the header, the size and 64 samples count. So it differs between models
    and versions, but is no proof that nobody changed a number.
    """
    path = Path(path).expanduser()
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else _parts(path):
        name = "" if file == path else file.relative_to(path).as_posix()
        digest.update(f"{name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as opened:
            for piece in _samples(opened) if file.suffix == WEIGHTS else [opened.read()]:
                digest.update(piece)
    return digest.hexdigest()


def _parts(folder: Path) -> list[Path]:
    """Files of a model, hidden ones left out, in an order that does not depend on the machine."""
    counting = {*TEXTS, WEIGHTS}
    found = [file for file in folder.rglob("*") if file.suffix in counting and file.is_file()]
    relative = {file.relative_to(folder): file for file in found}
    shown = [path for path in relative if not any(part[0] == "." for part in path.parts)]
    return [relative[path] for path in sorted(shown, key=lambda path: path.as_posix())]


def _samples(file: BinaryIO) -> Iterator[bytes]:
    """The header of a safetensors file, and samples of its numbers; all of a small file."""
    size = file.seek(0, 2)
    file.seek(0)
    start = file.read(8)
    yield start
    header = min(int.from_bytes(start, "little"), size)
    yield file.read(header)
    begin = file.tell()
    stride = max((size - begin) // SAMPLES, SAMPLE_BYTES)
    for place in range(begin, size, stride):
        file.seek(place)
        yield file.read(SAMPLE_BYTES)


def dtype_name(dtype: torch.dtype) -> DType:
    """The name of a precision that weights are loaded in."""
    name: DType = str(dtype).removeprefix("torch.")  # type: ignore[assignment]
    return name


def frames_sha256(frames: torch.Tensor) -> str:
    """A checksum of frames: shape, and every bit."""
    shape = "x".join(map(str, frames.shape))
    numbers = frames.detach().cpu().contiguous().numpy()
    return hashlib.sha256(f"{shape} {numbers.dtype}\0".encode() + numbers.tobytes()).hexdigest()


def tags(report: Report) -> dict[str, str]:
    """Tags of an MP4, from which its run can be repeated."""
    content = report.model_dump(mode="json", include=set(REPEATABLE))
    return {TAG: json.dumps(content, ensure_ascii=True, separators=(",", ":"))}
