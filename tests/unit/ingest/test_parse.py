"""Times, numbers and names are read as a person would read the whole column."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.clock import Clock
from whenbuy.core.errors import ColumnError
from whenbuy.ingest.parse import AttributeEvidence, DayEvidence, DecimalEvidence, names, numbers
from whenbuy.ingest.times import TimeReader

NOON = datetime(2017, 1, 3, 10, 0, tzinfo=UTC)


def times(values: list[object], **settings: object) -> list[datetime | None]:
    return TimeReader("t", **settings).read(pl.Series("t", values, strict=False)).to_list()


@pytest.mark.parametrize(
    "text",
    [
        "2017-01-03 10:00", "2017-01-03T10:00:00Z", "2017/1/3 10:00:00", "2017-01-03T10:00:00.000000", "2017-01-03 10:00:00,000",
        "3.1.2017 10:00", "03/01/2017 10:00", "03-01-17 10:00", "03/01/2017 10:00:00 AM", "3 Jan 2017 10:00", "03-JAN-17 10:00",
        "January 3, 2017 10:00 am", "2017年1月3日 10:00", "20170103100000", "201701031000", "20170103 10:00", "2017-01-03 11:00:00+01:00",
        "2017-01-03 11:00:00+0100", "2017-01-03T12:00:00+02", "2017-01-03 10:00 UTC", "1483437600", "1483437600000", "1483437600000000",
        "1483437600000000000", "1483437600.0", "  2017-01-03 10:00  ",
    ],
)  # fmt: skip
def test_every_way_to_write_one_instant(text: str) -> None:
    assert times([text, None]) == [NOON, None]


@pytest.mark.parametrize(
    "value", [1483437600, 1483437600000, 1483437600000000, 1483437600000000000, 1483437600.0, NOON, NOON.replace(tzinfo=None)]
)
def test_numbers_and_date_times_are_instants_by_their_magnitude(value: object) -> None:
    assert times([value, None]) == [NOON, None]


def test_dates_alone_and_numbers_like_dates_are_local_midnights() -> None:
    midnight = datetime(2017, 1, 3, tzinfo=ZoneInfo("Europe/Berlin"))
    for values in (["2017-01-03"], [20170103], ["20170103"], [midnight.date()]):
        assert times(values, zone="Europe/Berlin") == [midnight]


@pytest.mark.parametrize(
    "text", ["yesterday", "2017-13-01", "31.02.2017", "0001-01-01", "", "nan", "12", "99999999999999999999999", "10:00"]
)
def test_what_is_no_time_is_null(text: str) -> None:
    assert times([text, "2017-01-03 10:00"]) == [None, NOON]
    assert times([text]) == [None]


def test_formats_may_change_along_the_column() -> None:
    reader = TimeReader("t")
    column = pl.Series("t", ["2017-01-03"] * 500 + ["2017-01-03 10:00"] + ["2017-01-03 10:00:00.5"] * 500)
    assert reader.read(column).null_count() == 0
    assert len(reader.formats) == 3


def test_times_with_and_without_a_zone_are_not_mixed() -> None:
    for values in (["2017-01-03T10:00:00Z", "2017-01-03 10:00:00"], ["2017-01-03T10:00:00+01:00", "2017-01-03"]):
        with pytest.raises(ColumnError, match="mixes times with a zone"):
            times(values)
    reader = TimeReader("t")
    reader.read(pl.Series(["2017-01-03T10:00:00Z"]))
    with pytest.raises(ColumnError, match="mixes"):
        reader.read(pl.Series(["2017-01-03 10:00:00"]))


@given(
    st.lists(st.datetimes(datetime(1975, 1, 1), datetime(2100, 1, 1)), min_size=1, max_size=20),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo", "UTC", "Etc/GMT+5"]),
)
def test_local_times_are_what_python_says_gaps_and_folds_included(moments: list[datetime], zone: str) -> None:
    wanted = [moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for moment in moments]
    assert TimeReader("t", zone).read(pl.Series(moments, dtype=pl.Datetime("us"))).to_list() == wanted
    texts = [moment.isoformat(" ", "microseconds") for moment in moments]
    assert times(texts, zone=zone) == wanted
    aware = [moment.replace(tzinfo=timezone(timedelta(hours=3, minutes=30))) for moment in moments]
    assert times([moment.isoformat() for moment in aware], zone=zone) == aware


def test_gaps_and_folds_are_counted_and_agree_with_the_clock() -> None:
    reader = TimeReader("t", "Europe/Berlin")
    texts = ["2017-03-26 02:30", "2017-10-29 02:30", "2017-07-01 12:00"]
    found = reader.read(pl.Series(texts)).to_physical().to_list()
    assert (reader.gaps, reader.folds) == (1, 1)
    assert found == [Clock("Europe/Berlin").instant(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "point", "comma"),
    [
        ("12.5", 12.5, None), ("12,5", None, 12.5), ("1,234.50", 1234.5, None), ("1.234,50", None, 1234.5), ("1.234", 1.234, 1234.0),
        ("1,234", 1234.0, 1.234), ("1'234", 1234.0, 1234.0), ("1 234", 1234.0, 1234.0), ("1\u202f234", 1234.0, 1234.0),
        ("$12", 12.0, 12.0), ("12 €", 12.0, 12.0), ("EUR 12", 12.0, 12.0), ("R$ 12", 12.0, 12.0), ("-12", -12.0, -12.0),
        ("(12)", -12.0, -12.0), ("12-", -12.0, -12.0), ("€ -12", -12.0, -12.0), ("1e3", 1000.0, 1000.0),
        ("12abc34", None, None), ("12 34", None, None), ("abc", None, None),
    ],
)  # fmt: skip
def test_numbers_under_either_decimal_mark(text: str, point: float | None, comma: float | None) -> None:
    for mark, wanted in ((".", point), (",", comma)):
        found, bad = numbers(pl.Series("n", [text, None]), mark)
        assert found.to_list() == [wanted, None]
        assert (bad is not None and bad.to_list() == [True, False]) == (wanted is None)


def test_missing_numbers_are_null_and_never_bad() -> None:
    found, bad = numbers(pl.Series(["", "NaN", "inf", "-inf", "n/a", "NULL", "None", "-", None, "1"]))
    assert bad is None
    assert found.to_list() == [None] * 9 + [1.0]


def test_typed_numbers_stay_as_they_are() -> None:
    for column in (pl.Series([1, None]), pl.Series([1.5, float("nan")])):
        assert numbers(column)[0] is column


def test_names_lose_space_and_empty_ones_are_none() -> None:
    found, bad = names(pl.Series([" a ", "", "  ", "null", "NaN", None, "é"]))
    assert (found.to_list(), bad) == (["a", None, None, None, None, None, "é"], None)
    assert names(pl.Series(["null"]), empty_words=False)[0].to_list() == ["null"]
    assert names(pl.Series(["a", " b ", ""], dtype=pl.Categorical))[0].to_list() == ["a", "b", None]


def test_names_with_nul_or_of_enormous_length_cannot_be_kept() -> None:
    for kind in (pl.String, pl.Categorical):
        _, bad = names(pl.Series(["a\0b", "x" * 100_000, "x" * 1024, None], dtype=kind))
        assert bad is not None
        assert bad.to_list() == [True, True, False, False]


def test_whole_numbers_written_with_a_point_are_whole() -> None:
    assert names(pl.Series([17850.0, None, float("nan")]), whole=True)[0].to_list() == [17850, None, None]
    assert names(pl.Series(["17850.0", "", "x"]), whole=True)[0].to_list() == ["17850", None, "x"]
    assert names(pl.Series([1.0, 2.5]), whole=True)[1].to_list() == [False, True]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("texts", "day_first", "sure"),
    [
        (["03/04/2017", "25/04/2017"], True, 1.0),
        (["04/03/2017", "04/25/2017"], False, 1.0),
        (["25/04/2017"] * 9 + ["04/25/2017"], True, 0.9),
        (["01/02/2017", "02/02/2017", "01/03/2017"], True, 0.7),
        (["02/01/2017", "02/02/2017", "03/01/2017"], False, 0.7),
        (["03.04.2017"], True, 0.6),
        (["03/04/2017 10:00 PM"], False, 0.6),
        (["03/04/2017"], True, 0.5),
    ],
)
def test_day_or_month_first_is_decided_by_the_whole_column(texts: list[str], day_first: bool, sure: float) -> None:
    evidence = DayEvidence()
    for text in texts:
        evidence.see(pl.Series([text]))
    if sure == 0.7:  # what tells is the order of the rows
        evidence = DayEvidence()
        evidence.see(pl.Series(texts))
    assert evidence.verdict()[:2] == (day_first, sure)


@pytest.mark.parametrize(
    ("texts", "separator", "mark"),
    [
        (["1,50", "2,00"], ",", ","), (["1.50", "2"], ";", "."), (["1.234,5"], None, ","), (["1,234.5"], None, "."), (["1,234"], ";", ","),
        (["1,234"], ",", "."), (["12"], ";", "."), (["1,50", "2,50", "3.50"], None, ","), (["12,50 €"], None, ","),
    ],
)  # fmt: skip
def test_the_decimal_mark_is_decided_by_the_whole_file(texts: list[str], separator: str | None, mark: str) -> None:
    evidence = DecimalEvidence()
    evidence.see(pl.Series(texts))
    assert evidence.verdict(separator)[0] == mark


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (["true", "No", ""], [True, False, None]), (["1", "-20", ""], [1, -20, None]), (["1.5", "2", "NaN"], [1.5, 2.0, None]),
        (["007", "8"], ["007", "8"]), (["1", "x"], ["1", "x"]), (["", ""], [None, None]),
    ],
)  # fmt: skip
def test_attributes_are_what_they_hold_throughout(texts: list[str], wanted: list[object]) -> None:
    evidence = AttributeEvidence()
    evidence.see(pl.Series(texts))
    assert evidence.read(pl.Series(texts), ".").to_list() == wanted
