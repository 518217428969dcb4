"""Token merging before self-attention, undone behind it (arXiv 2303.17604)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from math import prod
from operator import floordiv, lt
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    Call,
    Claim,
    ConflictError,
    Denoiser,
    Interception,
    Run,
    Stack,
    hookimpl,
)
from sraccel_tokens.matching import Destinations, Grid, destinations, matching

if TYPE_CHECKING:
    import torch


class TokenMerging(Accelerator):
    """Self-attention sees tokens that are much alike as one."""

    name = "token-merging"
    claims = frozenset({Claim("tokens", before=("blocks",))})
    families = frozenset({"wan"})

    class Options(AcceleratorOptions):
        """Options of token merging."""

        ratio: float = Field(
            0.5, ge=0, lt=1, description="Share of the tokens that is merged; 0: none."
        )
        frames: int = Field(1, ge=1, description="Of a window, in tokens; one token of it stays.")
        rows: int = Field(2, ge=1, description="Of a window, in tokens.")
        columns: int = Field(2, ge=1, description="Of a window, in tokens.")
        start: float = Field(0.0, ge=0, le=1, description="Merge from this share of the steps on.")
        seed: int = Field(0, ge=0, description="Which token of a window stays, anew each step.")

        @model_validator(mode="after")
        def _windows_leave_enough(self) -> Self:
            most = 1 - 1 / prod(self.window())
            if self.ratio > most:
                raise ValueError(
                    f"ratio {self.ratio:g} is more than windows of {spoken(self.window())} can "
                    f"merge, since one token of each stays: at most {most:g}; take larger windows "
                    f"(frames, rows, columns) or a smaller ratio"
                )
            return self

        def window(self) -> Grid:
            """Its frames, rows and columns."""
            return self.frames, self.rows, self.columns

    options: Options

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        for other in stack.accelerators:
            if other.makes_claim("compilation"):
                raise ConflictError(
                    f"{self.name} and {other.name!r}: which tokens stay changes from step to "
                    f"step, and compiled blocks would not see it; leave one of them out",
                    accelerators=[self.name, other.name],
                )

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        layer = partial(self._attend, denoiser)
        with ExitStack() as undo:
            if self.options.ratio > 0:
                for block in denoiser.adapter.blocks(denoiser.module):
                    undo.enter_context(Interception(block.attn1, "forward", layer))
            yield

    @hookimpl
    def run_started(self, run: Run) -> None:
        self._merged, self._whole = 0, 0
        self._tokens: dict[str, tuple[int, int]] = {}
        self._drawn: tuple[Any, Destinations] | None = None

    def _attend(
        self,
        denoiser: Denoiser,
        inner: Callable[..., Any],
        hidden: torch.Tensor,
        text: Any = None,
        mask: Any = None,
        rotary: tuple[torch.Tensor, ...] | None = None,
        **more: Any,
    ) -> Any:
        """In place of `inner`, the forward of a block's self-attention."""
        call, tokens = denoiser.current_call, hidden.shape[1]
        among = None if call is None else self._destinations(call, tokens)
        if among is None or rotary is None or mask is not None:
            self._whole += call is not None
            return inner(hidden, text, mask, rotary, **more)
        number = min(round(self.options.ratio * tokens), len(among.others))
        merge = matching(hidden, among, number)
        self._merged += 1
        self._tokens[denoiser.role] = (tokens, merge.kept.shape[1])
        positions = tuple(map(merge.positions, rotary))
        return merge.unmerged(inner(merge.merged(hidden), text, mask, positions, **more))

    def _destinations(self, call: Call, tokens: int) -> Destinations | None:
        """The same ones in all blocks and branches of a step; None: all tokens are to stay."""
        step, grid = call.step, grid_of(call)
        early = step.solver_step < self.options.start * step.run.num_solver_steps
        smaller = any(map(lt, grid, self.options.window()))
        if early or smaller or prod(grid) != tokens:
            return None
        if self._drawn is None or self._drawn[0] != (step.solver_step, grid):
            seed = self.options.seed + step.solver_step
            drawn = destinations(grid, self.options.window(), seed)
            self._drawn = (step.solver_step, grid), drawn
        return self._drawn[1]

    @hookimpl
    def run_finished(self, run: Run) -> None:
        tokens = {role: {"of": of, "kept": kept} for role, (of, kept) in self._tokens.items()}
        run.note(self, attentions_merged=self._merged, attentions_whole=self._whole, tokens=tokens)
        if self._whole and not self._merged:
            run.warn(
                f"{self.name} merged nothing: {self._whole} attentions saw all tokens, before "
                f"`start` or since the video is smaller than a window of "
                f"{spoken(self.options.window())}"
            )
        self._drawn = None


def grid_of(call: Call) -> Grid:
    """The tokens of the video that a call denoises."""
    patch = call.denoiser.module.config.patch_size
    frames, rows, columns = map(floordiv, call.model_input.shape[2:], patch)
    return frames, rows, columns


def spoken(window: Grid) -> str:
    """As `1 x 2 x 2 tokens`."""
    return f"{' x '.join(map(str, window))} tokens"
