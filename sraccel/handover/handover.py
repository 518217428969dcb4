"""The hand-over: all that a run depends on at the switch, as a value that fits a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sraccel.errors import HandoverError, OutputError
from sraccel.files import replacing
from sraccel.handover.container import packed, unpacked
from sraccel.loop.continuation import Continuation
from sraccel.report.model import Report
from sraccel.report.origin import Origin
from sraccel.text import first_complaint

if TYPE_CHECKING:
    import torch

VERSION = 1
OUTPUT = "step_output"
"""Name of the tensors that the last step of the scheduler returned; the first are the latents."""
GENERATOR = "generator"
"""Name of the generators' states."""


class Decision(BaseModel):
    """Who switched, from which model to which."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: str | None = Field(description="The accelerator that chose the next model.")
    before: str = Field(description="Role of the model that took the steps so far.")
    after: str = Field(description="Role of the model that takes over.")
    decided: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="What accelerators had decided, by name."
    )


class ModelFacts(BaseModel):
    """A model, so that another one is noticed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = Field(description="Its class.")
    checksum: str | None = Field(description="Of its weights; null where they were not there.")


class Content(BaseModel):
    """What a hand-over says besides tensors."""

    # Schedulers' configurations hold infinity.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    version: Literal[1] = 1
    next_step: int = Field(ge=1, description="Index of the first step that is left.")
    begin: int = Field(description="Position in the timesteps where step 0 lies.")
    num_inference_steps: int = Field(description="Of the whole run.")
    scheduler: dict[str, Any] = Field(description="Class and configuration.")
    state: dict[str, Any] = Field(description="The scheduler's attributes, history included.")
    generators: list[str] = Field(description="Devices of the call's generators.")
    one_generator: bool = Field(description="Whether the call took one, not a list.")
    outputs: int = Field(description="How many tensors the scheduler's step returned.")
    call: dict[str, Any] = Field(description="The call's arguments, defaults included.")
    given: list[str] = Field(description="Names of the arguments that were given.")
    references: dict[str, str] = Field(description="Checksums of arguments that are tensors.")
    encoded: list[Any] = Field(description="What the pipeline made of its prompt, call by call.")
    decision: Decision
    models: dict[str, ModelFacts] = Field(description="By role.")
    recipe: dict[str, Any]
    seed: int | None = Field(None, description="Of the noise, where a command chose it.")
    origin: Origin | None = Field(None, description="The models' names and fingerprints.")
    report: Report = Field(description="Of the steps so far.")


@dataclass(frozen=True)
class Handover:
    """A run at its switch.

    Attributes:
        content: everything but tensors.
        tensors: latents, the scheduler's history, the encoded prompt, states of the generators; by
            name.
    """

    content: Content
    tensors: dict[str, torch.Tensor]

    @property
    def latents(self) -> torch.Tensor:
        """What the next step starts from; shape and dtype as the scheduler returned them."""
        return self.tensors[f"{OUTPUT}.0"]

    @property
    def continuation(self) -> Continuation:
        """What the run that goes on must know."""
        content = self.content
        decision = content.decision
        return Continuation(content.begin, content.next_step, decision.before, decision.decided)

    @property
    def call(self) -> dict[str, Any]:
        """The arguments that were given, but for those that are no plain values."""
        content = self.content
        return {name: content.call[name] for name in content.given if name in content.call}

    @property
    def nbytes(self) -> int:
        """Of all tensors."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    def to_bytes(self) -> bytes:
        """As a file holds it: safetensors, with the content as JSON among its metadata."""
        return packed(self.content.model_dump(mode="json"), self.tensors)

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "the hand-over") -> Handover:
        """Read what `to_bytes` wrote.

        Raises:
            HandoverError: it is torn, of another version, or something else.
        """
        content, tensors = unpacked(data, name)
        if (version := content.get("version")) != VERSION:
            raise HandoverError(
                f"{name} has version {version} of the format, and this sraccel reads {VERSION}: "
                f"use one version of sraccel for both halves of the run",
                differences={"version": (version, VERSION)},
            )
        try:
            return cls(Content.model_validate(content), tensors)
        except ValidationError as error:
            raise HandoverError(
                f"{name} cannot be read: {first_complaint(error.errors())}"
            ) from error

    def save(self, path: str | Path) -> Path:
        """Write it to a file, whole or not at all.

        Raises:
            OutputError: the file cannot be written.
        """
        with replacing(path) as temporary:
            temporary.write_bytes(self.to_bytes())
        return Path(path)

    def __repr__(self) -> str:
        content = self.content
        return f"Handover(step {content.next_step} of {content.num_inference_steps})"


def read_handover(path: str | Path) -> Handover:
    """Read a file that `Handover.save` wrote.

    Raises:
        HandoverError: there is none, or it cannot be read; as `Handover.from_bytes`.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise HandoverError(f"cannot read {path}: {error.strerror or error}") from error
    return Handover.from_bytes(data, str(path))


def check_writable(path: str | Path) -> None:
    """Refuse a file that cannot be written, before anything is computed for it.

    Raises:
        OutputError: its folder is missing or takes no files.
    """
    folder = Path(path).parent
    if not folder.is_dir():
        raise OutputError(f"no folder {folder} for {Path(path).name}", path=path)
    with replacing(folder / f".{Path(path).name}.probe") as temporary:
        temporary.write_bytes(b"")
    (folder / f".{Path(path).name}.probe").unlink()
