"""How a model and a recipe fit together, found out without loading weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sraccel.check.third_party import asked, made
from sraccel.errors import ConflictError, ModelError, PluginError
from sraccel.loop.finding import Finding

if TYPE_CHECKING:
    import torch

    from sraccel.loop.accelerator import Accelerator, AcceleratorOptions
    from sraccel.loop.stack import Stack
    from sraccel.models.loading import DType
    from sraccel.models.source import PipelineOutline
    from sraccel.recipe.recipe import Recipe

BRINGS = "contribute_denoisers"
REFUSALS = (ConflictError, ModelError, PluginError)


def check_model(recipe: Recipe, model: str, dtype: DType = "auto") -> list[Finding]:
    """Compose a recipe with an outline of a model, and ask each accelerator for its outlook.

    Args:
        recipe: a valid one.
        model: a folder in diffusers' format, a name on the hub (its configurations are fetched),
            or `demo`.
        dtype: of the weights, as `load_pipeline` takes it.
    """
    import torch

    from sraccel.check.pipeline_outline import outline_of
    from sraccel.models.loading import device_of, precision_of

    device = device_of("auto", "none")
    precision = precision_of(dtype, device)
    try:
        outline = outline_of(model)
    except ModelError as error:
        return [Finding("error", str(error), "model")]
    return _ModelCheck(recipe, model, outline).run(precision, torch.device(device))


class _ModelCheck:
    """Composes with what can be composed without weights, so that one refusal hides no other."""

    def __init__(self, recipe: Recipe, model: str, outline: PipelineOutline) -> None:
        self._recipe = recipe
        self._model = model
        self._outline = outline
        self._found: list[Finding] = []

    def run(self, dtype: torch.dtype, device: torch.device) -> list[Finding]:
        from sraccel.check.memory_check import check_memory
        from sraccel.check.shift_check import check_shift

        items = self._without_weights()
        bringing = [item for item in items if hasattr(item.accelerator, BRINGS)]
        stack = self._compose(bringing, "model" if not bringing else bringing[0].use)
        if stack is not None:
            self._found.extend(_models(stack))
        fitting = bringing if stack is not None else []
        for item in items:
            if item in bringing:
                self._expect(stack, item.use)
            else:
                self._expect(self._compose([*fitting, item], item.use), item.use)
        whole = self._whole(items) if stack is not None else None
        if stack is not None:
            self._found.extend(check_shift(stack, self._recipe))
            memory = check_memory(whole or stack, self._recipe, self._model, dtype, device)
            self._found.extend(memory)
        if whole is not None:
            self._found.append(_speedup(self._model))
        return self._found

    def _without_weights(self) -> list[AcceleratorOptions]:
        found = []
        for item in self._recipe.accelerators:
            try:
                with asked(item.use, "without_weights"):
                    outlined = item.without_weights()
            except REFUSALS as error:
                self._found.append(_refusal(error, item.use))
                continue
            if outlined is None:
                text = "not checked with the model: it cannot be composed without weights"
                self._found.append(Finding("note", text, item.use))
            else:
                found.append(outlined)
        return found

    def _compose(self, items: Sequence[AcceleratorOptions], about: str) -> Stack | None:
        try:
            return self._stack(items)
        except REFUSALS as error:
            self._found.append(_refusal(error, about))
            return None

    def _whole(self, items: Sequence[AcceleratorOptions]) -> Stack | None:
        """All together; None if an accelerator was refused before, since this would be, too."""
        if any(finding.level == "error" for finding in self._found):
            return None
        return self._compose(items, "")

    def _stack(self, items: Sequence[AcceleratorOptions]) -> Stack:
        from sraccel.composer import compose

        return compose(self._outline, list(map(made, items)))

    def _expect(self, stack: Stack | None, name: str) -> None:
        """What the accelerator of this name expects of the stack."""
        if stack is None:
            return
        for accelerator in stack.accelerators:
            if accelerator.name == name:
                self._found.extend(_outlook(accelerator, stack))


def _outlook(accelerator: Accelerator, stack: Stack) -> Iterator[Finding]:
    try:
        with asked(accelerator.name, "outlook"):
            for finding in accelerator.outlook(stack):
                yield replace(finding, about=accelerator.name)
    except REFUSALS as error:
        yield _refusal(error, accelerator.name)


def _refusal(error: Exception, about: str) -> Finding:
    """An error as a finding, whose `about` need not be repeated in the message."""
    message = str(error).removeprefix(f"{about}: ")
    return Finding("error", message, about, between=getattr(error, "accelerators", ()))


def _speedup(model: str) -> Finding:
    """Where the speedup can be had from."""
    text = f"`sraccel predict RECIPE --model {model}` measures calls here and predicts it"
    return Finding("note", text, "speedup")


def _models(stack: Stack) -> Iterator[Finding]:
    """Which denoisers there are, and that those brought fit."""
    for role, denoiser in stack.denoisers.items():
        facts: dict[str, Any] = denoiser.describe()
        size = f"{facts['parameters'] / 1e6:,.1f} million parameters"
        fits = ", fits the pipeline's" if role in stack.contributions else ""
        yield Finding("note", f"{role}: {facts['class']}, {size}{fits}", "model")
