from __future__ import annotations

import json
from typing import get_args

import pytest
from command import Sraccel
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sraccel.demo.pair import DEMO
from sraccel.models.known_pairs import (
    EVIDENCE,
    HANDOFFS,
    PAIRS,
    Evidence,
    Handoff,
    KnownPair,
    pairs_of,
)
from sraccel.models.loading import HUB_NAME
from sraccel.recipe.catalogue import installed


@pytest.mark.parametrize("width", [80, 100, 200])
def test_pairs_lists_every_pair_at_any_width(
    sraccel: Sraccel, monkeypatch: pytest.MonkeyPatch, width: int
):
    monkeypatch.setenv("COLUMNS", str(width))
    result = sraccel("pairs")
    assert result.exit_code == 0
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert max(map(len, lines)) <= width
    for pair in PAIRS:
        first, *others = [
            line for line in lines if line.startswith(f"{pair.sketch} ") or line == pair.sketch
        ]
        assert pair.family in first or any(pair.family in line for line in others)
        assert any(line.split()[:1] == [pair.render] for line in lines), "a name was broken up"
    assert "change of" in result.stdout
    assert "…" not in result.stdout, "a cell was cut off"
    assert EVIDENCE["plausible"] in " ".join(result.stdout.split())


def test_pairs_of_a_name_says_all_that_is_known(sraccel: Sraccel):
    shown = " ".join(sraccel("pairs", "COGVIDEOX-2b").stdout.split())
    (pair,) = pairs_of("cogvideox-2b")
    for fact in (pair.sketch, pair.render, pair.known, pair.unverified, pair.source):
        assert fact in shown
    assert HANDOFFS[pair.handoff] in shown
    assert "Wan" not in shown
    assert "unverified:" not in sraccel("pairs", "demo").stdout


def test_pairs_of_an_unknown_name_says_so(sraccel: Sraccel):
    result = sraccel("pairs", "no-such-model")
    assert result.exit_code == 2
    assert "no-such-model" in result.stderr


def test_pairs_as_json_is_complete(sraccel: Sraccel):
    data = json.loads(sraccel("pairs", "--json").stdout)
    assert [KnownPair(**item) for item in data["pairs"]] == list(PAIRS)
    assert data["handoffs"] == HANDOFFS
    assert data["evidence"] == EVIDENCE
    only = json.loads(sraccel("pairs", "vega", "--json").stdout)["pairs"]
    assert [item["render"] for item in only] == ["segmind/Segmind-Vega"]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.sketch}-{pair.render}")
def test_a_pair_has_usable_names_and_says_how_it_is_known(pair: KnownPair):
    for name in (pair.sketch, pair.render):
        assert name == DEMO or HUB_NAME.fullmatch(name)
    assert pair.family in {adapter.family for adapter in installed().adapters}
    assert pair.handoff in get_args(Handoff)
    assert pair.evidence in get_args(Evidence)
    assert pair.known
    assert pair.source
    assert pair.unverified or pair.evidence != "unverified"
    with pytest.raises(ValidationError):
        pair.sketch = "other"


def test_no_pair_is_listed_twice_and_every_word_is_explained():
    assert len({(pair.sketch, pair.render) for pair in PAIRS}) == len(PAIRS)
    assert set(HANDOFFS) == set(get_args(Handoff)) == {pair.handoff for pair in PAIRS}
    assert set(EVIDENCE) == set(get_args(Evidence)) == {pair.evidence for pair in PAIRS}


@given(st.sampled_from(PAIRS), st.data())
def test_any_part_of_a_models_name_finds_its_pairs(pair: KnownPair, data: st.DataObject):
    name = data.draw(st.sampled_from([pair.sketch, pair.render]))
    start = data.draw(st.integers(0, len(name) - 1))
    end = data.draw(st.integers(start + 1, len(name)))
    assert pair in pairs_of(name[start:end].upper())
