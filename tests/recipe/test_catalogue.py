"""Plugins are found by entry point, built-ins like third parties; a broken one stops nothing."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from sraccel.recipe.catalogue import Catalogue, installed

DIST_INFO = "Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n"


def test_built_ins_are_found_by_entry_point() -> None:
    names = {plugin.name: plugin for plugin in installed().plugins}
    for name in ("srdiffusion", "teacache", "sageattention"):
        assert names[name].accelerators == (name,)
        assert names[name].distribution.startswith("sraccel ")


def make_distribution(folder: Path, name: str, module: str, source: str) -> None:
    """A distribution as an installer leaves it: a module, and metadata with an entry point."""
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{name}-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(DIST_INFO.format(name=name))
    (info / "entry_points.txt").write_text(f"[sraccel]\n{name} = {module}\n")


GOOD = """
from sraccel.plugin import Accelerator, hookimpl

class Mine(Accelerator):
    \"\"\"Mine.\"\"\"
    name = "mine"

@hookimpl
def sraccel_accelerators():
    return [Mine]
"""


def in_a_fresh_process(folder: Path, program: str) -> str:
    path = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", path + program], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_third_party_is_found_like_a_built_in(tmp_path: Path) -> None:
    make_distribution(tmp_path, "thirdparty", "thirdparty_module", GOOD)
    program = (
        "import sraccel; from sraccel.recipe.catalogue import installed\n"
        "print(installed().origin('mine'), sraccel.Recipe(accelerators=[{'use': 'mine'}]))"
    )
    assert in_a_fresh_process(tmp_path, program).strip() == "thirdparty 9.9 Recipe(mine)"


def test_a_plugin_that_fails_to_import_stops_nothing_until_asked_for(tmp_path: Path) -> None:
    make_distribution(tmp_path, "broken", "broken_module", "import a_module_that_is_not_there")
    program = """
import sraccel
from sraccel.recipe.catalogue import installed
(broken,) = [plugin for plugin in installed().plugins if plugin.name == "broken"]
print(type(broken.error).__name__)
sraccel.Recipe(accelerators=[{"use": "teacache"}])
try:
    sraccel.Recipe(accelerators=[{"use": "broken"}])
except sraccel.PluginError as error:
    print(error)
"""
    shown = in_a_fresh_process(tmp_path, program)
    assert shown.startswith("ModuleNotFoundError\n")
    assert "'broken' (broken 9.9) is installed but cannot be imported" in shown
    assert "a_module_that_is_not_there" in shown


def test_an_accelerator_name_taken_twice_is_listed_with_both_claimants(tmp_path: Path) -> None:
    make_distribution(tmp_path, "usurper", "usurper_module", GOOD.replace('"mine"', '"teacache"'))
    program = """
from sraccel.recipe.catalogue import installed
(plugin,) = [plugin for plugin in installed().plugins if plugin.name == "usurper"]
print(plugin.error)
print(installed().origin("teacache"))
"""
    shown = in_a_fresh_process(tmp_path, program)
    assert "'teacache' is brought by usurper 9.9 and by sraccel" in shown
    assert shown.splitlines()[1].startswith("sraccel ")


def test_a_hook_with_an_unknown_argument_is_listed_as_an_error(tmp_path: Path) -> None:
    source = GOOD.replace("def sraccel_accelerators()", "def sraccel_accelerators(nonsense)")
    make_distribution(tmp_path, "wrong", "wrong_module", source)
    program = """
from sraccel.recipe.catalogue import installed
print([str(p.error) for p in installed().plugins if p.name == "wrong"][0])
"""
    shown = in_a_fresh_process(tmp_path, program)
    assert "sraccel_accelerators" in shown
    assert "nonsense" in shown


JUDGES = """
from sraccel.plugin import Metric, Score, hookimpl

@hookimpl
def sraccel_metrics():
    return [{brought}]
"""
LIST_JUDGES = """
from sraccel.recipe.catalogue import installed
print(sorted(installed().metrics), sorted(installed().scores))
print([str(p.error) for p in installed().plugins if p.name == "witness"][0])
"""


def test_metrics_and_scores_come_by_one_hook_and_are_kept_apart(tmp_path: Path) -> None:
    brought = 'Metric("likeness", max), Score("beauty", max)'
    make_distribution(tmp_path, "witness", "witness_module", JUDGES.format(brought=brought))
    shown = in_a_fresh_process(tmp_path, LIST_JUDGES).splitlines()
    assert shown == ["['likeness', 'psnr_db', 'ssim'] ['beauty', 'figure_iou', 'semantic']", "None"]


def test_a_recipe_that_a_plugin_brings_is_named_like_those_that_come_with_sraccel(
    tmp_path: Path,
) -> None:
    (tmp_path / "gentle.yaml").write_text("accelerators:\n  - {use: teacache, threshold: 0.05}\n")
    source = f"""
from pathlib import Path
from sraccel.plugin import hookimpl

@hookimpl
def sraccel_recipes():
    return [Path({str(tmp_path / "gentle.yaml")!r})]
"""
    make_distribution(tmp_path, "kitchen", "kitchen_module", source)
    program = "import sraccel; print(sraccel.Recipe.load('gentle').accelerators[0].threshold)"
    assert in_a_fresh_process(tmp_path, program).strip() == "0.05"


@pytest.mark.parametrize(
    ("brought", "message"),
    [
        ('Metric("fine", max), Score("ssim", max)', "a metric or score 'ssim', which is there"),
        ('Metric("semantic", max)', "a metric or score 'semantic', which is there already"),
        ('Metric("new", max), Score("new", max)', "a metric or score 'new', which is there"),
        ('Score("fine", max), max', "witness 9.9 brings a builtin_function_or_method"),
    ],
)
def test_a_name_taken_twice_and_what_judges_nothing_are_refused_whole(
    tmp_path: Path, brought: str, message: str
) -> None:
    make_distribution(tmp_path, "witness", "witness_module", JUDGES.format(brought=brought))
    kept, error = in_a_fresh_process(tmp_path, LIST_JUDGES).splitlines()
    assert kept == "['psnr_db', 'ssim'] ['figure_iou', 'semantic']"
    assert message in error


@pytest.mark.parametrize(
    "module",
    [
        "sraccel",
        "sraccel.plugin",
        "sraccel.recipe.recipe",
        "sraccel.recipe.catalogue",
        "sraccel.cli",
        "sraccel.models.loading",
        "sraccel.testing",
    ],
)
def test_importing_imports_neither_torch_nor_numpy(module: str) -> None:
    program = (
        f"import sys, {module}\nfrom sraccel.recipe.catalogue import installed\n"
        "assert all(p.error is None for p in installed().plugins), installed().plugins\n"
        "print({'torch', 'diffusers', 'transformers', 'numpy'} & {*sys.modules})"
    )
    assert in_a_fresh_process(Path(), program).strip() == "set()"


def test_a_plugin_that_fails_in_a_later_hook_brings_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = "@hookimpl\ndef sraccel_recipes():\n    yield from (1 / 0 for _ in 'x')\n"
    judges = JUDGES.format(brought='Metric("likeness", max)').partition("\n\n")[2]
    source = GOOD.replace("import", "import Metric,") + judges + failing
    (tmp_path / "half_module.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    catalogue = Catalogue()
    catalogue.load(EntryPoint("half", "half_module", "sraccel"))
    assert isinstance(catalogue.plugins[0].error, ZeroDivisionError)
    assert not {**catalogue.accelerators, **catalogue.metrics}


def test_loading_is_per_catalogue() -> None:
    catalogue = Catalogue()
    (teacache,) = [e for e in entry_points(group="sraccel") if e.name == "teacache"]
    catalogue.load(teacache)
    catalogue.load(EntryPoint("missing", "not_a_module_at_all", "sraccel"))
    assert list(catalogue.accelerators) == ["teacache"]
    assert [plugin.error is None for plugin in catalogue.plugins] == [True, False]
