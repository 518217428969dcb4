"""`sraccel generate` in two halves: `--until-switch` begins a run, `--resume` goes on with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.cli.generate_from import Known
from sraccel.cli.pipelines import Placing, load, loaded
from sraccel.errors import ConflictError, HandoverError, LoopError

if TYPE_CHECKING:
    from sraccel.handover.handover import Handover
    from sraccel.handover.sketching import Sketched
    from sraccel.models.step_callback import StepReport
    from sraccel.recipe.recipe import Recipe
    from sraccel.report.model import Report
    from sraccel.report.origin import Origin, Source
    from sraccel.report.repetition import Repetition


@dataclass(frozen=True)
class FirstHalf:
    """`--until-switch`: the run up to its switch, and the file that it is handed over in."""

    path: Path

    def check(self, partner: str | None) -> None:
        """Refuse a file that cannot be written, or a recipe of two pipelines (with a `partner`).

        Raises:
            ConflictError: there are two pipelines; OutputError: as `check_writable`.
        """
        from sraccel.handover.handover import check_writable

        if partner is not None:
            raise ConflictError(
                "`handoff: reencode` takes two pipelines, each of which can run by itself: "
                "--until-switch divides the run of one"
            )
        check_writable(self.path)

    def run(
        self, pipe: Any, recipe: Recipe, call: Mapping[str, Any], report_step: StepReport
    ) -> Sketched:
        """Call the pipeline; errors as `until_switch`."""
        from sraccel.handover.half_stack import sketch_stack
        from sraccel.handover.sketching import until_switch
        from sraccel.models.step_callback import with_progress

        return until_switch(sketch_stack(pipe, recipe), with_progress(pipe, call, report_step))

    def save(self, handover: Handover, origin: Origin, seed: int) -> Path:
        """Write the file, which says what made the run."""
        content = handover.content.model_copy(update={"origin": origin, "seed": seed})
        return replace(handover, content=content).save(self.path)

    def refuse_whole(self, report: Report) -> None:
        """There was no switch, and nowhere to write the video.

        Raises:
            LoopError: saying so.
        """
        raise LoopError(
            f"no switch came in {len(report.steps)} steps, so there is nothing to hand over: with "
            f"--out as well, the video would have been written"
        )


@dataclass(frozen=True)
class SecondHalf:
    """`--resume`: the run from its switch on."""

    handover: Handover

    @classmethod
    def read(cls, path: Path) -> SecondHalf:
        """Read the file.

        Raises:
            HandoverError: it cannot be read, or Python wrote it, of models without names.
        """
        from sraccel.handover.handover import read_handover

        handover = read_handover(path)
        if handover.content.origin is None or handover.content.seed is None:
            raise HandoverError(
                f"{path} does not name its models: go on with it in Python, by `sraccel.resume`"
            )
        return cls(handover)

    @property
    def begun(self) -> Repetition:
        """The run so far, as a report records it."""
        from sraccel.report.repetition import Repetition

        content = self.handover.content
        assert content.origin is not None
        return Repetition(
            schema_version=2,
            recipe=content.recipe,
            call={**self.handover.call, "seed": content.seed},
            versions=content.report.versions,
            environment=content.report.environment,
            origin=content.origin,
        )

    def known(self, recipe_name: str | None, overrides: Sequence[str]) -> Known:
        """What the first half gives; a recipe that is given must be the same.

        Raises:
            RecipeError: there is no such recipe, or it is not valid.
        """
        from sraccel.recipe.recipe import Recipe

        begun = self.begun
        source = begun.recipe_content() if recipe_name is None else recipe_name
        recipe = begun.pinned(Recipe.load(source, overrides))
        return Known(recipe, begun.pipeline.name, begun.arguments, begun.seed, begun.origin.fps)

    def check(self, seed: int, placing: Placing, sources: Sequence[Source]) -> None:
        """Refuse another seed, precision or model than the first half had.

        Raises:
            HandoverError: with both values.
        """
        from sraccel.handover.checks import check_same, check_sources

        check_same("call", {"seed": self.begun.seed}, {"seed": seed})
        check_same(
            "models", {"dtype": self.begun.origin.dtype}, {"dtype": placing.precision_name()}
        )
        check_sources(self.handover, sources)

    def placing(self, given: Placing) -> Placing:
        """The first half's precision, where none is given."""
        dtype = self.begun.origin.dtype if given.dtype == "auto" else given.dtype
        return Placing(dtype, given.device, given.offload)

    def load(self, model: str, placing: Placing, *, revision: str | None = None) -> Any:
        """The pipeline without the models that only the first half calls."""
        from sraccel.handover.half_stack import load_render_pipeline

        return loaded(load_render_pipeline, model, placing, revision)

    def prepare(
        self, pipes: list[Any], recipe: Recipe, call: dict[str, Any], report_step: StepReport
    ) -> tuple[Callable[[], Any], _Resumption]:
        """What makes the pipeline's output, and what has the report of that."""
        from sraccel.models.step_callback import with_progress

        (pipe,) = pipes
        resumption = _Resumption(
            self.handover, pipe, recipe, with_progress(pipe, call, report_step)
        )
        return resumption.run, resumption


class _Resumption:
    """A run that is gone on with, and the report of both halves as far as it came."""

    def __init__(
        self, handover: Handover, pipe: Any, recipe: Recipe, call: Mapping[str, Any]
    ) -> None:
        from sraccel.composer import compose

        self._handover, self._call = handover, call
        self._stack = compose(pipe, recipe)

    def run(self) -> Any:
        from sraccel.handover.resuming import resume

        return resume(self._stack, self._handover, self._call).output

    @property
    def report(self) -> Report:
        from sraccel.handover.whole_report import whole_report

        return whole_report(self._handover.content.report, self._stack.report)


def half_of(until_switch: Path | None, resume: Path | None) -> FirstHalf | SecondHalf | None:
    """The half of a run that is asked for; errors as `SecondHalf.read`."""
    if resume is not None:
        return SecondHalf.read(resume)
    return None if until_switch is None else FirstHalf(until_switch)


def loader(half: FirstHalf | SecondHalf | None) -> Callable[..., Any]:
    """What loads the pipeline."""
    return half.load if isinstance(half, SecondHalf) else load
