from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import Sraccel
from distribution import make_distribution

from sraccel.cli.plugins import troubles

RUN = """
import sys
from sraccel.cli import main
sys.argv = ["sraccel", *sys.argv[1:]]
try:
    main()
finally:
    heavy = {"torch", "diffusers", "transformers", "numpy", "jsonschema", "ray"} & {*sys.modules}
    print("imported:", *sorted(heavy), file=sys.stderr)
"""


def in_a_fresh_process(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess:
    added = [str(path)] if path else []
    known = [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(added + known), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, env=environment
    )


@pytest.mark.parametrize(
    "command",
    [
        *("--help", "--version", "demo --help", "generate --help", "plugins", "plugins teacache"),
        *("plugins --json", "pairs --json", "recipes", "recipes demo", "schema"),
        *("check demo", "check none"),
    ],
)
def test_what_runs_no_model_imports_neither_torch_nor_diffusers(command: str):
    done = in_a_fresh_process(*command.split())
    assert done.returncode == (2 if "none" in command else 0)
    assert done.stdout
    assert done.stderr.splitlines()[-1] == "imported:"


def test_plugins_lists_every_accelerator_with_its_origin_and_hooks(sraccel: Sraccel):
    listed = json.loads(sraccel("plugins", "--json").stdout)
    accelerators = {item["name"]: item for item in listed["accelerators"]}
    assert {"srdiffusion", "teacache", "sageattention"} <= accelerators.keys()
    teacache = accelerators["teacache"]
    assert teacache["plugin"] == "teacache"
    assert teacache["distribution"].startswith("sraccel ")
    assert "skip_blocks" in teacache["hooks"]
    assert teacache["summary"]
    assert "attention" in accelerators["sageattention"]["claims"]
    for kind, name in [
        *(("metrics", "psnr_db"), ("metrics", "ssim"), ("scores", "semantic")),
        *(("recipes", "demo"), ("families", "wan")),
    ]:
        (found,) = [item for item in listed[kind] if item["name"] == name]
        assert found["distribution"].startswith("sraccel ")
        assert found["runs_here"]
    assert (listed["faults"], listed["heavy_imports"], listed["disabled"]) == ([], [], [])


def test_plugins_prints_the_same_as_a_table(sraccel: Sraccel):
    shown = sraccel("plugins").stdout
    for name in ("srdiffusion", "teacache", "sageattention", "psnr_db", "demo"):
        assert name in shown


def test_plugins_of_a_name_lists_its_options_with_defaults(sraccel: Sraccel):
    options = {
        item["name"]: item
        for item in json.loads(sraccel("plugins", "sageattention", "--json").stdout)["options"]
    }
    assert options["kernel"]["default"] == "auto"
    assert "emulated" in options["kernel"]["type"]
    assert options["smooth_k"] == options["smooth_k"] | {"type": "bool", "default": True}
    shown = sraccel("plugins", "srdiffusion").stdout
    assert "render" in shown
    assert "Required, unless" in shown
    assert "threshold" in shown


def test_plugins_of_an_unknown_name_says_what_is_installed(sraccel: Sraccel):
    result = sraccel("plugins", "teacash")
    assert result.exit_code == 2
    assert "teacash" in result.stderr
    assert "teacache" in result.stderr


THIRD_PARTY = '''
from sraccel.plugin import Accelerator, hookimpl

class Halver(Accelerator):
    """Halves [everything]."""
    name = "halver"

@hookimpl
def sraccel_accelerators():
    return [Halver]
'''


def test_a_third_party_s_plugin_is_listed_beside_one_that_cannot_be_imported(tmp_path: Path):
    make_distribution(tmp_path, "halver", THIRD_PARTY)
    make_distribution(tmp_path, "broken", "import a_module_that_is_missing")
    make_distribution(tmp_path, "second", THIRD_PARTY)
    make_distribution(tmp_path, "newer", THIRD_PARTY, requires=["sraccel>=9"])
    done = in_a_fresh_process("plugins", path=tmp_path)
    assert done.returncode == 0
    shown = " ".join(done.stdout.split())
    assert "Halves [everything]." in shown
    assert "halver 9.9" in shown
    assert "broken (broken 9.9): cannot be imported: ModuleNotFoundError" in shown
    assert "a_module_that_is_missing" in shown
    assert shown.count("cannot be imported") == 1
    assert "'halver' is brought by second 9.9 and by halver 9.9, whose is used: uninst" in shown
    assert "newer (newer 9.9): cannot be used: it needs sraccel>=9, and sraccel 0" in shown


HEAVY = """
import torch
from sraccel.plugin import Accelerator, Metric, Obstacle, hookimpl

class Heavy(Accelerator):
    name = "{name}"
    requires = ("nothing-of-the-kind>=2",)

    @classmethod
    def obstacles(cls):
        return [Obstacle("it is Sunday", "wait")]

class Odd(Accelerator):
    name = "odd-{name}"

    @classmethod
    def obstacles(cls):
        return ["it is Sunday"]

@hookimpl
def sraccel_accelerators():
    return [Heavy, Odd]

def lacking():
    yield Obstacle("its weights are missing", "download them")

@hookimpl
def sraccel_metrics():
    return [Metric("likeness_{name}", max, obstacles=lacking)]
"""


def test_what_keeps_a_plugin_from_running_and_what_importing_it_costs_is_said(tmp_path: Path):
    for name in ("heavy", "later"):
        source = HEAVY.format(name=name)
        make_distribution(tmp_path, name, source, requires=["numpy<1", "sraccel"])
    done = in_a_fresh_process("plugins", "--json", path=tmp_path)
    listed = json.loads(done.stdout)
    (heavy,) = [item for item in listed["accelerators"] if item["name"] == "heavy"]
    assert not heavy["runs_here"]
    first, *others = [one["reason"] for one in heavy["obstacles"]]
    assert first.startswith("it needs numpy<1, and numpy ")
    assert others == ["it needs nothing-of-the-kind>=2, which is not installed", "it is Sunday"]
    remedies = [one["remedy"] for one in heavy["obstacles"]]
    assert remedies == ["pip install 'numpy<1'", "pip install 'nothing-of-the-kind>=2'", "wait"]
    (metric,) = [item for item in listed["metrics"] if item["name"] == "likeness_heavy"]
    assert metric["obstacles"][-1] == {
        "reason": "its weights are missing",
        "remedy": "download them",
    }
    (odd,) = [item for item in listed["accelerators"] if item["name"] == "odd-heavy"]
    assert "it answers 'it is Sunday', which is no Obstacle" in odd["obstacles"][-1]["reason"]
    costs = {item["plugin"]: item for item in listed["heavy_imports"]}
    assert costs.keys() == {"heavy", "later"}  # torch was there already when `later` asked for it
    assert all("torch" in cost["imports"] and cost["seconds"] > 0 for cost in costs.values())
    said = [text for text, _ in troubles(listed)]
    assert "does not run here: heavy: it is Sunday; what would help: wait" in said
    assert any(text.startswith("slow to import: later (later 9.9) imports torch") for text in said)


def test_a_plugin_is_switched_off_for_one_command(sraccel: Sraccel):
    before = dict(os.environ)
    shown = sraccel("--disable-plugin", "teacache", "plugins").stdout
    assert "switched off: teacache (sraccel" in shown
    result = sraccel("--disable-plugin", "TeaCache", "check", "demo")
    assert result.exit_code == 2
    assert "'teacache'" in result.stdout
    assert os.environ == before
    assert sraccel("check", "demo").exit_code == 0
    unknown = sraccel("--disable-plugin", "teacash", "plugins")
    assert unknown.exit_code == 2
    assert "did you mean 'teacache'" in " ".join(unknown.stderr.replace("│", " ").split())
