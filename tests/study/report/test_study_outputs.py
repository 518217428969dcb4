"""A study as CSV, and in a terminal; its files."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from made_study import full, with_failure
from rich.console import Console

from sraccel.errors import OutputError
from sraccel.report.table import plain
from sraccel.study.report.csv_files import cells_csv, effects_csv
from sraccel.study.report.outputs import FILES, save_report
from sraccel.study.report.table import table
from sraccel.study.results import Order, StudyReport


def terminal(report: StudyReport, width: int = 80) -> str:
    return plain(table(report), width)


def test_all_files_are_written_and_a_folder_that_is_missing_is_named(tmp_path: Path):
    save_report(full(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    with pytest.raises(OutputError, match="nowhere"):
        save_report(full(), tmp_path / "nowhere")


def test_cells_csv_has_a_row_a_cell_and_numbers_that_come_back():
    report = with_failure(full())
    rows = list(csv.DictReader(io.StringIO(cells_csv(report))))
    assert len(rows) == len(report.analysis.cells)
    for row, cell in zip(rows, report.analysis.cells, strict=True):
        assert row["name"] == cell.name
        assert row["accelerators"] == " + ".join(cell.accelerators)
        assert int(row["failed"]) == cell.failed
        if cell.speedup is None:
            assert row["speedup"] == row["semantic"] == ""
        else:
            assert float(row["speedup"]) == cell.speedup.value
            assert float(row["speedup_low"]) == cell.speedup.low
            assert float(row["loss_psnr_db_high"]) == cell.loss["psnr_db"].high
            assert float(row["front_semantic"]) == cell.front["semantic"]
    assert "OutOfMemoryError" in rows[15]["errors"]


def test_effects_csv_has_a_row_an_effect_of_each_outcome():
    report = full(exact=True)
    rows = list(csv.DictReader(io.StringIO(effects_csv(report))))
    assert len(rows) == 15 * 4
    assert {row["outcome"] for row in rows} == {
        "speedup",
        "loss_semantic",
        "loss_psnr_db",
        "loss_ssim",
    }
    (row,) = (
        row
        for row in rows
        if row["outcome"] == "speedup" and row["accelerators"] == "srdiffusion + teacache"
    )
    assert (row["order"], row["average"], row["average_low"]) == ("2", "0.871", "")


@pytest.mark.parametrize("name", ["=1+1", "+a", "-a", "@a", "\t=a"])
def test_no_spreadsheet_takes_a_name_for_a_formula(name: str):
    report = full()
    report.analysis.cells[0].name = name
    (row, *_) = csv.DictReader(io.StringIO(cells_csv(report)))
    assert row["name"] == "'" + name


def test_the_terminal_shows_warnings_the_full_stack_and_every_cell():
    report = with_failure(full())
    shown = terminal(report, 200)
    assert shown.index("emulated kernel") < shown.index("Full stack")
    assert "12 of 12 runs failed: OutOfMemoryError" in " ".join(shown.replace("│", "").split())
    for cell in report.analysis.cells:
        assert cell.name in shown
    assert "not measured" in shown
    words = " ".join(terminal(full(), 140).split())
    assert "Full stack 3.65x (3.54 to 3.76; of the denoising loop)" in words
    assert "PSNR 21.4 dB" in words
    assert (
        "srdiffusion and teacache have 0.871 (0.857 to 0.885) of the product of their speedups"
        in words
    )
    assert "they lose to each other: 87 % of the product of their speedups" in words


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_names_stay(width: int):
    shown = terminal(full(), width)
    assert max(map(len, shown.splitlines())) <= width
    assert "srdiffusion + teacache" in shown
    assert "3.54 to 3.76" in shown
    assert "…" not in shown


def test_the_terminal_needs_no_unicode(tmp_path):
    report = full()
    report.analysis.orders = [Order(first="a", second="b", factor=None, why="of one block")]
    with (tmp_path / "plain.txt").open("w", encoding="ascii") as file:
        Console(file=file, width=100).print(table(report))
    text = (tmp_path / "plain.txt").read_text(encoding="ascii")
    assert "3.65x" in text
    assert "of one block" in text


def test_words_are_shown_as_they_are_but_for_what_a_terminal_would_obey():
    report = full()
    report.warnings = ["see [bold] and accelerators[1]"]
    report.name = report.analysis.cells[3].name = "a\x1b[2Jb\u202e"
    shown = terminal(report)
    assert "see [bold] and accelerators[1]" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_print_and_str_of_a_report_show_the_table_and_repr_is_short():
    report = full()
    assert "Do they add up?" in str(report)
    assert "Predicted from pairs" in str(report)
    assert repr(report) == "StudyReport(demo factorial: 19 cells in 6 blocks, 228 of 228 runs)"
