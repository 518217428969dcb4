"""The page of a study in a real browser: it plays, sorts, filters and chooses, fits, loads nothing.

Skipped where no Chromium is installed, or Playwright's Python package is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from made_study import full, with_failure, with_videos
from opened_page import (
    CHROMIUM,
    MISSING,
    VIDEOS,
    Opened,
    Visits,
    check_fits_and_reads,
    check_tab_key_reaches,
    launched,
    unscripted,
)

from sraccel.files import save_text
from sraccel.study.report.page import render_page
from sraccel.study.results import StudyReport

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Open = Callable[..., Opened]
FRAME = 1 / 8  # of the made videos, in seconds
NASTY = "</script><img src=x onerror=alert(1)><script>alert(2)</script>|\u202e" + "long" * 60

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyReport, Path]:
    """A factorial, and the folder of its videos: six of each of two blocks."""
    folder = tmp_path_factory.mktemp("study")
    return with_videos(full(), folder), folder


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Opens the page of a study; afterwards, nothing may have been said or asked for."""
    visits = Visits(browser)

    def visit(report: StudyReport, folder: Path, width: int = 1280, **more: Any) -> Opened:
        path = save_text(render_page(report, folder), tmp_path / f"report-{len(visits.pages)}.html")
        opened = visits.open(path, width, **more)
        opened.settle()
        return opened

    yield visit
    visits.end()


def full_of_foreign_words(folder: Path) -> StudyReport:
    """Words in every place that try to run, and to be too wide."""
    report = with_failure(with_videos(full(), folder))
    text = report.model_dump_json().replace("teacache", json.dumps(NASTY)[1:-1])
    report = StudyReport.model_validate_json(text)
    report.name = report.description = report.showcases[0].prompt = NASTY
    report.prompts = report.warnings = report.analysis.cells[15].errors = [NASTY]
    report.model = {"transformer": {"class": NASTY}}
    report.environment["device"] = NASTY
    for line in report.showcases[0].timelines:
        line.denoisers = [NASTY if role == "render" else role for role in line.denoisers]
    return report


def test_it_fits_can_be_read_and_runs_nothing_foreign(
    visit: Open, shown: tuple[StudyReport, Path], tmp_path: Path
):
    for report, folder in (shown, (full_of_foreign_words(tmp_path), tmp_path)):
        for width in (1280, 390):
            check_fits_and_reads(visit(report, folder, width), width, 500)


def test_six_videos_play_in_step_through_a_loop_and_other_blocks_and_pause_together(
    visit: Open, shown: tuple[StudyReport, Path]
):
    opened = visit(*shown)
    play = opened.page.locator("#play")
    play.click()
    opened.until(f"{VIDEOS}.every(video => !video.paused)")
    seen = opened.drift(2500)  # the videos take 2 s
    assert seen["worst"] < FRAME
    assert any(after < before for before, after in pairwise(seen["times"]))
    for block in ("2", "1", "2"):
        opened.page.locator("[data-choose=take]").nth(0).select_option(block)
    opened.until(f"{VIDEOS}.every(video => !video.paused && !video.seeking)")
    assert opened.drift(500)["worst"] < FRAME
    assert play.text_content() == "Pause"
    hidden = "[...document.querySelectorAll('video')].filter(v => !v.offsetParent)"
    assert opened.page.evaluate(f"{hidden}.every(video => video.paused)")
    play.click()
    assert play.text_content() == "Play"
    opened.settle()
    assert len(opened.times) == 6
    assert len(set(opened.times)) == 1


def test_another_block_changes_all_videos_and_strips_and_stays_at_the_frame(
    visit: Open, shown: tuple[StudyReport, Path]
):
    opened = visit(*shown)
    page = opened.page
    opened.page.locator("#seek").fill("5")
    opened.settle()
    before = page.evaluate(f"{VIDEOS}.map(video => video.src)")
    page.locator("[data-choose=take]").nth(0).select_option("2")
    opened.settle()
    after = page.evaluate(f"{VIDEOS}.map(video => video.src)")
    assert len(after) == 6
    assert not set(before) & set(after)
    assert opened.times == [pytest.approx(5.5 * FRAME)] * 6
    assert page.locator("[data-choose=take]").nth(1).input_value() == "2"
    assert page.locator(".strips:visible").count() == 1
    assert "two yellow triangles" in page.locator("#steps .said:visible").first.text_content()


VALUES = """column => [...document.querySelectorAll('#cells tbody tr')].map(row => {
    const cell = row.cells[column];
    return cell.dataset.value ?? (cell.querySelector('.name') ?? cell).textContent.trim();
})"""


ORDER = "[...document.querySelectorAll('#cells [aria-sort]')].map(h => h.ariaSort)"


def test_every_column_sorts_numbers_as_numbers_with_what_is_missing_last_and_says_so(
    visit: Open, shown: tuple[StudyReport, Path]
):
    page = visit(with_failure(shown[0].model_copy(deep=True)), shown[1]).page
    buttons = page.locator("#cells .sort")
    assert buttons.count() == page.locator("#cells thead th").count() == 12
    for column in (0, *range(3, 12)):
        first = "ascending" if column == 0 else "descending"
        other = "descending" if column == 0 else "ascending"
        for order in (first, other):
            buttons.nth(column).focus()
            page.keyboard.press("Enter")
            assert page.evaluate(ORDER) == [order]
            values = page.evaluate(VALUES, column)
            known = [float(value) for value in values if value]
            assert known == sorted(known, reverse=order == "descending")
            assert not any(values[len(known) :])


def test_names_and_kinds_sort_as_words_and_numbers_within_them_as_numbers(
    visit: Open, shown: tuple[StudyReport, Path]
):
    page = visit(*shown).page
    for column, first, last in ((1, "12 steps", "teacache +"), (2, "bare", "stack")):
        page.locator("#cells .sort").nth(column).click()
        assert page.evaluate(ORDER) == ["ascending"]
        ascending = page.evaluate(VALUES, column)
        assert ascending[0] == first
        assert ascending[-1].startswith(last)
        page.locator("#cells .sort").nth(column).click()
        assert page.evaluate(VALUES, column)[-1] == first


def test_filters_narrow_the_rows_and_the_count_says_how_many(
    visit: Open, shown: tuple[StudyReport, Path]
):
    page = visit(*shown).page
    count = page.locator("#shown")
    assert count.text_content() == "19 of 19 cells shown"
    page.locator(".with").nth(0).select_option("1")
    assert count.text_content() == "8 of 19 cells shown"
    page.locator(".with").nth(1).select_option("0")
    assert count.text_content() == "4 of 19 cells shown"
    assert page.locator("#cells tbody tr:visible").count() == 4
    page.locator("#search").fill("BF16")
    assert count.text_content() == "2 of 19 cells shown"
    page.locator("#reset").click()
    page.locator("#kind").select_option("plain_steps")
    assert count.text_content() == "3 of 19 cells shown"
    assert count.get_attribute("role") == "status"


def test_another_metric_changes_the_plot_the_heat_map_and_the_shares(
    visit: Open, shown: tuple[StudyReport, Path]
):
    page = visit(*shown).page
    selects = page.locator("[data-choose=metric]")
    assert selects.count() == 3
    for place, metric in enumerate(("ssim", "psnr_db", "semantic")):
        selects.nth(place).select_option(metric)
        shown_parts = page.locator("[data-metric]:visible")
        assert shown_parts.evaluate_all("all => all.map(e => e.dataset.metric)") == [metric] * 3
        assert [selects.nth(n).input_value() for n in range(3)] == [metric] * 3


def test_a_point_says_what_it_is_by_pointer_and_by_keyboard(
    visit: Open, shown: tuple[StudyReport, Path]
):
    page = visit(*shown).page
    points = page.locator(".pareto:visible .field .point")
    points.last.hover()
    readout = page.locator(".pareto:visible .readout")
    assert points.last.get_attribute("data-said") in readout.text_content()
    first = page.locator(".pareto:visible .field .point[tabindex='0']")
    assert first.count() == 1
    first.focus()
    assert "sageattention" in readout.text_content()  # the slowest
    page.keyboard.press("ArrowRight")
    assert "1 · bare" in readout.text_content()
    page.keyboard.press("End")
    assert "12 steps" in readout.text_content()
    assert "\N{MULTIPLICATION SIGN}" in readout.text_content()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_tab_key_reaches_every_control(
    visit: Open, shown: tuple[StudyReport, Path], width: int
):
    names = {"play", "seek", "search", "kind", "reset", "copy", "save"}
    check_tab_key_reaches(visit(*shown, width), "a, button, input, select, summary", names)


def test_the_report_is_saved_as_it_is(visit: Open, shown: tuple[StudyReport, Path]):
    report = full(names=("teacache",))
    opened = visit(report, shown[1])
    with opened.page.expect_download() as download:
        opened.page.locator("#save").click()
    assert download.value.suggested_filename == "report.json"
    saved = Path(download.value.path()).read_text(encoding="utf-8")
    assert StudyReport.model_validate_json(saved) == report


def test_without_javascript_everything_is_there_but_the_controls(
    visit: Open, shown: tuple[StudyReport, Path], browser: Browser
):
    counts = {"video[controls]": 12, "#cells tbody tr:visible": 19, ".pareto .field:visible": 3}
    counts |= {".matrix:visible": 4, ".strips:visible": 2}
    with unscripted(browser, visit(*shown).page.url) as plain:
        assert {selector: plain.locator(selector).count() for selector in counts} == counts
        for selector in ("#play", ".filters", ".sort", ".choose", "#save", "#shown", ".readout"):
            assert not plain.locator(selector).and_(plain.locator(":visible")).count()


def test_a_page_without_videos_has_no_player_and_still_chooses_blocks(visit: Open):
    opened = visit(full(), Path("nowhere"))
    assert opened.page.locator("#play").count() == 0
    opened.page.locator("[data-choose=take]").select_option("2")
    assert opened.page.locator(".strips:visible").count() == 1


def test_a_block_whose_videos_are_lost_hides_the_controls_and_says_so(visit: Open, tmp_path: Path):
    report = with_videos(full(names=("teacache",)), tmp_path)
    for path in report.showcases[1].videos.values():
        (tmp_path / path).unlink()
    page = visit(report, tmp_path).page
    assert page.locator("#play").is_visible()
    page.locator("[data-choose=take]").nth(0).select_option("2")
    assert not page.locator("#play").is_visible()
    assert page.locator(".take .trouble").is_visible()
    page.locator("[data-choose=take]").nth(0).select_option("1")
    assert page.locator("#play").is_visible()
