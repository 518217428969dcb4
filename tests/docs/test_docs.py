"""The documentation runs, agrees with the code, and links to what is there."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import docs_tables
import pytest
import torch
import yaml
from typer.testing import CliRunner

import sraccel.plugin
from sraccel.cli import app
from sraccel.demo.pair import DEMO_WEIGHTS
from sraccel.loop.hookspecs import Discovery, Loop
from sraccel.plugin import Call, Denoiser, DenoiserAdapter, Run, Stack, Step, StepPlan
from sraccel.recipe.recipe import Recipe
from sraccel.report.model import Report
from sraccel.study.plan.study import Study

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
EXAMPLE = ROOT / "plugins/sraccel-example/src"
FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOO_LONG = {"demo-pair"}
"""Pages whose snippets take a full run of 50 steps: they are compiled only."""
TEST_COMMAND = re.compile(r"^python -m venv \.venv && .*/pytest -n auto$", re.MULTILINE)

has_weights = pytest.mark.skipif(
    not (DEMO_WEIGHTS / "teacache.json").is_file(),
    reason="the demo pair's weights, or the coefficients fitted for them, are not here",
)


@dataclass
class Snippet:
    """A fenced block; a title names the file that it is."""

    language: str
    title: str
    text: str


def snippets(page: Path) -> list[Snippet]:
    return [Snippet(*groups) for groups in FENCE.findall(page.read_text(encoding="utf-8"))]


@dataclass
class Reader:
    """Does what a page says, in order, in an empty folder."""

    folder: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})
    printed: str = ""

    def follow(self, snippet: Snippet, *, runs: bool) -> None:
        if snippet.title.startswith("sraccel_example/"):
            return  # checked against the file itself
        self.check(snippet)
        if snippet.title == "output":
            if not matches(snippet.text.strip(), self.printed.strip()):
                assert self.printed.strip() == snippet.text.strip()
        elif snippet.title:
            file = self.folder / snippet.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(snippet.text, encoding="utf-8")
        elif snippet.language == "python" and runs:
            with contextlib.redirect_stdout(io.StringIO()) as stdout:
                exec(compile(snippet.text, "<page>", "exec"), self.names)
            self.printed = stdout.getvalue()
        elif snippet.language == "shell" and runs:
            self.printed = "".join(self.command(line) for line in snippet.text.splitlines())

    @staticmethod
    def check(snippet: Snippet) -> None:
        """Whether it is well formed, as far as its language says."""
        if snippet.language == "python":
            compile(snippet.text, "<page>", "exec")
        if snippet.language == "json":
            json.loads(snippet.text)
        if snippet.language == "yaml" and "accelerators:" in snippet.text:
            content = yaml.safe_load(snippet.text)
            (Study if "study" in content else Recipe).load(content)

    @staticmethod
    def command(line: str) -> str:
        """Run a command in this process; of `demo`, which has tests of its own, ask only for help.

        Unknown options are an error all the same; a comment `# exit code 2` says what to expect.
        """
        program, name, *arguments = shlex.split(line, comments=True)
        assert program == "sraccel"
        asked = ["--help"] if name == "demo" else []
        result = CliRunner().invoke(app, [name, *arguments, *asked])
        _, _, expected = line.partition("# exit code ")
        assert result.exit_code == int(expected or 0), result.output
        if "--recipe" in arguments:
            Recipe.load(arguments[arguments.index("--recipe") + 1])
        return result.stdout


def matches(shown: str, printed: str) -> bool:
    """Whether a page shows what was printed; where it has `...`, anything."""
    pattern = ".*".join(map(re.escape, shown.split("...")))
    return re.fullmatch(pattern, printed, re.DOTALL) is not None


def of_no_page() -> Iterator[str]:
    """Names of installed distributions that the pages' reader does not have."""
    for found in entry_points(group="sraccel"):
        if found.dist is not None and found.dist.name not in ("sraccel", "sraccel-example"):
            yield found.dist.name


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SRACCEL_DISABLE_PLUGINS", ",".join(of_no_page()))
    (tmp_path / "sraccel/demo").mkdir(parents=True)  # as if it were a checkout
    (tmp_path / "sraccel/demo/weights").symlink_to(DEMO_WEIGHTS)
    with torch.enable_grad():  # a reader's process has gradients on
        yield Reader(tmp_path)


def needs_weights(page: Path) -> bool:
    return any(
        re.search(r"load_demo_pipeline\(|demo/weights", snippet.text)
        for snippet in snippets(page)
        if snippet.language in ("python", "shell")
    )


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.stem, marks=has_weights if needs_weights(page) else ())
        for page in PAGES
    ],
)
def test_a_pages_snippets_are_well_formed_and_run(page: Path, reader: Reader):
    for snippet in snippets(page):
        reader.follow(snippet, runs=page.stem not in TOO_LONG)


@pytest.mark.parametrize("file", sorted(EXAMPLE.rglob("*.py")), ids=lambda file: file.stem)
def test_the_example_is_quoted_word_for_word(file: Path):
    parts = [
        snippet.text
        for snippet in snippets(DOCS / "how-to/write-an-accelerator.md")
        if snippet.title == file.relative_to(EXAMPLE).as_posix()
    ]
    assert lines("".join(parts)) == lines(file.read_text(encoding="utf-8"))


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize(
    ("hooks", "name"), [(Loop, "loop hooks"), (Discovery, "discovery hooks")], ids=["Loop", "Disc"]
)
def test_every_hook_is_documented_with_its_arguments(hooks: type, name: str):
    specified = [signature(hooks, hook) for hook in vars(hooks) if not hook.startswith("_")]
    assert [row[0] for row in docs_tables.rows("how-to/write-an-accelerator.md", name)] == specified


def signature(owner: type, method: str) -> str:
    _, *parameters = inspect.signature(getattr(owner, method)).parameters.values()
    stars = {inspect.Parameter.VAR_KEYWORD: "**"}
    return f"`{method}({', '.join(stars.get(one.kind, '') + one.name for one in parameters)})`"


def test_every_hook_of_a_run_has_a_complete_example():
    """That the snippets run, another test shows; here: each section implements its hook."""
    page = (DOCS / "reference/hook-examples.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##)", page, re.MULTILINE | re.DOTALL))
    assert list(sections) == [hook for hook in vars(Loop) if not hook.startswith("_")]
    for hook, text in sections.items():
        (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        (tree,) = [node for node in ast.parse(example).body if isinstance(node, ast.ClassDef)]
        (method,) = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == hook]
        assert "hookimpl" in {ast.unparse(one) for one in method.decorator_list}
        specified = list(inspect.signature(getattr(Loop, hook)).parameters)
        assert {one.arg for one in method.args.args} <= set(specified)


def test_the_diagram_names_every_hook_of_a_run():
    text = (DOCS / "how-to/write-an-accelerator.md").read_text(encoding="utf-8")
    diagram = text.partition("### In which order")[2].partition("\n###")[0]
    picture = (DOCS / "assets/life-cycle.svg").read_text(encoding="utf-8")
    assert "assets/life-cycle.svg" in diagram
    for hook in (hook for hook in vars(Loop) if not hook.startswith("_")):
        assert hook in diagram
        assert f">{hook}<" in picture


def test_the_page_of_the_python_interface_says_of_every_public_name_what_it_is():
    listed = dict(docs_tables.rows("reference/python.md", "python"))
    names = {path.strip("`").partition("(")[0].rpartition(".")[2] for path in listed}
    assert {*sraccel.__all__, *sraccel.plugin.__all__} <= names
    assert all(listed.values())


@pytest.mark.parametrize(
    "name", [row[0] for row in docs_tables.rows("reference/hooks.md", "passed")]
)
def test_what_hooks_are_passed_has_what_is_documented(name: str):
    kinds = {
        "stack": Stack,
        "denoiser": Denoiser,
        "plan": StepPlan,
        "run": Run,
        "step": Step,
        "call": Call,
    }
    what, _, member = name.strip("`").partition(".")
    owner, attribute = kinds[what], member.partition("(")[0]
    if attribute != member:
        assert signature(owner, attribute) == f"`{member}`"
    else:
        in_docstring = re.search(rf"^ +{attribute}: ", owner.__doc__ or "", re.MULTILINE)
        assert in_docstring or hasattr(owner, attribute)


def test_everything_that_an_adapter_says_is_documented():
    annotated = [name for name in DenoiserAdapter.__annotations__ if not name.startswith("_")]
    methods = [name for name, value in vars(DenoiserAdapter).items() if inspect.isfunction(value)]
    documented = docs_tables.rows("how-to/add-a-family.md", "adapter")
    expected = [f"`{name}`" for name in annotated]
    expected += [signature(DenoiserAdapter, name) for name in methods]
    assert [row[0] for row in documented] == expected
    must = {row[0] for row in documented if row[1] == "yes"}
    abstract = {signature(DenoiserAdapter, name) for name in DenoiserAdapter.__abstractmethods__}
    unset = {f"`{name}`" for name in annotated if name not in vars(DenoiserAdapter)}
    assert must == abstract | unset


@pytest.mark.parametrize(
    ("page", "name", "text"),
    list(docs_tables.written()),
    ids=lambda part: part if len(part) < 30 else "",
)
def test_tables_that_are_written_from_the_code_are_up_to_date(page: str, name: str, text: str):
    assert docs_tables.table(page, name) == text, "run python tests/support/docs_tables.py"


def test_every_key_of_a_report_is_documented_with_type_and_meaning():
    documented = docs_tables.rows("reference/report.md", "report")
    assert [(row[0].strip("`"), row[1]) for row in documented] == list(docs_tables.keys(Report))
    assert all(row[3] for row in documented)


def message(node: ast.expr) -> str | None:
    """A text in the code, with `...` for what is filled in; None: it is none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(message(part) or "..." for part in node.values)
    return None


def test_the_messages_that_a_page_explains_are_those_of_the_code():
    trees = [ast.parse(file.read_text("utf-8")) for file in (ROOT / "sraccel").rglob("*.py")]
    nodes = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.expr))
    known = {text.replace("`", "") for text in map(message, nodes) if text and " " in text}
    for table in ("messages warnings", "messages errors"):
        for text, *_ in docs_tables.rows("how-to/does-nothing.md", table):
            parts = text.replace("`", "").split("...")
            assert any(follow_one_another(parts, one) for one in known), text


def follow_one_another(parts: list[str], text: str) -> bool:
    """Whether all parts are in a text, in this order."""
    place = 0
    for part in parts:
        found = text.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return True


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name
)
def test_internal_links_lead_somewhere(page: Path):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(linked), f"{page.name} links to {target}"


def anchors(page: Path) -> set[str]:
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    made = {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }
    return made | set(re.findall(r'<a id="([^"]+)">', text))


def test_every_page_is_in_the_navigation():
    text = (ROOT / ".mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"^ +- .+: ([\w/-]+\.md)$", text, re.MULTILINE)
    assert sorted(page.relative_to(DOCS).as_posix() for page in PAGES) == sorted(listed)


def test_the_search_of_the_built_pages_needs_neither_server_nor_network():
    text = (ROOT / ".mkdocs.yml").read_text(encoding="utf-8")
    assert "\n  - offline\n" in text
    (shim,) = re.findall(r"^ +- (\S*iframe-worker\S*)", text, re.MULTILINE)
    assert "parent.postMessage" in (DOCS / shim).read_text(encoding="utf-8")


def figures_in(text: str) -> list[tuple[str, str]]:
    """Numbers with a decimal point and their units; "" for other units than `x` and `dB`."""
    return re.findall(r"(?<![\d.])(\d+\.\d+)(?![\d.])(?:\*\*)? ?(x\b|dB\b)?", text)


def is_in(section: str, number: str, unit: str) -> bool:
    """Whether a section has this figure, rounded as it is here."""
    digits = len(number.partition(".")[2])
    found = [float(one) for one, other in figures_in(section) if other == unit or not unit]
    return any(f"{one:.{digits}f}" == number for one in found)


def test_the_readmes_figures_are_those_of_one_documented_run_each():
    pages = [
        (DOCS / f"explanation/{name}.md").read_text("utf-8") for name in ("benchmarks", "front")
    ]
    sections = [text for page in pages for text in page.split("\n## ")]
    runs = [text for text in sections if re.search(r"\d{4}-\d\d-\d\d", text)]
    readme = (ROOT / "README.md").read_text(encoding="utf-8").split("\n\n")
    quoted = [text for text in readme if " points" in text or " dB" in text]
    claims = [claim for text in quoted for claim in re.split(r"(?=`sraccel )", text)]
    claims = [claim for claim in claims if figures_in(claim)]
    assert claims
    for claim in claims:
        lacking = [[one for one in figures_in(claim) if not is_in(run, *one)] for run in runs]
        assert [] in lacking, f"no one part of benchmarks or front has all figures of: {claim}"


def test_ci_and_contributing_have_the_readmes_own_test_command():
    pattern = TEST_COMMAND.pattern.replace("\\", "")
    assert f"grep -m1 '{pattern}' README.md" in (ROOT / ".ci/run").read_text("utf-8")
    (command,) = TEST_COMMAND.findall((ROOT / "README.md").read_text("utf-8"))
    for part in ("-c constraints.txt", "[dev,docs]", "-e plugins/sraccel-example"):
        assert part in command
    assert TEST_COMMAND.findall((ROOT / "CONTRIBUTING.md").read_text("utf-8")) == [command]


def test_constraints_hold_no_paths_and_no_local_versions():
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", line)
