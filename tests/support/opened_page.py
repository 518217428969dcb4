"""Pages in a real browser, for tests: one that asks for nothing by itself.

Playwright's own browsers are not needed, only its Python package (in the extra `dev`) and an
installed Chromium (`apt-get install chromium`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = (
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MISSING = f"no Chromium is installed (looked for {', '.join(NAMES)})"

VIDEOS = "[...document.querySelectorAll('video')].filter(video => video.offsetParent)"
"""Those that are shown."""

DRIFT = f"""milliseconds => new Promise(done => {{
    const [one, ...others] = {VIDEOS};
    const began = performance.now(), times = [];
    let worst = 0;
    const look = () => {{
        for (const other of others)
            worst = Math.max(worst, Math.abs(one.currentTime - other.currentTime));
        times.push(one.currentTime);
        if (performance.now() - began < milliseconds) requestAnimationFrame(look);
        else done({{worst, times}});
    }};
    look();
}})"""
"""Watches the videos: the greatest distance to the first one, and where that one was."""

FAINT = """() => {
    const parts = colour => colour.match(/[\\d.]+/g).map(Number);
    const luminance = colour => {
        const [r, g, b] = parts(colour).map(value => value / 255)
            .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = element => {
        for (let here = element; here; here = here.parentElement) {
            const colour = getComputedStyle(here).backgroundColor;
            if ((parts(colour)[3] ?? 1) > 0) return colour;
        }
        return "rgb(255, 255, 255)";
    };
    const under = element => {  // a letter in a drawing stands on the rectangle before it
        const box = element.closest("g")?.querySelector("rect") ?? element.previousElementSibling;
        const on = element.matches("[class*=on-]") && box?.closest("g, svg");
        const rect = box?.matches("rect") ? box : box?.querySelector("rect");
        return on && rect ? getComputedStyle(rect).fill : ground(element);
    };
    const found = [];
    let looked = 0;
    for (const element of document.body.querySelectorAll("*")) {
        const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
        const style = getComputedStyle(element);
        if (!own || !element.getClientRects().length || element.closest("script, title")) continue;
        const drawn = element.namespaceURI.endsWith("svg");
        const [ink, paper] = drawn ? [style.fill, under(element)] : [style.color, ground(element)];
        const [low, high] = [luminance(ink), luminance(paper)].sort((a, b) => a - b);
        const ratio = (high + 0.05) / (low + 0.05);
        looked += 1;
        if (ratio < 4.5) found.push([element.tagName, element.textContent.slice(0, 30), ratio]);
    }
    return [looked, found];
}"""
"""Texts whose contrast is below WCAG AA, and how many texts there are."""


MARKED = """() => {
    const [here, ring] = [document.activeElement, document.activeElement.querySelector(".touch")];
    return getComputedStyle(here).outlineStyle === "solid"
        || Boolean(ring) && getComputedStyle(ring).stroke !== "none";
}"""
"""Whether what has the focus shows it; a mark of a plot by a ring of its own."""


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser; skips the test where Playwright is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Opened:
    """A page, what its console said, and what it asked the network for."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def times(self) -> list[float]:
        return self.page.evaluate(f"{VIDEOS}.map(v => v.currentTime)")

    def settle(self) -> None:
        """Wait until all videos show the frame that was asked for, and the page knows."""
        self.until(f"{VIDEOS}.every(v => !v.seeking && v.readyState > 1)")
        self.page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")

    def until(self, condition: str) -> None:
        """Wait for it; Playwright's own waiting takes `eval`, which the page's policy forbids."""
        self.page.evaluate(
            f"""async () => {{
                const late = performance.now() + 5000;
                while (!({condition})) {{
                    if (performance.now() > late) throw new Error("waited in vain");
                    await new Promise(done => setTimeout(done, 10));
                }}
            }}"""
        )

    def drift(self, milliseconds: int) -> dict[str, Any]:
        return self.page.evaluate(DRIFT, milliseconds)


class Visits:
    """Opens pages; in the end, none may have said anything or asked for anything."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.contexts: list[Any] = []
        self.pages: list[Opened] = []

    def open(self, path: Path, width: int = 1280, **more: Any) -> Opened:
        more = {"reduced_motion": "reduce", **more}
        viewport = {"width": width, "height": 800}
        self.contexts.append(self.browser.new_context(viewport=viewport, **more))
        opened = Opened(self.contexts[-1].new_page())
        opened.page.on("console", lambda message: opened.said.append(message.text))
        opened.page.on("pageerror", lambda error: opened.said.append(str(error)))
        opened.page.on("dialog", lambda dialog: opened.said.append(dialog.message))
        opened.page.on("request", lambda request: opened.asked.append(request.url))
        opened.page.goto(path.as_uri())
        self.pages.append(opened)
        return opened

    def end(self) -> None:
        for context in self.contexts:
            context.close()
        for opened in self.pages:
            assert opened.said == []
            loaded = [url for url in opened.asked if not url.startswith(("data:", "blob:"))]
            assert [url.startswith("file:") for url in loaded] == [True]


def check_fits_and_reads(opened: Opened, width: int, texts: int) -> None:
    """Nothing is wider than the window, details included, or faint, be it light or dark.

    There are so many texts at least.

    What scrolls in a box of its own may be wider.
    """
    opened.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    outside = opened.page.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg'))"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML)"
    )
    assert outside == []
    for scheme in ("light", "dark"):
        opened.page.emulate_media(color_scheme=scheme)
        looked, faint = opened.page.evaluate(FAINT)
        assert looked > texts
        assert faint == [], scheme
    assert opened.page.locator("img").count() == 0


def check_tab_key_reaches(opened: Opened, controls: str, names: set[str]) -> None:
    """The Tab key leads to all of these controls in order, and each shows that it is reached."""
    opened.page.evaluate(
        "all => document.querySelectorAll(all).forEach((e, n) => { e.id ||= `control-${n}` })",
        controls,
    )
    wanted = opened.page.locator(controls).evaluate_all(
        "all => all.filter(e => e.getClientRects().length).map(e => e.id)"
    )
    reached: list[str] = []
    for _ in range(2 * len(wanted)):
        opened.page.keyboard.press("Tab")
        focused = opened.page.evaluate(
            "document.activeElement.id || document.activeElement.tagName"
        )
        if focused == "BODY":
            break
        reached.append(focused)
        assert opened.page.evaluate(MARKED), focused
    assert [name for name in reached if name in wanted] == wanted
    assert names <= set(reached)


@contextmanager
def unscripted(browser: Browser, address: str) -> Iterator[Page]:
    """The page of an address in a browser that runs no JavaScript."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    yield page
    context.close()
