"""The loop's hooks: validated signatures, errors that name the plugin, a complete documentation."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest
from diffusers import WanPipeline
from tiny_models import call_arguments

import sraccel
from sraccel.hookspecs import Discovery, Loop
from sraccel.plugin import Accelerator, hookimpl

PACKAGE = Path(sraccel.__file__).parent


def hooks_of(spec: type) -> list[str]:
    return [name for name in vars(spec) if not name.startswith("_")]


@pytest.mark.parametrize("spec", [Discovery, Loop])
def test_every_hook_says_what_it_is_for(spec: type) -> None:
    for hook in hooks_of(spec):
        assert inspect.getdoc(getattr(spec, hook)), hook


def raising(hook: str) -> type[Accelerator]:
    """An accelerator that raises in one hook."""
    arguments = ", ".join(inspect.signature(getattr(Loop, hook)).parameters)
    namespace: dict[str, Any] = {"hookimpl": hookimpl}
    exec(f"@hookimpl\ndef {hook}({arguments}):\n    raise KeyError('oops')", namespace)

    class Raises(Accelerator):
        """Raises."""

        name = "raises"

    setattr(Raises, hook, namespace[hook])
    return Raises


class SwitchAt2(Accelerator):
    """Gives `denoiser_switched` something to tell."""

    name = "switch-at-2"

    @hookimpl
    def contribute_denoisers(self) -> dict[str, Any]:
        from tiny_models import tiny_transformer

        return {"render": tiny_transformer(seed=3, layers=1)}

    @hookimpl
    def select_denoiser(self, step: Any) -> str | None:
        return "render" if step.index >= 2 else None


@pytest.mark.parametrize("hook", hooks_of(Loop))
def test_an_error_in_any_hook_names_the_plugin_and_the_hook_and_restores(
    hook: str, pipe: WanPipeline
) -> None:
    recipe = [raising(hook).Options()]
    if hook == "denoiser_switched":
        recipe.append(SwitchAt2.Options())
    pipe(**call_arguments(steps=1))  # diffusers keeps a registry on the modules from then on
    before = [dict(vars(module)) for module in pipe.transformer.modules()]
    with pytest.raises(sraccel.PluginError, match=f"'raises' raised KeyError in hook {hook}"):
        with sraccel.compose(pipe, recipe):
            pipe(**call_arguments(steps=4))
    assert [dict(vars(module)) for module in pipe.transformer.modules()] == before
    assert "step" not in vars(pipe.scheduler)


def test_a_wrong_signature_is_refused_with_the_argument(pipe: WanPipeline) -> None:
    class Wrong(Accelerator):
        """Takes an argument that the hook does not have."""

        name = "wrong"

        @hookimpl
        def step_finished(self, stp: Any) -> None:
            pass

    with pytest.raises(sraccel.PluginError, match=r"(?s)'wrong'.*step_finished.*stp"):
        sraccel.compose(pipe, [Wrong.Options()])


def test_a_misspelt_hook_is_refused(pipe: WanPipeline) -> None:
    class Misspelt(Accelerator):
        """Implements a hook that does not exist."""

        name = "misspelt"

        @hookimpl
        def reuse_residuals(self, call: Any) -> None:
            pass

    with pytest.raises(sraccel.PluginError, match=r"(?s)'misspelt'.*reuse_residuals"):
        sraccel.compose(pipe, [Misspelt.Options()])


def imported_modules(path: Path) -> set[str]:
    """Absolute names of what a module imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("folder", ["accelerators", "denoisers"])
def test_built_ins_import_only_what_a_third_party_may(folder: str) -> None:
    for path in (PACKAGE / folder).rglob("*.py"):
        own = ".".join(path.relative_to(PACKAGE.parent).parent.parts)
        for name in imported_modules(path):
            if name.startswith("sraccel"):
                assert name == "sraccel.plugin" or name.startswith(own), f"{path} imports {name}"


def test_what_sraccel_promises_to_export_is_there() -> None:
    for name in sraccel.__all__:
        assert getattr(sraccel, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = sraccel.nonsense
