"""The page in a real browser: it plays in step, loads nothing, fits, and can be used by keyboard.

Skipped where no Chromium is installed (`apt-get install chromium`), or Playwright's Python package
(in the extra `dev`) is missing. Playwright's own browsers are not needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opened_page import (
    CHROMIUM,
    MISSING,
    Opened,
    Visits,
    check_fits_and_reads,
    check_tab_key_reaches,
    launched,
    unscripted,
)

from sraccel.report.model import Report
from sraccel.report.page import save_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MakeReport = Callable[..., Report]
FRAME = 1 / 8  # of the fixture's videos, in seconds
NASTY = "</script><img src=x onerror=alert(1)><script>alert(2)</script>" + "long" * 60

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)

BRIGHTEST = """() => {
    const canvas = document.querySelector("#difference");
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
    copy.drawImage(canvas, 0, 0);
    const data = copy.getImageData(0, 0, canvas.width, canvas.height).data;
    let [brightest, sum] = [0, 0];
    for (let place = 0; place < data.length; place++) {
        if (place % 4 === 3) continue;
        brightest = Math.max(brightest, data[place]);
        sum += data[place];
    }
    return [brightest, sum];
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


Open = Callable[..., Opened]


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Opens the page of a report; afterwards, nothing may have been said or asked for."""
    visits = Visits(browser)

    def visit(report: Report, videos: dict[str, Path], width: int = 1280, **more: Any) -> Opened:
        path = save_page(report, tmp_path / f"report-{len(visits.pages)}.html", videos)
        opened = visits.open(path, width, **more)
        if videos:
            opened.settle()
        return opened

    yield visit
    visits.end()


def full_of_foreign_words(make_report: MakeReport) -> Report:
    """A hundred steps, and words in every place that try to run, and to be too wide."""
    report = make_report(count=100, switch=30)
    report.call["prompt"] = report.accelerators[1].name = NASTY
    report.warnings.append(NASTY)
    report.accelerators[0].notes[NASTY] = report.environment["platform"] = NASTY
    report.recipe = {"name": NASTY, "accelerators": [{"use": NASTY}]}
    report.model = {"transformer": {"class": NASTY, "name_or_path": NASTY}}
    return report


def test_it_fits_can_be_read_and_runs_nothing_foreign(
    visit: Open, make_report: MakeReport, two_videos: dict[str, Path]
):
    for report in (make_report(), full_of_foreign_words(make_report)):
        for width in (1280, 390):
            check_fits_and_reads(visit(report, two_videos, width), width, 200)


@pytest.mark.parametrize("ways", [("bare", "accelerated"), ("bare", "accelerated", "rival")])
def test_on_a_phone_the_figures_come_first_then_the_videos_and_the_difference_last_and_smaller(
    ways: tuple[str, ...], visit: Open, make_report: MakeReport, two_videos: dict[str, Path]
):
    page = visit(make_report(), dict.fromkeys(ways, two_videos["bare"]), 390).page
    names = ["figures", *(f"video-{way}" for way in ways), "difference"]
    figures, *shown, difference = [page.locator(f"#{name}").bounding_box() for name in names]
    assert figures["y"] + figures["height"] <= shown[0]["y"]
    assert shown[0]["y"] == shown[1]["y"], "what is compared stands side by side"
    assert all(one["y"] <= difference["y"] for one in shown)
    assert all(one["width"] > 1.1 * difference["width"] for one in shown)


def test_the_schemes_differ(visit: Open, make_report: MakeReport):
    grounds = {
        scheme: visit(make_report(), {}, color_scheme=scheme).page.evaluate(
            "getComputedStyle(document.body).backgroundColor"
        )
        for scheme in ("light", "dark")
    }
    assert grounds["light"] != grounds["dark"]


def test_videos_play_in_step_by_keyboard_through_a_loop_and_pause_together(
    visit: Open, make_report: MakeReport, two_videos: dict[str, Path]
):
    opened = visit(make_report(), two_videos)
    play = opened.page.locator("#play")
    assert play.text_content() == "Play"
    play.focus()
    opened.page.keyboard.press("Space")
    assert play.text_content() == "Pause"
    assert opened.page.locator("#state").text_content() == "Playing"
    seen = opened.drift(3000)  # the videos take 2 s
    assert seen["worst"] < FRAME
    assert max(seen["times"]) > 1.8
    turns = [after < before for before, after in pairwise(seen["times"])]
    assert sum(turns) == 1  # it began again, once
    opened.page.keyboard.press("Enter")
    assert play.text_content() == "Play"
    assert opened.page.locator("#state").text_content().startswith("Paused at frame")
    opened.settle()
    one, other = opened.times
    assert one == pytest.approx(other, abs=1e-4)  # the browser rounds
    assert opened.drift(150)["times"][-1] == one  # at rest


def test_seeking_moves_both_videos_at_rest_and_at_play(
    visit: Open, make_report: MakeReport, two_videos: dict[str, Path]
):
    opened = visit(make_report(), two_videos)
    bar = opened.page.locator("#seek")
    bar.focus()
    for _ in range(5):
        opened.page.keyboard.press("ArrowRight")
    opened.settle()
    assert opened.times == [pytest.approx(5.5 * FRAME)] * 2
    assert bar.get_attribute("aria-valuetext") == "frame 6 of 16, 0.63 s"
    assert opened.page.locator("#position").text_content() == "frame 6 of 16, 0.63 s"
    opened.page.keyboard.press("End")
    opened.settle()
    assert opened.times == [pytest.approx(15.5 * FRAME)] * 2
    opened.page.locator("#play").click()
    opened.page.wait_for_timeout(300)
    bar.focus()
    opened.page.keyboard.press("Home")
    for _ in range(4):
        opened.page.keyboard.press("PageUp")
    seen = opened.drift(600)
    assert seen["worst"] < FRAME
    assert seen["times"][-1] > seen["times"][0]


def test_videos_that_were_pulled_apart_come_together_again(
    visit: Open, make_report: MakeReport, two_videos: dict[str, Path]
):
    opened = visit(make_report(), two_videos)
    opened.page.locator("#play").click()
    opened.page.evaluate("document.querySelectorAll('video')[1].currentTime += 1")
    opened.page.wait_for_timeout(400)
    assert opened.drift(400)["worst"] < FRAME


def test_the_page_plays_by_itself_unless_less_motion_is_wanted(
    visit: Open, make_report: MakeReport, two_videos: dict[str, Path]
):
    moving = visit(make_report(), two_videos, reduced_motion="no-preference")
    still = visit(make_report(), two_videos)
    moving.until("document.querySelector('video').currentTime > 0.1")
    assert moving.page.locator("#state").text_content() == ""  # nobody asked: no announcement
    assert moving.page.locator("#play").text_content() == "Pause"
    assert still.times == [0, 0]
    assert still.page.locator("#play").text_content() == "Play"


def test_the_difference_is_seen_where_videos_differ_grows_with_its_factor_and_is_else_nothing(
    visit: Open, make_report: MakeReport, two_videos: dict[str, Path]
):
    opened = visit(make_report(), two_videos)
    bright, at_eight = opened.page.evaluate(BRIGHTEST)
    assert bright > 100
    opened.page.locator("#amplify").select_option("1")
    _, at_one = opened.page.evaluate(BRIGHTEST)
    assert 0 < at_one < at_eight
    label = opened.page.locator("#difference").get_attribute("aria-label")
    assert label == "Difference of the first two frames, amplified 1 times"
    same = visit(make_report(), dict.fromkeys(two_videos, two_videos["bare"]))
    for number in (0, 8):
        same.page.locator("#seek").fill(str(number))
        same.settle()
        assert same.page.evaluate(BRIGHTEST) == [0, 0]


@pytest.mark.parametrize("width", [1280, 390])
def test_the_tab_key_reaches_every_control_and_shows_where_it_is(
    visit: Open, make_report: MakeReport, two_videos: dict[str, Path], width: int
):
    report = make_report()
    report.recipe = {"accelerators": []}
    controls = "a, button, input, select, summary, .drawing .scroll"
    names = {"play", "seek", "amplify", "copy", "save"}
    check_tab_key_reaches(visit(report, two_videos, width), controls, names)


def test_a_drawing_that_is_too_wide_says_so_and_shades_the_edge_behind_which_it_goes_on(
    visit: Open, make_report: MakeReport
):
    page = visit(make_report(), {}, width=390).page
    hint, box = page.locator("#sideways"), page.locator(".drawing .scroll")

    def shaded() -> tuple[float, ...]:
        page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")
        style = "getComputedStyle(document.querySelector('.drawing'), '{}').opacity"
        return tuple(float(page.evaluate(style.format(edge))) for edge in ("::before", "::after"))

    assert hint.is_visible()
    assert box.get_attribute("aria-describedby") == "sideways"
    assert shaded() == (0, 1)
    box.evaluate("box => box.scrollLeft = 200")
    assert shaded() == (1, 1)
    box.evaluate("box => box.scrollLeft = box.scrollWidth")
    assert shaded() == (1, 0)
    page.set_viewport_size({"width": 1280, "height": 800})
    assert shaded() == (0, 0)
    assert not hint.is_visible()
    assert box.get_attribute("aria-describedby") is None


def test_the_recipe_is_copied_and_the_report_saved_as_they_are(
    visit: Open, make_report: MakeReport, two_videos: dict[str, Path]
):
    report = make_report()
    report.recipe = {"name": "a <b> & c", "accelerators": []}
    opened = visit(report, {}, permissions=["clipboard-read", "clipboard-write"])
    opened.page.locator("#copy").click()
    opened.until("document.querySelector('#copy').textContent === 'Copied'")
    copied = opened.page.evaluate("navigator.clipboard.readText()")
    assert copied == "name: a <b> & c\naccelerators: []\n"
    with opened.page.expect_download() as download:
        opened.page.locator("#save").click()
    saved = Path(download.value.path()).read_text(encoding="utf-8")
    assert json.loads(saved) == json.loads(report.to_json())


def test_without_javascript_all_but_the_difference_is_there(
    visit: Open, make_report: MakeReport, two_videos: dict[str, Path], browser: Browser
):
    with unscripted(browser, visit(make_report(), two_videos).page.url) as plain:
        assert plain.locator("video[controls]").count() == 2
        assert plain.locator(".plot").is_visible()
        assert plain.locator(".legend").is_visible()
        for selector in ("#play", "#difference", "#copy", "#save"):
            assert not plain.locator(selector).is_visible()
