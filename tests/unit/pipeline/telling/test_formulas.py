"""S8: no cell of a CSV file is run by a spreadsheet, whatever customers are called; and the harness sees one that is."""

import csv
import itertools

import polars as pl
import pytest

from whenbuy.pipeline.telling import export
from whenbuy.pipeline.telling.export import write_frame

BEGINNINGS = ("=", "+", "-", "@", "\t", "\r", "\n")
REST = ("1+1", "SUM(A1)", "cmd|' /C calc'!A0", 'HYPERLINK("http://x","y")', "", "=", " ", "é", "'", '"', ",")


def run_by_a_spreadsheet(folder):
    """The names that a spreadsheet would run in a file with all kinds of them."""
    names = ["".join(parts) for parts in itertools.product(BEGINNINGS, REST)] + ["plain", "a=1", "1-2", "", "'=1"]
    write_frame(pl.DataFrame({"user_id": names, "reason": names[::-1], "n": range(len(names))}), folder / "out.csv")
    with (folder / "out.csv").open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    assert len(rows) == len(names)
    return sorted({cell for row in rows for cell in row[:2] if cell.startswith(BEGINNINGS)})


def test_nothing_in_a_file_is_run(tmp_path):
    assert run_by_a_spreadsheet(tmp_path) == []


@pytest.mark.parametrize("forgotten", ["=", "+", r"\-", "@", r"\t", r"\r", r"\n"])
def test_the_harness_finds_an_escape_that_forgets_one(tmp_path, monkeypatch, forgotten):  # a planted bug
    monkeypatch.setattr(export, "_FORMULA", export._FORMULA.replace(forgotten, ""))
    assert run_by_a_spreadsheet(tmp_path)
