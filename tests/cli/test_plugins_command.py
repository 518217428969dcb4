from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import Sraccel
from distribution import make_distribution

RUN = """
import sys
from sraccel.cli import main
sys.argv = ["sraccel", *sys.argv[1:]]
try:
    main()
finally:
    heavy = {"torch", "diffusers", "transformers", "numpy", "jsonschema"} & sys.modules.keys()
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
    assert {"skip_blocks", "residual_computed"} <= set(teacache["hooks"])
    assert teacache["summary"]
    assert "attention" in accelerators["sageattention"]["claims"]
    assert {"psnr_db", "ssim"} <= set(listed["metrics"])
    assert "demo" in listed["recipes"]
    assert "wan" in listed["families"]


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
    done = in_a_fresh_process("plugins", path=tmp_path)
    assert done.returncode == 0
    assert "Halves [everything]." in done.stdout
    assert "halver 9.9" in done.stdout
    assert "cannot be imported: broken (broken 9.9): ModuleNotFoundError" in done.stdout
    assert "a_module_that_is_missing" in done.stdout
