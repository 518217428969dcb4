"""Pages read as files, for tests."""

from __future__ import annotations

import json
from html.parser import HTMLParser

VOID = {"meta", "input", "br"}


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
