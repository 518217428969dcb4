"""What is wrong with a recipe file is reported with its line and column, all of it at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sraccel.errors import Problem, RecipeError
from sraccel.recipe.recipe import Recipe

VALID: dict[str, dict[str, Any]] = {
    "teacache": {
        "threshold": 0.2,
        "retention": True,
        "start": "always",
        "coefficients": {"transformer": [1, 2, 3, 4, 5], "render": "auto"},
    },
    "srdiffusion": {
        "render": {"model": "demo", "dtype": "float32"},
        "threshold": 0.02,
        "min_step": 3,
        "rule": "paper",
    },
    "sageattention": {"kernel": "emulated", "smooth_k": False},
}
NOT_WRONG = {("teacache", "coefficients"), ("srdiffusion", "render")}
"""Options that take any text, or a mapping whose parts are made wrong instead."""
DEEPER = [
    ("teacache", "coefficients", "transformer", 3),
    ("srdiffusion", "render", "dtype"),
]
WRONG = "wrong-value"


def problems(path: Path) -> list[Problem]:
    with pytest.raises(RecipeError) as refused:
        Recipe.load(path)
    return refused.value.problems


def places(path: Path) -> list[tuple[str, int | None, int | None]]:
    return [(one.path, one.line, one.column) for one in problems(path)]


def as_toml(recipe: dict[str, Any]) -> str:
    lines = []
    for item in recipe["accelerators"]:
        lines.append("[[accelerators]]")
        tables = {key: value for key, value in item.items() if isinstance(value, dict)}
        lines += [f"{key} = {json.dumps(item[key])}" for key in item if key not in tables]
        for name, table in tables.items():
            lines += [f"[accelerators.{name}]"]
            lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        lines += ["", "# a comment"]
    return "\n".join(lines) + "\n"


WRITERS: dict[str, Callable[[dict[str, Any], Any], str]] = {
    "yaml": lambda recipe, draw: yaml.safe_dump(
        recipe,
        default_flow_style=draw(st.sampled_from([True, False, None])),
        indent=draw(st.integers(2, 6)),
        width=draw(st.integers(20, 120)),
        sort_keys=False,
    ),
    "json": lambda recipe, draw: json.dumps(
        recipe, indent=draw(st.sampled_from([None, 0, 2, "\t", "\t "]))
    ),
    "toml": lambda recipe, draw: as_toml(recipe),
}


@st.composite
def options(draw: st.DrawFn) -> tuple[Any, ...]:
    """An option of an accelerator, or a part of one, that does not take any text."""
    plain = [(name, option) for name, its in VALID.items() for option in its]
    return draw(st.sampled_from([one for one in plain if one not in NOT_WRONG] + DEEPER))


def a_recipe(draw: Any, first: str) -> dict[str, Any]:
    names = draw(st.permutations(list(VALID)))
    kept = [name for name in names if name == first or draw(st.booleans())]
    return {"accelerators": [{"use": name, **json.loads(json.dumps(VALID[name]))} for name in kept]}


def place_in(text: str, wanted: str, suffix: str) -> tuple[int | None, int | None]:
    """Line and column; of TOML only the path is known."""
    if suffix == "toml":
        return None, None
    before = text[: text.index(wanted)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


@pytest.mark.parametrize("suffix", WRITERS)
@settings(max_examples=90, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_wrong_value_or_an_unknown_key_anywhere_is_pointed_at(
    suffix: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name, *where, last = data.draw(options())
    recipe = a_recipe(data.draw, name)
    item: Any = next(item for item in recipe["accelerators"] if item["use"] == name)
    target = item
    for part in where:
        target = target[part]
    misspelt = not where and data.draw(st.booleans())
    wrong = f"{last}x" if misspelt else WRONG
    target[wrong if misspelt else last] = target.pop(last) if misspelt else WRONG
    comment = "" if suffix == "json" else "# a comment\n" * data.draw(st.integers(0, 3))
    text = comment + WRITERS[suffix](recipe, data.draw)
    path = tmp_path_factory.getbasetemp() / f"recipe.{suffix}"
    path.write_text(text)
    (problem,) = problems(path)
    quoted = wrong if suffix == "yaml" else f'"{wrong}"'
    assert (problem.line, problem.column) == place_in(text, quoted, suffix)
    assert problem.file == str(path)
    option = (*where, last)[0]
    index = recipe["accelerators"].index(item)
    assert problem.path.startswith(f"accelerators[{index}].{option}")
    if misspelt:
        assert problem.path.endswith(f".{wrong}")
        assert problem.suggestion == last
        assert f"did you mean {last!r}?" in problem.message
    else:
        assert problem.given == repr(WRONG)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "nmae: mine\n"
            "accelerators:\n"
            "  - use: teacash\n"
            "  - {use: sageattention, kernel: tritn}\n"
            "  - use: teacache\n"
            "    threshold: -1\n"
            "    coefficients: [1, 2, x, 4, y]\n"
            "  - use: srdiffusion\n"
            "sampling: {heigth: 480, num_frames: 0}\n",
            [
                ("nmae", 1, 1),
                ("accelerators[0].use", 3, 10),
                ("accelerators[1].kernel", 4, 34),
                ("accelerators[2].threshold", 6, 16),
                ("accelerators[2].coefficients[2]", 7, 26),
                ("accelerators[3].render", 8, 5),
                ("sampling.heigth", 9, 12),
                ("sampling.num_frames", 9, 37),
            ],
        ),
        (
            "accelerators: [{use: srdiffusion, render: demo, switch_step: 3, threshold: 0.02}]\n",
            [("accelerators[0]", 1, 16)],
        ),
        (
            "1: a\nnull: b\naccelerators: [{use: teacache, 2: 3}]\n",
            [("1", 1, 1), ("None", 2, 1), ("accelerators[0].2", 3, 32)],
        ),
    ],
    ids=["from top to bottom", "options that contradict each other", "keys that are no text"],
)
def test_all_mistakes_are_reported_with_their_places(
    tmp_path: Path, text: str, expected: list[tuple[str, int, int]]
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    assert places(path) == expected


def test_each_kind_of_mistake_says_what_is_allowed_who_says_so_and_what_may_be_meant(
    tmp_path: Path,
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "accelerators:\n"
        "  - use: teacash\n"
        "  - {use: sageattention, kernel: Tritn, smoth_k: true}\n"
        "  - {use: teacache, threshold: high}\n"
    )
    name, kernel, key, threshold = problems(path)
    assert name.suggestion == "teacache"
    assert "srdiffusion" in name.message
    assert name.plugin is None
    assert kernel.suggestion == "triton"
    assert "'emulated'" in kernel.message
    assert (kernel.given, kernel.plugin) == ("'Tritn'", threshold.plugin)
    assert key.suggestion == "smooth_k"
    assert "(it has: kernel, smooth_k)" in key.message
    assert threshold.message == "must be a number"
    assert threshold.suggestion is None
    assert threshold.plugin is not None
    assert threshold.plugin.startswith("sraccel ")


def test_a_union_is_one_problem_in_the_branch_that_was_meant(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "accelerators:\n"
        "  - use: teacache\n"
        "    coefficients: 3\n"
        "  - use: srdiffusion\n"
        "    render: {model: demo, dtpye: float16}\n"
    )
    coefficients, render = problems(path)
    assert coefficients.path == "accelerators[0].coefficients"
    assert coefficients.message == ("must be a text or a list or a mapping")
    assert (render.path, render.suggestion) == ("accelerators[1].render.dtpye", "dtype")


WIRED = "accelerators:\n  - use: teacache\n    threshold: 0.2\n"
NINES = "9" * 5000


@pytest.mark.parametrize(
    ("name", "text", "place", "words"),
    [
        ("a.yaml", "accelerators:\n  - use: [teacache\n", (2, 10), "this bracket is never closed"),
        ("a.yml", "name: {a\n\n\n", (1, 7), "this bracket is never closed"),
        ("a.yaml", "name: a\n---\nname: b\n", (2, 1), "a second document begins here"),
        ("a.yaml", "name: *missing\n", (1, 7), ""),
        ("a.yaml", "name: x\nmodel demo\naccelerators: []\n", (2, 1), "a colon is missing"),
        ("a.yaml", "name: 'abc\nmodel: demo\n", (1, 7), "this quote is never closed"),
        ("a.yaml", 'model: demo\nname: "abc\n\n\n', (2, 7), "this quote is never closed"),
        ("a.yaml", "name: a: b\n", (1, 8), "a key cannot stand here"),
        ("a.yaml", "accelerators:\n\t- use: teacache\n", (2, 1), "a tab stands where"),
        ("a.yaml", WIRED + "   start: always\n", (4, 4), "this is indented unlike"),
        ("a.yaml", WIRED + "     start: always\n", (4, 11), "a key cannot stand here"),
        ("a.yaml", "name: 2024-13-45\n", (1, 7), "'2024-13-45' is no possible timestamp: month"),
        ("a.yaml", f"model: x\nname: {NINES}", (2, 7), "'9999999999"),
        ("a.yaml", "name: !!bool maybe\n", (1, 7), "'maybe' is no possible bool"),
        ("a.yaml", "name: x\nmodel: a\x1bb\n", (2, 9), r"the character '\x1b' is not allowed"),
        ("a.toml", 'name = "x"\nmodel = = 3\n', (2, 9), ""),
        ("a.toml", "accelerators = [\n", (2, 1), ""),
        ("a.toml", 'name = "x"\nname = "y"\n', (2, 11), "this key is given twice"),
        ("a.toml", "[sampling]\n[sampling]\n", (2, 10), "this table is given twice"),
        ("a.toml", f'model = "a"\nname = {NINES}', (2, 8), "an integer has too many digits"),
        ("a.json", '{\n  "name": "x"\n  "model": "y"}', (3, 3), ""),
        ("a.json", '{"name": }', (1, 10), ""),
        ("a.JSON", "", (1, 1), ""),
        ("a.json", f'{{"name": {NINES}}}', (1, 10), "an integer has too many digits"),
    ],
)
def test_malformed_files_are_refused_in_plain_words_where_the_mistake_is(
    tmp_path: Path, name: str, text: str, place: tuple[int, int], words: str
) -> None:
    (tmp_path / name).write_text(text)
    (problem,) = problems(tmp_path / name)
    assert f"cannot be read as a recipe: {words}" in problem.message
    assert str(problem).startswith(f"{tmp_path / name}:{place[0]}:")
    assert problem.line == place[0]
    tolerance = 0 if "yaml" in name else 1  # other versions of tomllib may count otherwise
    assert abs((problem.column or -9) - place[1]) <= tolerance
    for jargon in ("scanning", "scalar", "block end", "stream"):
        assert jargon not in problem.message


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        (
            "a.yaml",
            "accelerators:\n  - use: teacache\n    threshold: 1\n    threshold: 2\n",
            (4, 5),
        ),
        ("a.json", '{"name": "a",\n "name": "b"}', (2, 2)),
    ],
)
def test_a_key_given_twice_is_refused(
    tmp_path: Path, name: str, text: str, place: tuple[int, int]
) -> None:
    (tmp_path / name).write_text(text)
    (problem,) = problems(tmp_path / name)
    assert "is given twice" in problem.message
    assert (problem.line, problem.column) == place


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.mkdir ['{made}']\n",
        "accelerators:\n  - !!python/object/new:os.mkdir ['{made}']\n",
        "name: !!python/name:os.system\naccelerators: !!python/object/apply:os.mkdir ['{made}']\n",
        "accelerators: [{{use: !!python/object/apply:os.mkdir ['{made}']}}]\n",
    ],
)
def test_a_downloaded_yaml_executes_nothing(tmp_path: Path, text: str) -> None:
    made = tmp_path / "made"
    path = tmp_path / "downloaded.yaml"
    path.write_text(text.format(made=made))
    (problem,) = problems(path)
    assert "could not determine a constructor" in problem.message
    assert problem.line is not None
    assert not made.exists()


LAUGHS = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("laughs.yaml", f"a0: &a0 [1, 2, 3]\n{LAUGHS}", "holds more than"),
        ("self.yaml", "accelerators: &a\n  - *a\n", "holds itself"),
        ("self.yaml", "&a {name: x, *a : 1}", "holds itself"),
        ("deep.yaml", "[" * 5_000, "nested too deeply"),
        ("deep.json", "[" * 5_000, "nested too deeply"),
    ],
)
def test_files_that_would_never_end_are_refused(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    (problem,) = problems(tmp_path / name)
    assert message in problem.message


def test_aliases_and_merge_keys_of_yaml_work_and_point_at_where_the_value_stands(
    tmp_path: Path,
) -> None:
    path = tmp_path / "recipe.yaml"
    text = "accelerators:\n  - &a {use: teacache, threshold: 0.3}\n"
    path.write_text(text)
    assert Recipe.load(path).accelerators[0].model_dump()["threshold"] == 0.3
    path.write_text(text.replace("0.3", "x") + "  - {<<: *a, use: srdiffusion}\n")
    assert places(path) == [
        ("accelerators[0].threshold", 2, 35),
        ("accelerators[1].threshold", 2, 35),
        ("accelerators[1].render", 3, 5),
    ]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_a_file_that_is_not_utf_8_is_refused_where_it_is_not(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "a.yaml").write_bytes(start + "model: demo\nname: é".encode() + b"\xe9\n")
    (problem,) = problems(tmp_path / "a.yaml")
    assert (problem.line, problem.column) == (2, 8)
    assert "this is not UTF-8" in problem.message


def test_an_accelerator_listed_again_is_refused_where_it_is_listed_again(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    item = "  - {use: teacache, threshold: 0.1}\n"
    path.write_text("accelerators:\n" + 3 * item)
    assert places(path) == [("accelerators[1].use", 3, 11), ("accelerators[2].use", 4, 11)]
    path.write_text("include: demo\naccelerators:\n" + 2 * item)
    (problem,) = problems(path)
    assert (problem.file, problem.line, problem.column) == (str(path), 4, 11)
    assert problem.message == "'teacache' is listed 2 times; once is possible"
    assert (problem.given, problem.plugin) == ("'teacache'", None)


def test_what_a_terminal_would_obey_is_shown_as_an_escape(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"\\u001b]0;pwned\\u0007": 1, "sampling": {"\\u202e": {"\\u001b": 1}}}')
    first, second = problems(path)
    assert first.path == r"\x1b]0;pwned\x07"
    assert second.path == r"sampling.\u202e"
    assert all(char.isprintable() or char == "\n" for char in str(RecipeError([first, second])))
