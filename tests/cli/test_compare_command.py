"""`sraccel compare`: two reports side by side, and what differs in how they were made."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Sraccel, unframed
from made_study import full

from sraccel.report.model import AcceleratorRecord, Report, Speedup, Timing


def saved(folder: Path, threshold: float, measured: float) -> Path:
    folder.mkdir()
    timing = Timing(seconds=1.0, repeats=[1.0, 1.0])
    Report(
        outcome="finished",
        num_inference_steps=4,
        call={"prompt": "a <b>red</b> circle", "seed": 0},
        recipe={"accelerators": [{"use": "teacache", "threshold": threshold, "variant": "auto"}]},
        speedup=Speedup(measured=measured, measured_range=(measured, measured)),
        baseline=timing,
        accelerated=timing,
        accelerators=[AcceleratorRecord(name="teacache")],
    ).save(folder / "report.json")
    return folder


def test_figures_and_differences_stand_side_by_side(sraccel: Sraccel, tmp_path: Path) -> None:
    one, other = saved(tmp_path / "one", 0.1, 1.5), saved(tmp_path / "other", 0.2, 2.5)
    page = tmp_path / "compare.html"
    done = sraccel("compare", str(one), str(other), "--out", str(page))
    assert done.exit_code == 0
    said = unframed(done.stdout)
    assert "1.50x" in said
    assert "2.50x" in said
    assert "teacache.threshold 0.1 0.2" in said
    assert "Recipe: 2 more are the same" in said
    assert "Call: 2 more are the same" in said
    text = page.read_text()
    assert "teacache.threshold" in text
    assert str(tmp_path) not in text + said.partition("wrote ")[0]  # short names: `one`, `other`
    assert "The other 2 are the same in both" in text
    assert "<b>red</b>" not in text
    assert "default-src &#39;none&#39;" in text


def test_studies_are_put_beside_each_other_too(sraccel: Sraccel, tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        full().save(tmp_path / name / "report.json")
    done = sraccel("compare", str(tmp_path / "one"), str(tmp_path / "other"))
    assert done.exit_code == 0
    assert "Full stack" in done.stdout
    assert "Cells:" in done.stdout  # all the same


@pytest.mark.parametrize("text", ["", "{", "[]", '{"analysis": 3}', '{"schema_version": 2}'])
def test_what_is_no_report_is_refused(sraccel: Sraccel, tmp_path: Path, text: str) -> None:
    one = saved(tmp_path / "one", 0.1, 1.5)
    (tmp_path / "report.json").write_text(text)
    assert sraccel("compare", str(one), str(tmp_path)).exit_code == 2


def test_a_report_whose_figures_were_changed_does_not_verify(
    sraccel: Sraccel, tmp_path: Path
) -> None:
    folder = saved(tmp_path / "one", 0.1, 1.5)
    done = sraccel("report", str(folder), "--verify")
    assert done.exit_code == 2
    assert "speedup.measured: the report says 1.5, its raw figures give 1.0" in done.stdout
