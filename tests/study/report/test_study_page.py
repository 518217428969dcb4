"""The page of a study, read as a file: what stands in it, and what cannot get into it."""

from __future__ import annotations

import base64
import json
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from any_of import PHASES, any_of
from hypothesis import given, settings
from hypothesis import strategies as st
from made_study import full, with_failure, with_videos
from parsed_page import (
    Page,
    check_adds_no_markup,
    check_is_accessible,
    check_loads_nothing,
    contrast,
)

from sraccel.study.report.page import render_page
from sraccel.study.report.page.label import Rectangle, place
from sraccel.study.report.page.matrix import speed_matrix
from sraccel.study.report.page.pareto import plots
from sraccel.study.report.page.scale import linear_axis, log_axis
from sraccel.study.results import (
    Analysis,
    StudyReport,
)

NASTY = "</script></style><!--<script><img src=x onerror=alert(1)>\"'&{{7*7}}|</pre>"
TIMES = "\N{MULTIPLICATION SIGN}"


def page(report: StudyReport, folder: Path = Path("nowhere")) -> Page:
    return Page(render_page(report, folder))


def empty() -> StudyReport:
    analysis = Analysis(resamples=0, blocks=0, cells=[])
    return StudyReport(
        design="full",
        prompts=[],
        seeds=[],
        repeats=0,
        done=0,
        planned=0,
        accelerators=[],
        analysis=analysis,
    )


def test_the_parts_come_in_the_order_of_what_a_reader_asks(tmp_path: Path):
    headings = [
        element["text"] for element in page(with_videos(full(), tmp_path), tmp_path).all("h2")
    ]
    assert headings == [
        "Read this first",
        "Figures",
        "Videos, in step",
        "Cells",
        "Speed against quality",
        "Do they add up?",
        "Who contributes what",
        "Effects of every order",
        "What each cell did, step by step",
        "The study",
        "The call",
        "Recipe",
        "Versions and environment",
    ]


def test_the_head_says_what_was_run_and_on_what():
    text = page(full()).one("header")["text"]
    assert "19 cells, 6 blocks (2 prompts and 3 seeds) in 2 rounds: 228 of 228 runs." in text
    assert "cpu: x86_64, 50 denoising steps, intervals of 95 % over blocks" in text


def test_the_figures_are_the_full_stack_s_and_the_pair_that_keeps_least():
    text = " ".join(page(full()).one("dl", class_="figures")["text"].split())
    for figure in (
        f"Full stack 3.65{TIMES} 3.54 to 3.76; of the denoising loop",
        f"Whole call 2.88{TIMES}",
        "Semantic score 0.833",
        "PSNR 21.4 dB",
        "SSIM 0.864",
        "Least orthogonal pair index 0.90 0.87 to 0.93; srdiffusion and teacache have 0.871",
    ):
        assert figure in text


def test_of_several_full_stacks_the_headline_names_the_one_it_shows(tmp_path: Path):
    report = with_videos(full(), tmp_path)
    whole = report.analysis.cells[15]
    again = whole.model_copy(update={"name": "reversed", "accelerators": report.accelerators[::-1]})
    report.analysis.cells.insert(0, again)
    made = page(report, tmp_path)
    assert f"of {whole.name}, the first of 2" in made.one("dl", class_="figures")["text"]
    assert whole.name in [element["text"] for element in made.all("span", class_="name")][:6]


def test_an_interaction_within_its_interval_is_pale_and_a_clear_one_is_not():
    report = full()
    shades = []
    for high in (0.885, 1.01):
        report.analysis.pairs[0].kept.high = high
        (_, (field, *_)), *_ = speed_matrix(report).rows
        shades.append((field.value, field.shade, field.clear))
    assert shades == [("0.871", "worse-4", True), ("0.871", "worse-1", False)]


def test_a_study_that_is_not_whole_says_so_first_and_why():
    report = full()
    report.stopped, report.done = "budget", 200
    first, second = (item["text"] for item in page(report).all("li")[:2])
    assert first == "The study is not whole: its time was up; 200 of 228 runs are there."
    assert second.startswith("sageattention: emulated")


def test_cells_that_failed_are_named_first_and_their_errors_stand_in_the_table():
    made = page(with_failure(full()))
    assert made.all("li")[0]["text"].startswith("Runs failed in 1 cell: srdiffusion + teacache")
    table = made.one("table", id="cells")["text"]
    assert "12 runs failed" in table
    assert "OutOfMemoryError: tried to allocate 2.5 GiB" in table
    figures = made.one("dl", class_="figures")["text"]
    assert "not measured" in figures
    assert TIMES not in figures


def test_one_block_gives_numbers_and_says_that_their_certainty_is_not_known():
    made = page(full(exact=True))
    assert "No intervals, of 1 block" in made.all("li")[0]["text"]
    assert f"3.65{TIMES}" in made.text
    assert "whether they add up is not known" in made.text
    assert not [e for e in made.elements if "whisker" in (e.get("class") or "") and e["x1"] == ""]


@pytest.mark.parametrize("names", [(), ("teacache",)], ids=["no accelerator", "one"])
def test_without_pairs_there_is_a_page_that_says_so(names: tuple[str, ...]):
    text = page(full(names=names)).text
    assert "No pair of accelerators was run" in text


def test_what_pairs_predict_of_each_combination_stands_beside_what_was_measured():
    report = full()
    text = page(report).text
    assert "Do pairs predict the rest?" in text
    for found in report.analysis.combinations:
        for estimate in (found.together, found.product, found.from_pairs):
            assert f"{estimate.value:.2f}{TIMES}" in text


def test_an_empty_study_has_a_page():
    text = page(empty()).text
    assert "There are no cells" in text
    assert "No cell has both a speedup and a quality" in text
    assert not re.search(r"\d" + TIMES, text.split("Speed against")[0])


def test_videos_come_bare_first_then_the_full_stack_and_each_with_its_speedup(tmp_path: Path):
    report = with_videos(full(), tmp_path)
    showcase = report.showcases[0]
    showcase.videos = dict(reversed(showcase.videos.items()))
    made = page(report, tmp_path)
    names = [element["text"] for element in made.all("span", class_="name")][:6]
    assert names[:2] == ["bare", "full stack"]
    assert set(names[2:]) == set(report.accelerators)
    assert made.all("span", class_="speed")[0]["text"] == f"3.65{TIMES}"
    video = made.all("video")[0]
    path = tmp_path / showcase.videos["bare"]
    assert base64.b64decode(video["src"].split(",")[1]) == path.read_bytes()
    assert len(made.all("video")) == 12
    assert made.text.count("videos of 96 by 64 pixels, shown larger here") == 1


@pytest.mark.parametrize("content", [None, b"", b"not a video"])
def test_a_video_that_cannot_be_read_is_left_out_and_named(tmp_path: Path, content: bytes | None):
    report = with_videos(full(), tmp_path)
    broken = tmp_path / report.showcases[0].videos["teacache"]
    broken.unlink()
    if content is not None:
        broken.write_bytes(content)
    made = page(report, tmp_path)
    assert len(made.all("video")) == 11
    assert "No video can be shown of teacache" in made.text


@pytest.mark.parametrize("way", ["../{}", "{}/../../secret.mp4", "/etc/hostname", "a\0b"])
def test_a_report_shows_no_file_outside_of_its_folder(tmp_path: Path, way: str):
    folder = tmp_path / "study"
    folder.mkdir()
    report = with_videos(full(names=("teacache",)), tmp_path)
    secret = report.showcases[0].videos["bare"]
    (tmp_path / "secret.mp4").write_bytes((tmp_path / secret).read_bytes())
    for showcase in report.showcases:
        showcase.videos = {"bare": way.format(secret)}
    assert not page(report, folder).all("video")


def test_the_cells_table_has_every_figure_and_what_scripts_sort_and_filter_by():
    report = full()
    made = page(report)
    rows = [row for row in made.all("tr") if "data-uses" in row]
    assert len(rows) == len(report.analysis.cells)
    assert [row["data-uses"] for row in rows[:6]] == [
        "0000",
        "1000",
        "0100",
        "0010",
        "0001",
        "1100",
    ]
    assert {row["data-kind"] for row in rows} == {"bare", "stack", "plain_steps"}
    assert f"3.65{TIMES}3.54 to 3.76" in rows[15]["text"]
    assert "21.4" in rows[15]["text"]


@pytest.mark.parametrize("place", ["prompt", "name", "error", "warning", "role", "metric", "why"])
def test_words_from_outside_are_text_wherever_they_stand(tmp_path: Path, place: str):
    plain = page(with_failure(with_videos(full(), tmp_path)), tmp_path)
    report = with_failure(with_videos(full(), tmp_path))
    if place == "prompt":
        report.prompts = [NASTY]
        report.showcases[0].prompt = report.name = report.description = NASTY
    elif place == "name":
        report = StudyReport.model_validate_json(
            report.model_dump_json().replace("teacache", json.dumps(NASTY)[1:-1])
        )
    elif place == "error":
        report.analysis.cells[15].errors = [NASTY]
    elif place == "warning":
        report.warnings = [NASTY]
    elif place == "role":
        for line in report.showcases[0].timelines:
            line.denoisers = [NASTY] * len(line.denoisers)
    elif place == "metric":
        report = StudyReport.model_validate_json(
            report.model_dump_json().replace('"semantic"', json.dumps(NASTY))
        )
    else:
        for pair in report.analysis.pairs:
            pair.why, pair.kept, pair.index = NASTY, None, None
    made = page(report, tmp_path)
    shown = NASTY.replace("_", " ") if place == "metric" else NASTY
    assert shown in made.one("main")["text"]
    assert made.data == json.loads(report.model_dump_json())
    check_adds_no_markup(made, plain)


def test_no_word_turns_the_direction_of_those_that_follow():
    report = full()
    report.name = report.analysis.cells[3].name = report.environment["device"] = "a\u202eb\x1b[2J"
    made = page(report)
    assert not re.search("[\u202e\x1b]", made.text + made.one("header")["text"])
    assert "a\N{REPLACEMENT CHARACTER}b" in made.one("h1")["text"]
    assert made.data["name"] == report.name


def test_it_loads_nothing_runs_only_its_own_script_and_is_accessible(tmp_path: Path):
    made = page(with_videos(full(), tmp_path), tmp_path)
    check_loads_nothing(made)
    check_is_accessible(made)


def test_faster_is_further_right_and_better_is_further_up():
    report = full()
    (plot, *_) = plots(report, ["semantic"])
    cells = report.analysis.cells
    for one, other in pairwise(sorted(plot.points, key=lambda p: p.x)):
        first, second = (cells[point.number - 1].speedup.value for point in (one, other))
        assert first <= second
    for one, other in pairwise(sorted(plot.points, key=lambda p: p.y)):
        first, second = (cells[point.number - 1].loss["semantic"].value for point in (one, other))
        assert first <= second
    assert {point.name for point in plot.points if point.front} == {
        cell.name for cell in cells if cell.front["semantic"] > 0.5
    }


def test_every_point_of_a_factorial_has_a_label_and_no_two_labels_cover_each_other():
    for plot in plots(full(), ["semantic", "psnr_db", "ssim"]):
        for point in plot.points:
            named = point.name if point.front else str(point.number)
            assert point.wide.text == named
            assert point.narrow.text == str(point.number)
    points = [(100.0 + 3 * number, 100.0) for number in range(8)]
    labels = place(points, ["word"] * 8, Rectangle(0, 0, 400, 300))
    areas = []
    for (x, y), label in zip(points, labels, strict=True):
        left = x + label.x - {"start": 0, "middle": 13, "end": 26}[label.anchor]
        areas.append(Rectangle(left, y + label.y - 7, left + 26, y + label.y + 7))
    assert not any(one.overlap(other) for n, one in enumerate(areas) for other in areas[:n])


VALUES = st.sampled_from(
    [0.0, 1.0, -1.0, 0.5, 2.0, math.nan, math.inf, -math.inf, 5e-324, 1e-300, 1e99, 1e300, -1e99]
) | st.floats(-10, 10)
WORDS = st.sampled_from(["a", "b", "a + b", "", "|", "psnr_db", "own_metric", "none.mp4"])
LEAVES = {float: VALUES, int: st.integers(-1, 9), str: WORDS, Any: VALUES | WORDS}


@settings(max_examples=60, deadline=None, phases=PHASES)
@given(report=any_of(StudyReport, LEAVES))
def test_any_report_makes_a_page_without_a_number_that_is_none(report: StudyReport):
    made = page(report)
    assert made.data == json.loads(report.model_dump_json())
    said = [word.strip("(),;+\N{MINUS SIGN}" + TIMES) for word in made.text.lower().split()]
    assert not {"nan", "inf"} & set(said)
    assert not re.search(r"\b(nan|inf)\b|e\+", made.geometry)


@given(values=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=6))
def test_axes_hold_their_values_and_have_few_round_ticks(values: list[float]):
    for axis in (log_axis(values, 3.0, 97.0), linear_axis(values, 3.0, 97.0)):
        assert all(3 - 1e-6 <= axis.at(value) <= 97 + 1e-6 for value in values)
        ticks = axis.ticks()
        assert 2 <= len(ticks) <= 8
        assert all(2.5 <= axis.at(tick) <= 97.5 for tick in ticks)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_can_be_read_on_every_shade_of_the_heat_maps(scheme: str):
    named = page(empty()).colours()[scheme]
    shades = [name for name in named if name.startswith(("worse", "better"))]
    assert len(shades) == 8
    for name in shades:
        assert contrast(named[name], named["ink"]) >= 4.5, name
