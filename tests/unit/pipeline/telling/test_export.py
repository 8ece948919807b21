"""Files out: by their ending, whole or not at all, and nothing in them that a spreadsheet would run."""

import csv
import stat
import sys
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from whenbuy.core.errors import AccessError, UsageError
from whenbuy.pipeline.telling.export import ENDINGS, require_ending, write_frame

EVIL = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|' /C calc'!A0"]
FRAME = pl.DataFrame(
    {
        "user_id": ["a", "b,c", 'd"e', None], "as_of": [datetime(2020, 1, 1, tzinfo=UTC)] * 4, "p": [0.5, None, -1.0, 1e-9],
        "n": [1, -2, None, 3],
    }
)  # fmt: skip


def test_a_table_comes_back_as_it_was(tmp_path):
    for ending in ENDINGS:
        write_frame(FRAME, tmp_path / f"out{ending}")
    assert_frame_equal(pl.read_parquet(tmp_path / "out.parquet"), FRAME, check_exact=True)
    back = pl.read_csv(tmp_path / "out.csv", try_parse_dates=True)
    assert_frame_equal(back.select("user_id", "p", "n"), FRAME.select("user_id", "p", "n"), check_exact=True)
    lines = pl.read_ndjson(tmp_path / "out.jsonl")
    assert_frame_equal(lines.select("user_id", "p", "n"), FRAME.select("user_id", "p", "n"), check_exact=True)


def test_formulas_get_an_apostrophe_in_csv_and_numbers_do_not(tmp_path):
    write_frame(pl.DataFrame({"user_id": EVIL, "gain": [-1.5] * len(EVIL)}), tmp_path / "out.csv")
    back = pl.read_csv(tmp_path / "out.csv")
    assert back["user_id"].to_list() == ["'" + text for text in EVIL]
    assert back["gain"].to_list() == [-1.5] * len(EVIL)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20), min_size=1, max_size=8))
def test_no_text_begins_as_a_formula(tmp_path_factory, texts):
    path = tmp_path_factory.getbasetemp() / "texts.csv"
    write_frame(pl.DataFrame({"text": texts, "number": list(range(len(texts)))}), path)
    with path.open(encoding="utf-8", newline="") as file:
        _, *back = csv.reader(file)
    assert [number for _, number in back] == [str(place) for place in range(len(texts))]
    for before, (after, _) in zip(texts, back, strict=True):
        assert after in (before, "'" + before)
        assert not after.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_formulas_stay_what_they_are_in_files_that_nobody_runs(tmp_path):
    for ending, reader in ((".parquet", pl.read_parquet), (".jsonl", pl.read_ndjson)):
        write_frame(pl.DataFrame({"user_id": EVIL}), tmp_path / f"out{ending}")
        assert reader(tmp_path / f"out{ending}")["user_id"].to_list() == EVIL


@pytest.mark.parametrize("name", ["out.xlsx", "out", "out.csv.gz", ".csv"])
def test_another_ending_is_refused_before_the_work(tmp_path, name):
    with pytest.raises(UsageError, match=r"Tables are written as \.parquet, \.csv, \.jsonl"):
        require_ending(tmp_path / name)
    with pytest.raises(UsageError):
        write_frame(FRAME, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_endings_are_read_as_people_write_them(tmp_path):
    write_frame(FRAME, tmp_path / "OUT.CSV")
    assert pl.read_csv(tmp_path / "OUT.CSV")["n"].to_list() == FRAME["n"].to_list()


def test_an_empty_table_has_its_columns(tmp_path):
    for ending in (".parquet", ".csv"):
        write_frame(FRAME.clear(), tmp_path / f"out{ending}")
    assert pl.read_csv(tmp_path / "out.csv").columns == pl.read_parquet(tmp_path / "out.parquet").columns == FRAME.columns


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "out.csv"
    write_frame(FRAME, path)
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(AccessError, match="No space left"):
        write_frame(FRAME.head(1), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are the system's own there")
def test_a_forecast_is_for_its_owner_alone(tmp_path):
    write_frame(FRAME, tmp_path / "out.csv")
    assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) == 0o600


def test_the_same_table_gives_the_same_bytes(tmp_path):
    for ending in ENDINGS:
        for name in ("one", "other"):
            write_frame(FRAME, tmp_path / f"{name}{ending}")
        assert (tmp_path / f"one{ending}").read_bytes() == (tmp_path / f"other{ending}").read_bytes()
