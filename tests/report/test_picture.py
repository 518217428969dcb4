"""The timeline as a file of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opened_page import CHROMIUM, FAINT, MISSING, launched

from sraccel.errors import OutputError
from sraccel.report.model import Report
from sraccel.report.page.picture import save_timeline
from sraccel.report.page.timeline import timeline
from sraccel.report.steps import summary

MakeReport = Callable[..., Report]
SVG = "{http://www.w3.org/2000/svg}"
TIMES = "\N{MULTIPLICATION SIGN}"


def parsed(report: Report, folder: Path) -> ElementTree.Element:
    return ElementTree.parse(save_timeline(report, folder / "timeline.svg")).getroot()


def test_it_shows_what_the_page_s_timeline_shows(make_report: MakeReport, tmp_path: Path):
    report = make_report(count=12, switch=5)
    root, drawing = parsed(report, tmp_path), timeline(report)
    titles = [element.text for element in root.iter(f"{SVG}title")]
    boxes = [*drawing.band, *drawing.cells, *drawing.bars]
    assert titles[0] == (
        f"sageattention + srdiffusion + teacache, 3.42{TIMES} measured, 3.37{TIMES} predicted"
    )
    assert {box.title for box in boxes} <= set(titles)
    assert root.find(f"{SVG}desc").text == summary(report)
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert report.call["prompt"] in texts
    assert "switch to render at step 5" in texts
    assert [text for text in texts if len(text) > 1][-len(drawing.keys) :] == [
        key.text for key in drawing.keys
    ]


def test_it_needs_nothing_else_and_is_styled_for_light_and_dark(
    make_report: MakeReport, tmp_path: Path
):
    text = save_timeline(make_report(), tmp_path / "timeline.svg").read_text("utf-8")
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|<script|href|<image", text)
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    assert "prefers-color-scheme: dark" in text
    identifiers = re.findall(r' id="([^"]+)"', text)
    assert set(re.findall(r"url\(#([\w-]+)\)", text)) <= set(identifiers)
    assert len(identifiers) == len(set(identifiers))


@pytest.mark.parametrize("count", [1, 4, 50, 300])
def test_everything_stands_within_it(make_report: MakeReport, tmp_path: Path, count: int):
    root = parsed(make_report(count=count, switch=max(1, count // 3)), tmp_path)
    width, height = float(root.get("width")), float(root.get("height"))
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    for group in root.iter(f"{SVG}g"):
        if place := group.get("transform"):
            x, y = map(float, re.findall(r"[\d.]+", place))
            for part in [group, *group]:
                right = x + float(part.get("x", 0)) + float(part.get("width", 0))
                assert right <= width
                assert y + float(part.get("y", 0)) + float(part.get("height", 0)) <= height


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.text(min_size=1, max_size=20))
def test_any_words_leave_it_an_svg(bare_minimum: Report, tmp_path: Path, words: str):
    report = bare_minimum.model_copy(deep=True)
    report.call["prompt"] = report.outcome = report.steps[0].calls[0].branch = words
    report.steps[0].denoiser = words
    root = parsed(report, tmp_path)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        *("svg", "title", "desc", "style", "defs", "pattern", "rect", "text", "g", "line"),
        *("polyline", "path", "circle"),
    }


def test_what_was_not_measured_is_called_that(bare_minimum: Report, tmp_path: Path):
    texts = [element.text for element in parsed(bare_minimum, tmp_path).iter(f"{SVG}text")]
    assert texts.count("not measured") == 1


def test_a_run_without_steps_cannot_be_drawn_and_says_so(tmp_path: Path):
    report = Report(outcome="partial", num_inference_steps=4)
    with pytest.raises(OutputError, match="before its first step"):
        save_timeline(report, tmp_path / "timeline.svg")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
def test_it_can_be_read_in_light_and_in_dark_and_its_words_stand_within(
    make_report: MakeReport, tmp_path: Path
):
    text = save_timeline(make_report(), tmp_path / "timeline.svg").read_text("utf-8")
    with launched() as browser:
        grounds = set()
        for scheme in ("light", "dark"):
            page = browser.new_context(color_scheme=scheme).new_page()
            page.set_content(f"<body>{text}</body>")
            ground = page.evaluate("getComputedStyle(document.querySelector('.ground')).fill")
            page.evaluate("colour => { document.body.style.background = colour }", ground)
            grounds.add(ground)
            looked, faint = page.evaluate(FAINT)
            assert looked > 60
            assert faint == []
            assert page.evaluate(OUTSIDE) == []
        assert len(grounds) == 2


OUTSIDE = """() => {
    const frame = document.querySelector(".ground").getBoundingClientRect();
    return [...document.querySelectorAll("text")].filter(text => {
        const box = text.getBoundingClientRect();
        return box.width && (box.left < frame.left || box.right > frame.right
            || box.top < frame.top || box.bottom > frame.bottom);
    }).map(text => text.textContent);
}"""
"""Words that stick out of the picture."""
