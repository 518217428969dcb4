"""Plugins are found by entry point, built-ins like third parties; a broken one stops nothing."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
from distribution import make_distribution

from sraccel.errors import PluginError, RecipeError
from sraccel.recipe.catalogue import Catalogue, installed
from sraccel.recipe.discovery.requirements import unmet
from sraccel.recipe.recipe import Recipe


def test_built_ins_are_found_by_entry_point() -> None:
    names = {plugin.name: plugin for plugin in installed().plugins}
    for name in ("srdiffusion", "teacache", "sageattention"):
        assert names[name].accelerators == (name,)
        assert names[name].distribution.startswith("sraccel ")


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
    make_distribution(tmp_path, "thirdparty", GOOD)
    program = (
        "import sraccel; from sraccel.recipe.catalogue import installed\n"
        "print(installed().origin('mine'), sraccel.Recipe(accelerators=[{'use': 'mine'}]))"
    )
    assert in_a_fresh_process(tmp_path, program).strip() == "thirdparty 9.9 Recipe(mine)"


def test_a_plugin_that_fails_to_import_stops_nothing_until_asked_for(tmp_path: Path) -> None:
    make_distribution(tmp_path, "broken", "import a_module_that_is_not_there")
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
    make_distribution(tmp_path, "usurper", GOOD.replace('"mine"', '"teacache"'))
    program = """
from sraccel.recipe.catalogue import installed
(plugin,) = [plugin for plugin in installed().plugins if plugin.name == "usurper"]
print(plugin.error, plugin.faults[0].message)
print(installed().origin("teacache"))
"""
    shown = in_a_fresh_process(tmp_path, program)
    assert "None an accelerator 'teacache' is brought by usurper 9.9 and by sraccel" in shown
    assert shown.splitlines()[1].startswith("sraccel ")


def test_a_hook_with_an_unknown_argument_is_listed_as_an_error(tmp_path: Path) -> None:
    source = GOOD.replace("def sraccel_accelerators()", "def sraccel_accelerators(nonsense)")
    make_distribution(tmp_path, "wrong", source)
    program = """
from sraccel.recipe.catalogue import installed
print([p.faults[0].message for p in installed().plugins if p.name == "wrong"][0])
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
known, ours = installed(), ("sraccel ", "witness ")
both = {"metric": known.metrics, "score": known.scores}
print(*[
    sorted(name for name in judges if known.origin(name, kind).startswith(ours))
    for kind, judges in both.items()
])
print([fault.message for p in installed().plugins if p.name == "witness" for fault in p.faults])
"""


def test_metrics_and_scores_come_by_one_hook_and_are_kept_apart(tmp_path: Path) -> None:
    brought = 'Metric("likeness", max), Score("beauty", max)'
    make_distribution(tmp_path, "witness", JUDGES.format(brought=brought))
    shown = in_a_fresh_process(tmp_path, LIST_JUDGES).splitlines()
    assert shown == ["['likeness', 'psnr_db', 'ssim'] ['beauty', 'figure_iou', 'semantic']", "[]"]


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
    make_distribution(tmp_path, "kitchen", source)
    program = "import sraccel; print(sraccel.Recipe.load('gentle').accelerators[0].threshold)"
    assert in_a_fresh_process(tmp_path, program).strip() == "0.05"


@pytest.mark.parametrize(
    ("brought", "message", "kept"),
    [
        ('Metric("ssim", min), Score("fine", max)', "metric or score 'ssim' is brought by", "fine"),
        ('Score("fine", max), Metric("semantic", max)', "score 'semantic' is brought by", "fine"),
        ('Metric("new", max), Score("new", max)', "give one of them another name", "new"),
        ('Score("fine", max), max', "a builtin_function_or_method is in sraccel_metrics", "fine"),
    ],
)
def test_a_name_taken_twice_and_what_judges_nothing_are_refused_and_the_rest_is_kept(
    tmp_path: Path, brought: str, message: str, kept: str
) -> None:
    make_distribution(tmp_path, "witness", JUDGES.format(brought=brought))
    shown, faults = in_a_fresh_process(tmp_path, LIST_JUDGES).splitlines()
    assert kept in shown
    assert message in faults
    if "is brought by" in message:
        assert "witness 9.9 and by sraccel" in faults


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


MANY = """
from sraccel.plugin import Accelerator, DenoiserAdapter, Metric, hookimpl

class Mine(Accelerator):
    name = "mine"

class WrongClaim(Accelerator):
    name = "wrong-claim"
    claims = {"atention"}

class Nameless(DenoiserAdapter):
    model_class = "Model"
    modulated_inputs = ("x",)
    def modulated_input(self, call, name): ...

@hookimpl
def sraccel_accelerators():
    yield Mine
    yield Mine()
    yield WrongClaim
    yield "teacache"
    1 / 0

@hookimpl
def sraccel_metrics(nonsense):
    return [Metric("lost", max)]

def sraccel_recipes():
    return []

@hookimpl
def sraccel_denoiser_adapter():
    return []

@hookimpl
def sraccel_denoiser_adapters():
    return [Nameless()]
"""


def test_of_a_plugin_with_many_faults_each_is_named_and_what_is_good_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "many_faults.py").write_text(MANY)
    monkeypatch.syspath_prepend(tmp_path)
    catalogue = Catalogue()
    catalogue.load(EntryPoint("many", "many_faults", "sraccel"))
    (plugin,) = catalogue.plugins
    assert plugin.error is None
    assert (plugin.accelerators, [*catalogue.accelerators]) == (("mine",), ["mine"])
    assert not catalogue.metrics
    messages = " | ".join(fault.message for fault in plugin.faults)
    for part in (
        "a Mine is in sraccel_accelerators, which is for subclasses of Accelerator (the classes",
        "accelerator 'wrong-claim' claims 'atention', which is none of the known claims; did you",
        "a str is in sraccel_accelerators",
        "sraccel_accelerators raised ZeroDivisionError",
        "nonsense",
        "sraccel_recipes is not marked @hookimpl",
        "no hook of discovery is called 'sraccel_denoiser_adapter'; did you mean 'sraccel_denois",
        "the adapter Nameless needs a text as its 'family'",
    ):
        assert part in messages
    assert len(plugin.faults) == 8
    with pytest.raises(PluginError, match=r"'wrong-claim' .* cannot be used: .*atention"):
        catalogue.accelerator("wrong-claim")


def test_a_plugin_that_brings_nothing_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "brings_nothing.py").write_text("def accelerators(): return []")
    monkeypatch.syspath_prepend(tmp_path)
    catalogue = Catalogue()
    catalogue.load(EntryPoint("nothing", "brings_nothing", "sraccel"))
    (fault,) = catalogue.plugins[0].faults
    assert "it has no function marked @hookimpl" in fault.message


def test_a_plugin_for_another_sraccel_is_not_imported_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_distribution(tmp_path, "newer", "raise ValueError('imported')", requires=["sraccel>=9"])
    monkeypatch.syspath_prepend(tmp_path)
    catalogue = Catalogue()
    (entry_point,) = [e for e in entry_points(group="sraccel") if e.name == "newer"]
    catalogue.load(entry_point)
    (plugin,) = catalogue.plugins
    assert plugin.refusal.startswith("cannot be used: it needs sraccel>=9, and sraccel 0")
    assert plugin.refusal.endswith("pip install 'sraccel>=9'")


@pytest.mark.parametrize("given", ["teacache", "Some_Thing, teacache ", "a,,TeaCache"])
def test_a_plugin_that_is_switched_off_is_not_imported_and_an_error_says_so(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = installed()
    monkeypatch.setenv("SRACCEL_DISABLE_PLUGINS", given)
    assert "teacache" not in installed().accelerators
    assert installed().disabled == ["teacache"]
    with pytest.raises(
        PluginError, match=r"'teacache' \(sraccel .*\) is installed but switched off"
    ):
        Recipe(accelerators=[{"use": "teacache"}])
    with pytest.raises(RecipeError, match="plugins that are switched off: teacache"):
        Recipe(accelerators=[{"use": "teacash"}])
    monkeypatch.delenv("SRACCEL_DISABLE_PLUGINS")
    assert installed() is before


def test_a_whole_distribution_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRACCEL_DISABLE_PLUGINS", "SRAccel")
    assert {"teacache", "srdiffusion", "recipes"} <= {*installed().disabled}
    assert not {"teacache", "srdiffusion"} & {*installed().accelerators}


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("pluggy", None),
        ("pluggy>=1; platform_system == 'Nowhere'", None),
        ("nothing-of-the-kind; extra == 'sage'", None),
        ("nothing-of-the-kind>=2", "it needs nothing-of-the-kind>=2, which is not installed: pip "),
        ("pluggy>=99", "it needs pluggy>=99, and pluggy 1"),
        ("not a requirement!", "its requirement 'not a requirement!' cannot be read"),
    ],
)
def test_requirements_are_compared_with_what_is_installed(
    requirement: str, expected: str | None
) -> None:
    found = [str(one) for one in unmet([requirement])]
    assert found == [] if expected is None else found[0].startswith(expected)


def test_loading_is_per_catalogue() -> None:
    catalogue = Catalogue()
    (teacache,) = [e for e in entry_points(group="sraccel") if e.name == "teacache"]
    catalogue.load(teacache)
    catalogue.load(EntryPoint("missing", "not_a_module_at_all", "sraccel"))
    assert list(catalogue.accelerators) == ["teacache"]
    assert [plugin.error is None for plugin in catalogue.plugins] == [True, False]
