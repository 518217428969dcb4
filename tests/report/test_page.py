"""The page of a run, read as a file: what stands in it, and what cannot get into it."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml
from any_of import PHASES, any_of
from hypothesis import given, settings
from hypothesis import strategies as st
from parsed_page import (
    Page,
    check_adds_no_markup,
    check_is_accessible,
    check_loads_nothing,
    contrast,
)

from sraccel.errors import OutputError
from sraccel.recipe.recipe import Recipe
from sraccel.report.model import (
    AcceleratorRecord,
    CallRecord,
    ColumnRecord,
    HandoffRecord,
    Report,
    Speedup,
    StepRecord,
)
from sraccel.report.origin import Origin
from sraccel.report.page import render_page, save_page
from sraccel.report.page.attribution import MARGIN, attribution
from sraccel.report.page.timeline import timeline
from sraccel.video.mp4 import save_video

MakeReport = Callable[..., Report]
NASTY = "</script></style><!--<script><img src=x onerror=alert(1)>\"'&{{7*7}}</pre>"


def page(report: Report, videos: dict[str, Path] | None = None) -> Page:
    return Page(render_page(report, videos or {}))


def three_branches(count: int = 100) -> Report:
    """A run with two guidance scales: three branches a step, and three models."""
    steps = []
    for index in range(count):
        role = ("transformer", "transformer_2", "render")[3 * index // count]
        calls = [
            CallRecord(
                branch=name, requested="transformer", denoiser=role, reused=index % 3 == place
            )
            for place, name in enumerate(("cond", "uncond", "cond_without_image"))
        ]
        steps.append(StepRecord(index=index, denoiser=role, seconds=0.1, calls=calls))
    return Report(outcome="finished", num_inference_steps=count, steps=steps)


def test_the_parts_come_in_the_order_of_what_a_reader_needs(
    make_report: MakeReport, two_videos: dict[str, Path]
):
    report = make_report()
    report.handoff = HandoffRecord(kind="identity")
    headings = [element["text"] for element in page(report, two_videos).all("h2")]
    assert headings == [
        "Read this first",
        "Figures",
        "Videos, in step",
        "Timeline",
        "Who contributed what",
        "Switch and hand-off",
        "The call",
        "Recipe",
        "Versions and environment",
    ]


@pytest.mark.parametrize("place", ["prompt", "warning", "name", "recipe", "branch", "role", "note"])
def test_words_from_outside_are_text_wherever_they_stand(make_report: MakeReport, place: str):
    plain, report = page(make_report(count=6, switch=3)), make_report(count=6, switch=3)
    if place == "prompt":
        report.call["prompt"] = NASTY
    elif place == "warning":
        report.warnings = [NASTY]
    elif place == "name":
        report.accelerators[0].name = NASTY
    elif place == "recipe":
        report.recipe = {NASTY: [NASTY]}
    elif place == "note":
        report.accelerators[0].notes = {NASTY: {NASTY: NASTY}, "more": [NASTY]}
    for step in report.steps:
        for call in step.calls:
            call.branch = NASTY if place == "branch" and call.branch == "cond" else call.branch
            call.denoiser = step.denoiser = NASTY if place == "role" else call.denoiser
    made = page(report)
    assert NASTY in made.one("main")["text"]
    assert made.data == json.loads(report.to_json())
    check_adds_no_markup(made, plain)


# HTML has no NUL and makes one line end of all; PyYAML makes a space of NEL.
WORDS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\x85"), max_size=40
)


@settings(max_examples=40)
@given(words=WORDS, key=WORDS.filter(bool), warning=WORDS)
def test_any_words_come_back_as_they_were(words: str, key: str, warning: str):
    report = Report(
        outcome="finished",
        num_inference_steps=1,
        call={"prompt": words},
        recipe={"name": words, "note": {key: words}},
        accelerators=[AcceleratorRecord(name=key, notes={key: words})],
        warnings=[warning],
    )
    made = page(report)
    assert made.data == json.loads(report.to_json())
    assert made.one("h1")["text"] == key
    assert [item["text"] for item in made.all("li")][:1] == [warning]
    assert len(made.all("script")) == 2
    assert yaml.safe_load(made.one("pre")["text"]) == report.recipe


def test_it_loads_nothing_runs_only_its_own_script_and_is_accessible(
    make_report: MakeReport, two_videos: dict[str, Path]
):
    made = page(make_report(), two_videos)
    check_loads_nothing(made)
    check_is_accessible(made)


def test_the_videos_are_in_the_page_the_bare_one_first(
    make_report: MakeReport, two_videos: dict[str, Path]
):
    made = page(make_report(), dict(reversed(two_videos.items())))
    videos = made.all("video")
    assert [video["id"] for video in videos] == ["video-bare", "video-accelerated"]
    for video, path in zip(videos, two_videos.values(), strict=True):
        assert base64.b64decode(video["src"].split(",")[1]) == path.read_bytes()
        assert "controls" in video  # without JavaScript, the browser's own are there
    (player,) = made.all("div", class_="player")
    assert (player["data-fps"], player["data-frames"]) == ("8.0", "16")


def test_frames_that_look_broken_for_their_size_are_explained(bare_minimum: Report, tmp_path: Path):
    frames = np.zeros((2, 48, 64, 3), np.uint8)
    enlarged = save_video(frames, tmp_path / "small.mp4")
    text = page(bare_minimum, {"accelerated": enlarged}).text
    assert "The model makes videos of 64 by 48 pixels, shown larger here" in text
    large = save_video(np.zeros((2, 208, 208, 3), np.uint8), tmp_path / "large.mp4", min_side=0)
    assert "shown larger" not in page(bare_minimum, {"accelerated": large}).text


def test_the_frames_of_a_video_that_does_not_say_how_many_it_has_are_counted(
    bare_minimum: Report, two_videos: dict[str, Path], tmp_path: Path
):
    """A fragmented MP4, as cameras and streams write it."""
    path, options = tmp_path / "video.mp4", {"movflags": "frag_keyframe+empty_moov"}
    with av.open(str(two_videos["bare"])) as source, av.open(str(path), "w", options=options) as to:
        stream = to.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                to.mux(packet)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 0
    (player,) = page(bare_minimum, {"accelerated": path}).all("div", class_="player")
    assert player["data-frames"] == "16"


def test_notes_on_the_page_stand_after_the_report_s_warnings(make_report: MakeReport):
    text = render_page(make_report(), {}, [NASTY])
    made = Page(text)
    notices = [item["text"] for item in made.all("li", dir="auto")]
    assert notices == [*make_report().warnings, NASTY]
    assert made.data == json.loads(make_report().to_json())


def test_without_a_bare_video_there_is_no_difference(
    bare_minimum: Report, two_videos: dict[str, Path]
):
    made = page(bare_minimum, {"accelerated": two_videos["accelerated"]})
    assert len(made.all("video")) == 1
    assert not made.all("canvas")
    assert not page(bare_minimum).all("section", id="videos")


@pytest.mark.parametrize("content", [None, b"", b"not a video", b"\0" * 5000])
def test_a_file_that_is_no_video_is_named_and_no_page_is_left(
    bare_minimum: Report, tmp_path: Path, content: bytes | None
):
    video = tmp_path / "video.mp4"
    if content is not None:
        video.write_bytes(content)
    with pytest.raises(OutputError, match=r"video\.mp4"):
        save_page(bare_minimum, tmp_path / "report.html", {"accelerated": video})
    assert not (tmp_path / "report.html").exists()


def test_a_run_that_failed_before_its_first_step_says_so_first():
    report = Report(outcome="failed: RuntimeError: boom", num_inference_steps=50, warnings=["w"])
    made = page(report)
    first, second = (item["text"] for item in made.all("li"))
    assert first == "The run is not whole: failed: RuntimeError: boom; 0 of 50 steps were taken."
    assert second == "w"
    assert "ended before its first step" in made.text
    assert "The recipe has no accelerators" in made.text


def test_every_call_is_a_cell_hatched_where_it_was_reused_and_lettered_where_not(
    make_report: MakeReport,
):
    report = make_report(count=12, switch=5)
    drawing = timeline(report)
    calls = [call for step in report.steps for call in step.calls]
    assert len(drawing.cells) == len(calls)
    for cell, call in zip(drawing.cells, calls, strict=True):
        assert cell.reused == call.reused
        assert cell.letter == ("" if call.reused else call.denoiser[0].upper())
    assert [box.title for box in drawing.band] == [
        "transformer, steps 0 to 4",
        "render, steps 5 to 11",
    ]
    (switch,) = drawing.switches
    assert switch.text == "switch to render at step 5"


@pytest.mark.parametrize("count", [1, 2, 50, 100, 1000])
def test_everything_stands_within_the_drawing(make_report: MakeReport, count: int):
    report = make_report(count=count, switch=max(1, count // 3))
    report.steps[0].measured = {"srdiffusion.d": -0.2, "srdiffusion.rate": -0.03}
    drawing = timeline(report)
    boxes = [*drawing.band, *drawing.cells, *drawing.bars]
    assert min(box.x for box in boxes) >= 0
    assert max(box.x + box.width for box in boxes) <= drawing.width
    assert max(box.y + box.height for box in boxes) <= drawing.height
    assert all(drawing.seconds.top - 0.01 <= box.y for box in drawing.bars)
    (panel,) = drawing.measured
    for x, y in [point for curve in panel.curves for point in curve.points]:
        assert 0 <= x <= drawing.width
        assert panel.top - 0.01 <= y <= panel.bottom


def test_a_step_s_bars_are_as_high_as_its_seconds(make_report: MakeReport):
    report = make_report(count=8, switch=4)
    drawing = timeline(report)
    panel = drawing.seconds
    for position, step in enumerate(report.steps):
        x = drawing.cells[2 * position].x + 1
        height = sum(bar.height for bar in drawing.bars if bar.x == x)
        share = height / (panel.bottom - panel.top)
        assert share * panel.highest == pytest.approx(1000 * step.seconds)


def test_each_accelerator_that_measures_has_a_panel_and_zero_was_measured(bare_minimum: Report):
    assert timeline(bare_minimum).measured == []
    keys = ("o.a.x", "o.a.y", "b.x")
    bare_minimum.columns = {key: ColumnRecord(label=key, description="some") for key in keys}
    assert [panel.missing for panel in timeline(bare_minimum).measured] == ["not measured"] * 2
    bare_minimum.steps[1].measured = {"o.a.y": 0.0}
    drawing = timeline(bare_minimum)
    first, second = drawing.measured
    assert (first.name, first.missing) == ("o.a", "")
    assert [[y for _, y in curve.points] for curve in first.curves] == [[], [first.bottom]]
    assert (second.name, second.missing) == ("b", "not measured")
    assert [key.text for key in drawing.keys if key.mark == "diamond"] == ["o.a.y: some"]


def test_all_of_a_hundred_steps_of_three_branches_are_drawn_and_in_the_table():
    report = three_branches(100)
    made = page(report)
    assert len(made.one("table", class_="steps")["text"].split("\n")) > 100
    assert [row["text"] for row in made.all("td")].count("render (switch)") == 1
    assert len([row for row in made.all("th", scope="row") if row["text"].isdigit()]) == 100
    drawing = timeline(report)
    assert len(drawing.cells) == 300
    assert [row.full for row in drawing.rows] == ["cond", "uncond", "cond_without_image"]
    assert len({row.y for row in drawing.rows}) == 3
    assert len(drawing.switches) == 2
    assert "cond_without_image: 67 computed, 33 reused" in made.text


def test_a_branch_that_a_step_lacks_is_called_that(make_report: MakeReport):
    report = make_report(count=4, switch=4)
    del report.steps[2].calls[1]
    assert "no call" in page(report).one("table", class_="steps")["text"]


RATIOS = st.floats(0.05, 20) | st.none()
EXTREMES = st.sampled_from([math.nan, math.inf, 5e-324, 1e-300, 1e99, 1e150, 1e300, 1e308])
NUMBERS = st.floats(-10, 1e6) | EXTREMES
COUNTS = st.integers(0, 99) | st.sampled_from([10**99, 10**101, 10**400])


@given(ratios=st.lists(st.tuples(RATIOS, RATIOS, st.booleans()), max_size=6), measured=RATIOS)
def test_bars_begin_where_the_one_before_ended_and_end_at_the_product(
    ratios: list[tuple[float | None, float | None, bool]], measured: float | None
):
    records = [
        AcceleratorRecord(name=str(index), factor=factor, overhead=overhead, estimated=estimated)
        for index, (factor, overhead, estimated) in enumerate(ratios)
    ]
    chosen = [factor if factor is not None else overhead for factor, overhead, _ in ratios]
    product = math.prod(ratio for ratio in chosen if ratio is not None)
    speedup = Speedup(predicted=product, measured=measured)
    made = attribution(
        Report(outcome="finished", num_inference_steps=1, accelerators=records, speedup=speedup)
    )
    predicted = next(bar for bar in made.bars if bar.label == "predicted")
    rows = made.bars[: len(records)]
    assert [bar.width is None for bar in rows] == [ratio is None for ratio in chosen]
    drawn = sum(
        math.copysign(bar.width, ratio - 1)
        for bar, ratio in zip(rows, chosen, strict=True)
        if ratio is not None
    )
    assert drawn == pytest.approx(math.copysign(predicted.width, product - 1), abs=1e-6)
    for bar in made.bars:
        if bar.width is not None:
            assert bar.start >= MARGIN - 1e-6
            assert bar.start + bar.width <= 100 - MARGIN + 1e-6


NAMES = st.sampled_from(["cond", "render", "a.x", "a.y", "ssim"])
LEAVES = {float: NUMBERS, int: COUNTS, str: NAMES, bool: st.booleans(), Any: NUMBERS | NAMES}


@settings(max_examples=150, phases=PHASES)
@given(report=any_of(Report, {**LEAVES, Origin: st.none()}))
def test_any_report_makes_a_page(report: Report):
    made = page(report)
    assert made.data == json.loads(report.to_json())
    assert Report.from_json(report.to_json()).to_json() == report.to_json()
    assert "nan" not in made.text.lower().split()
    assert not re.search(r"\b(nan|inf)\b", made.geometry)


@pytest.mark.parametrize("factor", [1e300, 1e-300, 1e90, 1e-90])
def test_factors_whose_product_is_no_number_are_drawn_all_the_same(factor: float):
    records = [AcceleratorRecord(name=name, factor=factor) for name in "abcde"]
    report = Report(outcome="finished", num_inference_steps=1, accelerators=records)
    made = attribution(report)
    drawn = [bar for bar in made.bars if bar.width is not None]
    assert len(drawn) == (5 if 1e-100 < factor < 1e100 else 0)
    for bar in drawn:
        assert bar.width == pytest.approx((100 - 2 * MARGIN) / 5)
    assert len(page(report).one("table", class_="bars")["text"]) < 800


def test_the_recipe_of_the_page_can_be_used_again(tmp_path: Path, bare_minimum: Report):
    bare_minimum.recipe = Recipe.load("demo").model_dump(mode="json")
    copied = tmp_path / "recipe.yaml"
    copied.write_text(page(bare_minimum).one("pre")["text"], encoding="utf-8")
    assert Recipe.load(copied) == Recipe.load("demo")


def test_a_module_in_a_recipe_comes_with_a_note(bare_minimum: Report):
    bare_minimum.recipe = {"accelerators": [{"use": "srdiffusion", "render": "<Wan>"}]}
    assert "write its name in its place" in page(bare_minimum).text


TEXT = [
    *[(ink, ground) for ink in ("ink", "muted", "accent") for ground in ("paper", "surface")],
    ("ink", "notice"),
    ("on-accent", "accent"),
    *[("on-m", f"m{number}") for number in range(4)],
]
GRAPHICS = [
    *[(f"m{number}", "paper") for number in range(4)],
    *[(f"m{number}", f"m{number}-pale") for number in range(4)],
    *[(name, "paper") for name in ("edge", "rest", "notice-edge", "muted")],
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_contrast(scheme: str):
    """WCAG AA: 4.5 for text, 3 for what must be seen of a control or a drawing."""
    named = page(Report(outcome="finished", num_inference_steps=1)).colours()[scheme]
    ratios = {pair: contrast(*(named[name] for name in pair)) for pair in TEXT + GRAPHICS}
    assert not {pair: ratio for pair, ratio in ratios.items() if pair in TEXT and ratio < 4.5}
    assert not {pair: ratio for pair, ratio in ratios.items() if ratio < 3}
