"""A study file is a recipe with one more section; all its mistakes are reported, with places."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sraccel.check.schema import recipe_schema
from sraccel.errors import Problem, RecipeError
from sraccel.recipe.recipe import Recipe
from sraccel.study.plan.design import cells_of
from sraccel.study.plan.plan import Plan
from sraccel.study.plan.study import Study
from sraccel.study.plan.sweep import split_sweep

WHOLE = """\
include: demo
study:
  prompts: prompts.txt
  seeds: [0, 1, 0]
  design: sweep
  sweep:
    srdiffusion.threshold: [0.005, 0.01, 0.02]
    sampling.num_inference_steps: [50, 25]
  plain_steps: [25, 17, 25]
  repeats: 4
  precision: 0.05
  budget: 1h30m
  show: 2
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a file of a folder beside the working directory; returns its path."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def written(text: str, name: str = "study.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return written


def problems(load: Callable[[], Any]) -> list[Problem]:
    with pytest.raises(RecipeError) as refused:
        load()
    return refused.value.problems


def the_problem(load: Callable[[], Any]) -> Problem:
    (problem,) = problems(load)
    return problem


def in_demo(text: str) -> dict[str, Any]:
    return {"include": "demo", "study": yaml.safe_load(text)}


def test_a_study_is_its_recipe_and_its_plan(write: Callable[..., Path]) -> None:
    write("a circle\n\n# a comment\n  a square  \na circle\n", "prompts.txt")
    study = Study.load(write(WHOLE))
    assert study.accelerators == Recipe.load("demo").accelerators
    assert study.model == "demo"
    assert study.study.model_dump() == {
        "prompts": ["a circle", "a square"],
        "seeds": [0, 1],
        "design": "sweep",
        "sweep": {
            "srdiffusion.threshold": [0.005, 0.01, 0.02],
            "sampling.num_inference_steps": [50, 25],
        },
        "plain_steps": [25, 17],
        "repeats": 4,
        "precision": 0.05,
        "budget": 5400.0,
        "show": 2,
    }


def test_any_recipe_is_a_study_with_the_usual_plan() -> None:
    usual = {
        "prompts": [],
        "seeds": [0],
        "design": "full",
        "sweep": {},
        "plain_steps": [],
        "repeats": 5,
        "precision": 0.02,
        "budget": None,
        "show": 1,
    }
    for source in ("demo", Recipe.load("demo"), {"include": "demo", "study": None}):
        assert Study.load(source).study.model_dump() == usual
    assert Study.load(Recipe.load("demo")).accelerators == Recipe.load("demo").accelerators


def test_a_study_survives_being_dumped_and_loaded(write: Callable[..., Path]) -> None:
    write("a circle\n", "prompts.txt")
    study = Study.load(write(WHOLE))
    assert Study.load(study) is study
    assert Study.model_validate(study.model_dump(mode="json")) == study
    assert Study.load(study, ["study.repeats=7"]).study.repeats == 7
    assert Study(accelerators=study.accelerators, study=Plan(repeats=3)).study.repeats == 3


@pytest.mark.parametrize("name", ["study.toml", "study.json"])
def test_a_study_may_be_toml_or_json(write: Callable[..., Path], name: str) -> None:
    texts = {
        "study.toml": 'include = "demo"\n[study]\nprompts = ["x"]\nbudget = "90s"\n'
        "[study.sweep]\nteacache.threshold = [0.1, 0.2]\n"
        '"sampling.num_inference_steps" = [9]\n',
        "study.json": '{"include": "demo", "study": {"prompts": ["x"], "budget": 90, "sweep": '
        '{"teacache": {"threshold": [0.1, 0.2]}, "sampling.num_inference_steps": [9]}}}',
    }
    plan = Study.load(write(texts[name], name)).study
    assert plan.budget == 90
    assert plan.design == "sweep"
    assert dict(sorted(plan.sweep.items())) == {
        "sampling.num_inference_steps": [9],
        "teacache.threshold": [0.1, 0.2],
    }


def test_a_file_of_prompts_is_found_beside_the_file_that_names_it(
    write: Callable[..., Path],
) -> None:
    write("inner\n", "inner/prompts.txt")
    write("outer\n", "prompts.txt")
    write("here\n", "here/prompts.txt")
    write("include: demo\nstudy: {prompts: prompts.txt, repeats: 2}\n", "inner/study.yaml")
    outer = write("include: inner/study.yaml\nstudy: {seeds: [3]}\n")
    assert Study.load(outer).study.prompts == ["inner"]
    assert Study.load(outer).study.repeats == 2
    own = write("include: inner/study.yaml\nstudy: {prompts: prompts.txt}\n", "own.yaml")
    assert Study.load(own).study.prompts == ["outer"]
    assert Study.load(own, ["study.prompts=prompts.txt"]).study.prompts == ["here"]
    assert Study.load(own, prompts="prompts.txt").study.prompts == ["here"]
    assert Study.load(own, prompts=Path("prompts.txt")).study.prompts == ["here"]
    assert Study.load(own, prompts=["a text", "a text"]).study.prompts == ["a text"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "did you mean 'prompts.txt'?"),
        (b"\n# nothing\n", "holds no prompts: write one a line"),
        (b"\xff\xfe\x00", "is no text in UTF-8"),
    ],
)
def test_a_file_of_prompts_that_holds_none_is_refused_where_it_is_named(
    write: Callable[..., Path], content: bytes | None, message: str
) -> None:
    path = write("study:\n  prompts: promts.txt\ninclude: demo\n")
    write("near\n", "prompts.txt")
    if content is not None:
        (path.parent / "promts.txt").write_bytes(content)
    problem = the_problem(lambda: Study.load(path))
    assert message in problem.message
    assert (problem.path, problem.line, problem.column) == ("study.prompts", 2, 12)
    assert problem.given == "'promts.txt'"


def test_all_mistakes_are_reported_at_once_with_their_places(write: Callable[..., Path]) -> None:
    path = write(
        "include: demo\n"
        "study:\n"
        "  prompts: none.txt\n"
        "  sed: [1]\n"
        "  seeds: [0, -1, yes]\n"
        "  design: swep\n"
        "  budget: soon\n"
        "  plain_steps: [0]\n"
        "  repeats: 0\n"
        "  sweep:\n"
        "    srdiffusion.treshold: [1, 2]\n"
        "    srdiffusion.threshold: [0.1, high, -1]\n"
        "    teacash.threshold: [1]\n"
        "    sampling.width: [64]\n"
        "    sampling:\n"
        "      num_inference_steps: [0, 25, null]\n"
        "    name: [a]\n"
        "    teacache.retention: []\n"
        "    srdiffusion.render.dtype: [float16]\n"
        "accelerators:\n"
        "  - {use: teacache, threshold: -1}\n"
        "precision: 3\n"
    )
    found = problems(lambda: Study.load(path))
    assert [(one.path, one.line, one.column) for one in found] == [
        ("study.prompts", 3, 12),
        ("study.sed", 4, 3),
        ("study.seeds[1]", 5, 14),
        ("study.seeds[2]", 5, 18),
        ("study.design", 6, 11),
        ("study.budget", 7, 11),
        ("study.plain_steps[0]", 8, 17),
        ("study.repeats", 9, 12),
        ("study.sweep", 11, 5),
        ("study.sweep.srdiffusion.treshold", 11, 5),
        ("study.sweep.srdiffusion.threshold[1]", 12, 34),
        ("study.sweep.srdiffusion.threshold[2]", 12, 40),
        ("study.sweep.teacash.threshold", 13, 5),
        ("study.sweep.sampling.width", 14, 5),
        ("study.sweep.sampling.num_inference_steps[0]", 16, 29),
        ("study.sweep.sampling.num_inference_steps[2]", 16, 36),
        ("study.sweep.name", 17, 5),
        ("study.sweep.teacache.retention", 18, 25),
        ("study.sweep.srdiffusion.render.dtype[0]", 19, 32),
        ("accelerators[2].threshold", 21, 32),
        ("precision", 22, 1),
    ]
    by_path = {one.path: one for one in found}
    assert by_path["study.sed"].suggestion == "seeds"
    assert by_path["study.design"].suggestion == "sweep"
    assert by_path["study.sweep.srdiffusion.treshold"].suggestion == "threshold"
    assert by_path["study.sweep.teacash.threshold"].suggestion == "teacache"
    assert by_path["study.sweep.srdiffusion.threshold[1]"].given == "'high'"
    assert (by_path["study.sweep.srdiffusion.threshold[2]"].plugin or "").startswith("sraccel ")


def test_a_value_that_goes_with_no_other_option_is_refused_where_it_stands(
    write: Callable[..., Path],
) -> None:
    path = write("include: demo\nstudy:\n  sweep:\n    srdiffusion.switch_step: [null, 8]\n")
    problem = the_problem(lambda: Study.load(path))
    assert (problem.path, problem.line) == ("study.sweep.srdiffusion.switch_step[1]", 4)
    assert "threshold would have no effect" in problem.message


def test_values_that_do_not_go_together_are_refused_and_named(write: Callable[..., Path]) -> None:
    sweep = "srdiffusion.min_step: [0, 30, 40], srdiffusion.max_step: [25, 45]"
    path = write(f"include: demo\nstudy:\n  sweep: {{{sweep}}}\n")
    problem = the_problem(lambda: Study.load(path))
    assert (problem.path, problem.line, problem.column) == ("study.sweep", 3, 10)
    assert "srdiffusion.min_step=30, srdiffusion.max_step=25: max_step 25" in problem.message
    assert "and so for 1 more" in problem.message


def test_what_is_wrong_with_the_recipe_itself_is_reported_once(write: Callable[..., Path]) -> None:
    path = write(
        "accelerators:\n  - {use: srdiffusion, render: demo, switch_step: 8, min_step: 3}\n"
        "study: {sweep: {srdiffusion.residency: [both, swap]}}\n"
    )
    problem = the_problem(lambda: Study.load(path))
    assert (problem.path, problem.line) == ("accelerators[0]", 2)


def test_a_value_may_contradict_the_recipe_where_another_swept_value_corrects_it() -> None:
    sweep = "{sweep: {srdiffusion.min_step: [0], srdiffusion.max_step: [10, 20]}}"
    assert len(cells_of(Study.load(in_demo(sweep)))) == 3


@pytest.mark.parametrize(
    ("plan", "path", "message"),
    [
        ("{design: sweep}", "study.design", "nothing is swept"),
        ("{design: sweep, sweep: {}}", "study.design", "nothing is swept"),
        ("{design: full, sweep: {teacache.threshold: [1]}}", "study.sweep", "leave one of them"),
        ("{sweep: [1]}", "study.sweep", "must be a mapping"),
        ("{sweep: {teacache.threshold: 0.1}}", "study.sweep.teacache.threshold", "list"),
        ("{sweep: {teacache: [0.1]}}", "study.sweep.teacache", "which option of 'teacache'?"),
        ("{sweep: {teacache.use: [a]}}", "study.sweep.teacache.use", "cannot be overridden"),
        ("{precision: -1}", "study.precision", "must be 0 or more"),
        ("{precision: yes}", "study.precision", "not a number"),
        ("{show: -1}", "study.show", "must be 0 or more"),
        ("{seeds: []}", "study.seeds", "at least 1 item"),
        ("{seeds: [0.5]}", "study.seeds[0]", "a whole number"),
        ("{prompts: [3]}", "study.prompts[0]", "must be a text"),
        ("{prompts: [' ']}", "study.prompts[0]", "at least 1 character"),
        ("full", "study", "must be a mapping"),
        ("{prompts: a red circle}", "study.prompts", "`prompts: [a red circle]`"),
    ],
)
def test_what_makes_no_plan_is_refused(plan: str, path: str, message: str) -> None:
    problem = the_problem(lambda: Study.load(in_demo(plan)))
    assert problem.path == path
    assert message in problem.message


def test_a_sweep_of_too_many_combinations_is_refused_before_any_is_made() -> None:
    many = list(range(1, 2000))
    sweep = {f"sampling.{name}": many for name in ("num_inference_steps", "max_sequence_length")}
    content = {"include": "demo", "study": {"sweep": sweep}}
    assert "these are 3996001 combinations" in the_problem(lambda: Study.load(content)).message


def test_there_must_be_something_to_study() -> None:
    assert "nothing to study" in the_problem(lambda: Study.load({})).message
    assert "nothing to study" in the_problem(lambda: Study.load({"accelerators": []})).message
    assert Study.load({"study": {"plain_steps": 9}}).study.plain_steps == [9]


def test_an_include_that_cannot_be_read_is_all_that_is_reported(write: Callable[..., Path]) -> None:
    path = write("include: dmo\nstudy: {sweep: {teacache.threshold: [0.1]}}\n")
    assert the_problem(lambda: Study.load(path)).suggestion == "demo"


@pytest.mark.parametrize(
    ("given_budget", "seconds"),
    [
        *(("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1h 30m 5s", 5405)),
        *(("0.5h", 1800), ("2H", 7200), (90, 90), (0.5, 0.5), ("90", 90)),
    ],
)
def test_a_budget_is_a_time(given_budget: object, seconds: float) -> None:
    assert Plan(budget=given_budget).budget == seconds  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    ["soon", "", "h", "30 minutes", "1m2h", "-5m", 0, -1, "0s", "0h0m", True, [1], math.inf],
)
def test_what_is_no_time_is_refused_saying_how_one_is_given(wrong: object) -> None:
    content = {"include": "demo", "study": {"budget": wrong}}
    message = the_problem(lambda: Study.load(content)).message
    assert "90s, 30m, 2h or 1h30m" in message or wrong is True


SCALARS = ["0.1", "25", "auto", "null", "'a, b'", '"x, [y"', "'it''s'"]
VALUE = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(inner, max_size=2).map(
            lambda items: "{" + ", ".join(f"k{n}: {one}" for n, one in enumerate(items)) + "}"
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=200)
@given(st.lists(VALUE, min_size=1, max_size=4), st.sampled_from([",", ", ", " , "]))
def test_values_are_split_at_commas_outside_of_brackets_and_quotes(
    values: list[str], comma: str
) -> None:
    text = comma.join(values)
    assert split_sweep(f"a.b={text}") == ("a.b", values)


@given(st.text(max_size=30))
def test_any_text_is_split_without_an_error(text: str) -> None:
    path, values = split_sweep(text)
    assert path == text.partition("=")[0].strip()
    assert values


@pytest.mark.parametrize("whole", ["[1, 2", "'a, b", "a, b]", "{a: 1", "1], [2", "", " "])
def test_what_is_no_list_is_left_whole(whole: str) -> None:
    assert split_sweep(f"a.b={whole}") == ("a.b", [whole])


def test_several_values_on_the_command_line_make_a_sweep_and_one_an_override() -> None:
    study = Study.load(
        "demo",
        ["srdiffusion.threshold=0.005, 0.01", "teacache.threshold=0.3", "name=a, b"],
        seeds="0,1",
        plain_steps="25",
        budget="10m",
    )
    assert study.study.sweep == {"srdiffusion.threshold": [0.005, 0.01]}
    assert (study.study.design, study.study.budget) == ("sweep", 600)
    assert (study.study.seeds, study.study.plain_steps) == ([0, 1], [25])
    assert study.accelerators[2].model_dump()["threshold"] == 0.3
    assert study.name == "a, b"


def test_the_command_line_goes_over_the_file(write: Callable[..., Path]) -> None:
    write("a circle\n", "prompts.txt")
    path = write(WHOLE)
    overrides = ["srdiffusion.threshold=0.3", "study.seeds=5,6", "study.show=0"]
    plan = Study.load(path, overrides, repeats=9, precision=0.5).study
    assert plan.sweep == {"sampling.num_inference_steps": [50, 25]}
    assert (plan.seeds, plan.repeats, plan.precision, plan.show) == ([5, 6], 9, 0.5, 0)
    assert plan.budget == 5400
    full = Study.load(path, ["study.sweep=null"], design="full").study
    assert (full.design, full.sweep) == ("full", {})
    deep = Study.load(path, ["study.sweep.teacache.threshold=0.1,0.2"]).study
    assert deep.sweep["teacache.threshold"] == [0.1, 0.2]
    assert Study.load(path, ["study.budget=10m"]).study.budget == 600


def test_a_sweep_of_the_command_line_goes_over_the_files_however_that_is_written(
    write: Callable[..., Path],
) -> None:
    for given_in_file in ("teacache.threshold: [9, 10]", "teacache: {threshold: [9, 10]}"):
        path = write(f"include: demo\nstudy: {{sweep: {{{given_in_file}}}}}\n")
        sweep = Study.load(path, ["teacache.threshold=0.1,0.2"]).study.sweep
        assert sweep == {"teacache.threshold": [0.1, 0.2]}
        ended = Study.load(path, ["teacache.threshold=0.1"]).study
        assert (ended.design, ended.sweep) == ("full", {})


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 60), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(
                    ["teacache", "threshold", "teacache.threshold", "srdiffusion.render.dtype"]
                ),
                st.sampled_from(["sampling", "sampling.num_inference_steps", "use", "study.seeds"]),
                st.text(max_size=4),
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(
    st.one_of(
        ANYTHING,
        st.dictionaries(st.sampled_from([*Plan.model_fields, "x"]), ANYTHING, max_size=4),
        st.fixed_dictionaries({"sweep": ANYTHING}),
    ),
    st.lists(st.text(alphabet="teacache.study,swp=[]{}'0", max_size=12), max_size=2),
)
def test_whatever_the_section_holds_it_is_a_study_or_a_list_of_problems(
    plan: Any, overrides: list[str]
) -> None:
    content = {"include": "demo", "study": plan}
    with contextlib.suppress(RecipeError):
        assert cells_of(Study.load(content, overrides))[0].name == "bare"


def test_a_wrong_option_of_the_command_line_is_named(write: Callable[..., Path]) -> None:
    overrides = [
        "study.budget=-1",
        "srdiffusion.min_step=x,3",
        "teacash.threshold=1,2",
        "teacache.threshold=0.1,!!x y",
        "study.sede=1",
    ]
    found = problems(
        lambda: Study.load(
            "demo",
            overrides,
            seeds="a,1",
            prompts="no.txt",
            design="ful",
            plain_steps="0",
            repeats=0,
            show=-1,
        )
    )
    places = {(one.file, one.path) for one in found}
    assert places == {
        ("--prompts", "study.prompts"),
        ("--seeds", "study.seeds"),
        ("--design", "study.design"),
        ("--plain-steps", "study.plain_steps"),
        ("--repeats", "study.repeats"),
        ("--show", "study.show"),
        ("--set study.budget=-1", "study.budget"),
        ("--set srdiffusion.min_step=x,3", "study.sweep"),
        ("--set srdiffusion.min_step=x,3", "study.sweep.srdiffusion.min_step[0]"),
        ("--set teacash.threshold=1,2", ""),
        ("--set teacache.threshold=0.1,!!x y", ""),
        ("--set study.sede=1", "study.sede"),
    }
    (problem,) = problems(lambda: Study.load("demo", design="sweep"))
    assert problem.file == "--design"


def test_a_recipe_refuses_a_study_file_and_says_what_it_is(write: Callable[..., Path]) -> None:
    path = write("include: demo\nstudy: {seeds: [1]}\n")
    for load in (
        lambda: Recipe.load(path),
        lambda: Recipe.load(write(f"include: {path.name}\n", "recipe.yaml")),
    ):
        problem = the_problem(load)
        assert (problem.path, problem.file, problem.line) == ("study", str(path), 2)
        assert "run it with `sraccel study`" in problem.message
    overridden = the_problem(lambda: Recipe.load("demo", ["study.budget=10m"]))
    assert overridden.file == "--set study.budget=10m"


STUDIES = jsonschema.Draft202012Validator(recipe_schema(Study))


def test_the_schema_of_studies_accepts_whole_ones_and_refuses_what_is_wrong() -> None:
    jsonschema.Draft202012Validator.check_schema(STUDIES.schema)
    assert STUDIES.is_valid(yaml.safe_load(WHOLE))
    nested = "{sweep: {teacache: {threshold: [1]}, srdiffusion.render.dtype: [float16]}}"
    assert STUDIES.is_valid(in_demo(nested))
    for wrong in (
        "{seds: [1]}",
        "{design: ful}",
        "{budget: soon}",
        "{budget: 0}",
        "{plain_steps: [0]}",
        "{sweep: {srdiffusion.treshold: [1]}}",
        "{sweep: {srdiffusion.threshold: [-1]}}",
        "{sweep: {srdiffusion.threshold: []}}",
        "{sweep: {sampling.width: [64]}}",
        "{sweep: {sampling.num_inference_steps: [null]}}",
    ):
        assert not STUDIES.is_valid(in_demo(wrong)), wrong
    assert not jsonschema.Draft202012Validator(recipe_schema()).is_valid(in_demo("{}"))


@settings(max_examples=150)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "prompts": st.lists(st.sampled_from(["a", " b", "", 3]), max_size=3),
            "seeds": st.lists(st.sampled_from([0, 1, -1, 2**63, True]), max_size=3),
            "plain_steps": st.lists(st.sampled_from([0, 1, 7, 2.0]), max_size=3),
            "repeats": st.sampled_from([0, 1, "x", 1.5]),
            "precision": st.sampled_from([0, 0.1, -1, None]),
            "budget": st.sampled_from(["1h", "0h", "h", "1.5m", 3, 0, None, "00s", "1m1h", "1x"]),
            "show": st.sampled_from([0, -1, 1]),
        },
    )
)
def test_plans_that_the_schema_accepts_a_study_accepts(plan: dict[str, Any]) -> None:
    content = {"include": "demo", "study": plan}
    if STUDIES.is_valid(content):
        assert Study.load(content).study.repeats >= 1
