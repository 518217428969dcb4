"""A cell of a study: one way of running the pipeline."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

BARE = "bare"


class Cell(BaseModel):
    """One way of running the pipeline.

    Cells of a study differ in their accelerators, in the order of these, in an option, or in an
    argument of the call.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    name: str = Field(description="Unique in the study: `srdiffusion + teacache`.")
    kind: Literal["bare", "stack", "plain_steps"] = Field(
        description="`bare`: nothing is accelerated; `stack`: accelerators of the recipe; "
        "`plain_steps`: nothing but fewer denoising steps."
    )
    accelerators: list[Any] = Field(
        default_factory=list,
        description="Options of each, in order; of a study that was read from its folder, as JSON.",
    )
    sampling: dict[str, Any] = Field(
        default_factory=dict, description="Arguments of the call that go over the study's."
    )
    settings: dict[str, Any] = Field(
        default_factory=dict, description="Of a sweep: value by `NAME.OPTION`."
    )

    @property
    def uses(self) -> tuple[str, ...]:
        """Names of the accelerators, in order."""
        return tuple(
            item["use"] if isinstance(item, dict) else item.use for item in self.accelerators
        )

    def describe(self) -> dict[str, Any]:
        """All that decides what it computes, as JSON."""
        return self.model_dump(mode="json", fallback=lambda value: f"<{type(value).__name__}>")
