"""Pages read as files, for tests: their elements, and what holds of every page."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "input", "br"}
LOADING = ("src", "href", "data", "action", "poster", "srcset", "xlink:href")
PLACES = ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height", "points", "d")


class Page(HTMLParser):
    """A page's elements in order, each with its attributes and its text, checked for nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[dict] = []
        self.elements: list[dict] = []
        self.comments: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, [element["tag"] for element in self.open]

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.elements.append({"tag": tag, "text": "", **dict(attrs)})
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.elements.append({"tag": tag, "text": "", **dict(attrs)})

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element["text"] += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def all(self, tag: str, **attributes: str) -> list[dict]:
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [
            element
            for element in self.elements
            if element["tag"] == tag and wanted.items() <= element.items()
        ]

    def one(self, tag: str, **attributes: str) -> dict:
        (element,) = self.all(tag, **attributes)
        return element

    @property
    def data(self) -> dict:
        return json.loads(self.one("script", id="report")["text"])

    @property
    def text(self) -> str:
        return " ".join(self.one("main")["text"].split())

    @property
    def tags(self) -> set[str]:
        return {element["tag"] for element in self.elements}

    @property
    def geometry(self) -> str:
        """Where the drawings' parts are, and how large."""
        return " ".join(e[name] for e in self.elements for name in PLACES if name in e)

    def colours(self) -> dict[str, dict[str, str]]:
        """The style sheet's named colours in `light` and in `dark`."""
        parts = re.findall(r":root \{(.*?)\}", self.one("style")["text"], re.DOTALL)
        named = [dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for part in parts]
        light = {name: colour for part in named[::2] for name, colour in part.items()}
        dark = {name: colour for part in named[1::2] for name, colour in part.items()}
        return {"light": light, "dark": light | dark}


def check_loads_nothing(page: Page) -> None:
    """Nothing is loaded from anywhere, and the policy allows no script but the page's own."""
    for element in page.elements:
        for name in LOADING:
            assert element.get(name, "#").startswith(("#", "data:video/mp4;base64,")), element
    assert not {"link", "iframe", "object", "base", "form"} & page.tags
    style, script = page.one("style")["text"], page.all("script")[1]["text"]
    assert "@import" not in style
    assert set(re.findall(r"url\((.)", style)) <= {"#"}
    assert not re.search(r"https?://|//\w", style + script)
    (policy,) = (element["content"] for element in page.all("meta") if "http-equiv" in element)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert dict(rule.split(" ", 1) for rule in policy.split("; ")) == {
        "default-src": "'none'",
        "script-src": f"'sha256-{digest}'",
        "style-src": "'unsafe-inline'",
        "media-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def check_adds_no_markup(page: Page, plain: Page) -> None:
    """Words from outside made nothing that a plain page has not, but for paragraphs and lists."""
    assert not page.comments
    assert not page.all("img")
    assert not [name for element in page.elements for name in element if name.startswith("on")]
    assert len(page.all("script")) == len(plain.all("script")) == 2
    assert len(page.all("style")) == 1
    assert page.tags <= plain.tags | {"p", "span", "dl", "dt", "dd", "pre", "code"}


def check_is_accessible(page: Page) -> None:
    """Regions, controls and tables have names, references lead somewhere, headings no gaps."""
    names = Counter(element["id"] for element in page.elements if "id" in element)
    assert max(names.values()) == 1
    for element in page.elements:
        references = (element.get("aria-labelledby"), element.get("data-hint"))
        for reference in (*references, element.get("href", "")[1:] or None):
            assert reference is None or reference in names
    for section in page.all("section"):
        assert "aria-labelledby" in section
    named = ("video", "input", "canvas")
    for element in [e for tag in named for e in page.all(tag)] + page.all("g", role="img"):
        assert element.get("aria-label") or element["type"] == "search"
    for region in page.all("div", role="region"):
        assert region["aria-label"]
        assert region["tabindex"] == "0"
    assert len(page.all("main")) == len(page.all("header")) == len(page.all("h1")) == 1
    assert page.one("html")["lang"] == "en"
    assert page.one("p", id="state")["aria-live"] == "polite"
    assert all(table["text"].strip() for table in page.all("table"))
    assert len(page.all("caption")) == len(page.all("table"))
    levels = [int(e["tag"][1]) for e in page.elements if re.fullmatch("h[1-6]", e["tag"])]
    assert all(after - before <= 1 for before, after in pairwise(levels))


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)
