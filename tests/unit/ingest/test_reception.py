"""What is sent becomes an event, as reading a table with that row would make it, or is refused with the reason."""

import json
import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whenbuy.config import Settings
from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock
from whenbuy.core.errors import UsageError
from whenbuy.core.log import CODED, SCALES
from whenbuy.ingest.cell import _CURRENCIES, BadCellError, instant_of, number_of
from whenbuy.ingest.parse import numbers
from whenbuy.ingest.read import read
from whenbuy.ingest.reception import LEAST_LATENESS_DAYS, MOST_ATTRIBUTES, SKEW, Event, Reception, Refused, late
from whenbuy.ingest.times import TimeReader

NOW = 1_700_000_000_000_000
T = "2023-11-14T20:00:00Z"
AT = 1_699_992_000_000_000


def one(row, reception=None, now=NOW, place="") -> Event | Refused:
    raw = row if isinstance(row, bytes) else json.dumps(row).encode()
    return (reception or Reception()).one(raw, "http", now, place)


def test_an_event_is_read() -> None:
    row = {"event_id": "e1", "user_id": "u1", "kind": "purchase", "time": T, "item_id": 7, "unit_price": 2.5, "quantity": 2, "gift": True}
    values = {"item_id": "7", "unit_price": 2.5, "quantity": 2, "amount": 5.0, "gift": "true"}
    assert one(row) == Event("http", "e1", "u1", "purchase", AT, NOW, values)


@pytest.mark.parametrize(
    "time",
    [T, "2023-11-14 20:00:00+00:00", "2023-11-14T21:00:00+01:00", 1_699_992_000, 1_699_992_000.0, 1_699_992_000_000, AT, AT * 1000,
     "1699992000", "14.11.2023 20:00", "20231114200000", "14 November 2023 20:00:00", "2023-11-14T20:00:00.000000000Z",
     "2023/11/14 08:00 PM"],
)  # fmt: skip
def test_times_are_read_in_many_forms(time) -> None:
    found = one({"kind": "view", "time": time})
    assert isinstance(found, Event), found
    assert found.time == AT


def test_local_times_are_the_shops() -> None:
    berlin = Reception(clock=Clock("Europe/Berlin"))
    assert one({"kind": "view", "time": "2023-11-14T21:00:00"}, berlin).time == AT
    assert one({"kind": "view", "time": "14.11.2023 21:00"}, berlin).time == AT
    gap, fold = (one({"kind": "view", "time": text}, berlin).time for text in ("2023-03-26T02:30:00", "2022-10-30T02:30:00"))
    assert datetime.fromtimestamp(gap / 1e6, UTC) == datetime(2023, 3, 26, 1, 30, tzinfo=UTC)
    assert datetime.fromtimestamp(fold / 1e6, UTC) == datetime(2022, 10, 30, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (b"", "no JSON"), (b"{", "no JSON"), (b"[]", "one JSON object"), (b"null", "one JSON object"), (b'{"time": NaN}', "no JSON"),
        (b"[" * 100_000, "bytes"), (b'{"time": 1, "kind": "\\ud800"}', "no JSON"), (b"\xff\xfe{}", "no JSON"), (b"[" * 50_000, "no JSON"),
        ({"kind": "view"}, "There is no time"), ({"time": "", "kind": "view"}, "There is no time"), ({"time": None}, "There is no time"),
        ({"time": "soon"}, "time is 'soon'"), ({"time": True}, "time is True"), ({"time": [1]}, "time is"), ({"time": 5}, "time is 5"),
        ({"time": "0001-01-01T00:00:00Z"}, "between 1970 and 2200"), ({"time": "9999-12-31T23:59:59Z"}, "between 1970 and 2200"),
        ({"time": "9999-12-31T23:59:59-23:59"}, "time is"), ({"time": 1e308}, "time is"), ({"time": -1}, "time is"),
        ({"time": (NOW + SKEW) / 1e6 + 1}, "5 minutes ahead"), ({"time": T, "kind": ""}, "kind is empty"),
        ({"time": T, "user_id": "a\0b"}, "control character"), ({"time": T, "user_id": "x" * 1025}, "control character"),
        ({"time": T, "user_id": {"id": 1}}, "user_id is {'id': 1}"), ({"time": T, "colours": ["red"]}, "colours is ['red']"),
        ({"time": T, "amount": "twelve"}, "amount is 'twelve'"), ({"time": T, "amount": 1e16}, "Numbers reach"),
        ({"time": T, "amount": True}, "amount is True"), ({"time": T, "amount": {}}, "amount is {}"), ({"time": T, "a\nb": 1}, "as a name"),
        ({"time": T, "orders": 1}, "as a name"), ({"time": T, "text": "x" * 70_000}, "bytes"),
    ],
)  # fmt: skip
def test_what_is_refused_is_kept_as_it_came_with_the_reason(row, words) -> None:
    raw = row if isinstance(row, bytes) else json.dumps(row).encode()
    found = one(raw)
    assert isinstance(found, Refused), found
    assert (found.raw, found.source, found.known_at) == (raw, "http", NOW)
    assert words in found.reason
    assert found.reason.count(". ") >= 2
    assert len(found.reason) < 600


def test_a_fast_clock_is_forgiven_and_an_event_never_comes_before_it_happened() -> None:
    assert one({"kind": "view", "time": (NOW + SKEW) / 1e6}).time == NOW


def test_an_event_without_an_id_is_known_by_its_row_and_place() -> None:
    row, other = {"kind": "view", "time": T, "user_id": "u"}, {"kind": "view", "time": T, "user_id": "v"}
    ids = {one(row).event_id, one(row).event_id, one(row, place="2").event_id, one(other).event_id}
    assert len(ids) == 3


def test_many_come_as_an_array_or_as_lines() -> None:
    rows = [json.dumps({"kind": "view", "time": T, "user_id": f"u{i}"}).encode() for i in range(3)]
    reception = Reception(most_events=3)
    for whole in (b" [" + b" ,\n".join(rows) + b"] ", b"\n".join(rows), b"\r\n\n".join(rows) + b"\n"):
        assert [event.user for event in reception.many(whole, "http", NOW)] == ["u0", "u1", "u2"]
    mixed = reception.many(b"[" + rows[0] + b', {"time": 2 }, 7]', "http", NOW)
    assert [type(found) for found in mixed] == [Event, Refused, Refused]
    assert [found.raw for found in mixed[1:]] == [b'{"time": 2 }', b"7"]
    (whole,) = reception.many(b"[1, 2", "http", NOW)
    assert whole.raw == b"[1, 2"
    assert reception.many(b"", "http", NOW) == reception.many(b"[]", "http", NOW) == []
    with pytest.raises(UsageError, match="4 events"):
        reception.many(b"\n".join([*rows, rows[0]]), "http", NOW)
    twins = reception.many(b"\n".join([rows[0], rows[0]]), "http", NOW)
    assert twins[0].event_id != twins[1].event_id


# ------------------------------------------------------------------------------------------- which key is what


def test_keys_are_read_as_the_shop_says_then_by_name_then_by_what_they_mean() -> None:
    shop = Reception(columns={"user_id": "kunde", "amount": "", "size": "groesse"})
    found = one({"kunde": "k", "customer": "c", "timestamp": T, "event": "buy", "amount": 3, "groesse": "L", "time_of_day": "noon"}, shop)
    assert (found.user, found.kind, found.time) == ("k", "purchase", AT)
    assert found.values == {"customer": "c", "size": "L", "time_of_day": "noon"}
    assert one({"user_id": None, "email": "a@b", "time": T, "kind": "view"}).user is None
    assert one({"email": "a@b", "time": T, "kind": "view"}).user == "a@b"


def test_kinds_are_the_shops_own() -> None:
    shop = Reception(kinds={"gekauft": "purchase", "*": "purchase"})
    assert one({"time": T, "kind": "gekauft"}, shop).kind == "purchase"
    assert one({"time": T, "kind": "view"}, shop).kind == "view"
    assert one({"time": T}, shop).kind == "purchase"
    assert one({"time": T, "kind": "odd"}, Reception(columns={"kind": "kind"}, kinds={"*": "view"})).kind == "view"
    assert one({"time": T, "order_id": "1"}).kind == "purchase"
    assert one({"time": T, "kind": "spin wheel"}).kind == "spin wheel"


def test_negative_purchases_are_refunds() -> None:
    found = one({"time": T, "kind": "purchase", "quantity": -2, "unit_price": 3})
    assert (found.kind, found.values) == ("refund", {"quantity": 2, "unit_price": 3, "amount": 6.0})
    cancelled = Reception(cancelled="C")
    assert one({"time": T, "kind": "purchase", "order_id": "C17", "amount": 2}, cancelled).kind == "refund"
    assert one({"time": T, "kind": "purchase", "order_id": "17", "amount": 2}, cancelled).kind == "purchase"
    assert one({"time": T, "kind": "purchase", "amount": 2}, Reception(currency="EUR")).values["currency"] == "EUR"


def test_attributes_hold_what_the_log_holds() -> None:
    shop = Reception(attributes={"age": True, "size": False})
    assert one({"time": T, "kind": "view", "age": "41", "size": 41, "new": 41}, shop).values == {"age": 41, "size": "41", "new": "41"}
    assert one({"time": T, "kind": "view", "age": "yes"}, shop).values == {"age": 1}
    assert "age is 'old'" in one({"time": T, "kind": "view", "age": "old"}, shop).reason


def test_names_that_are_values_do_not_fill_the_log() -> None:
    shop = Reception()
    for i in range(MOST_ATTRIBUTES + 5):
        found = one({"time": T, "kind": "view", f"utm_{i}": 1}, shop)
        assert isinstance(found, Event if i < MOST_ATTRIBUTES else Refused)
    for i in range(250):
        found = one({"time": T, "kind": f"clicked {i}"}, shop)
        assert isinstance(found, Event if i < 199 else Refused), i
    assert "kinds already" in found.reason


def test_a_shop_says_how_it_is_understood() -> None:
    text = '[shop]\ntimezone = "Europe/Berlin"\ncurrency = "EUR"\n[source]\ndecimal = ","\nday_first = false\ncancelled = "-"\n'
    log = read(pl.DataFrame({"user_id": ["a"], "time": [T], "kind": ["view"], "age": [4], "size": ["L"]})).history.log
    shop = Reception.of(Settings.parse(text), log)
    assert (shop.attributes, shop.lateness_days, shop.cancelled) == ({"age": True, "size": False}, LEAST_LATENESS_DAYS, None)
    found = one({"time": "11/14/2023 21:00", "kind": "purchase", "amount": "1.234,50 €"}, shop)
    assert (found.time, found.values) == (AT, {"amount": 1234.5, "currency": "EUR"})
    assert Reception.of(Settings.parse("[shop]\nlateness_days = 3.5")).lateness_days == 3.5


def test_late_is_longer_than_stated() -> None:
    event = Event("http", "e", "u", "view", NOW - 2 * DAY, NOW, {})
    assert [late(event, days) for days in (1.9, 2.0, 2.1)] == [True, False, False]


def test_values_of_tables_and_databases_are_read() -> None:
    noon = datetime(2023, 11, 14, 21, 0)
    row = {"user_id": UUID(int=5), "time": noon, "kind": b"view", "amount": Decimal("12.50"), "since": date(2020, 1, 2), "x": float("nan")}
    found = Reception(clock=Clock("Europe/Berlin")).row(row, "sql", NOW)
    assert found.time == AT
    assert found.values == {"amount": 12.5, "since": "2020-01-02"}
    assert found.user == str(UUID(int=5))
    bad = Reception().row({"time": noon, "kind": b"\xff"}, "sql", NOW)
    assert isinstance(bad, Refused)
    assert bad.raw.startswith(b"{")


# ------------------------------------------------------------------------------------------ the slow twins

written = st.one_of(
    st.floats(-1e9, 1e9).map(lambda x: f"{x:,.2f}"), st.integers(-(10**9), 10**9).map(str), st.text("0123456789.,-+ '€$()eE", max_size=9),
    st.sampled_from(["12,50 €", "US$ 3.20", "(4.00)", "5-", "£7", "NaN", "inf", "1 234,5", "1.234,5", "1,234.5", "CHF 3", "n/a", "1e3",
                     ".5", "5.", "1_000", "٣", "1,50", "+7", "- 7", "kr. 5", "元5", "5 zł"]),
)  # fmt: skip


@given(written, st.sampled_from([".", ","]))
def test_a_number_is_read_as_in_a_column(text, decimal) -> None:
    column, bad = numbers(pl.Series([text]), decimal)
    try:
        found = number_of("amount", text, decimal)
    except BadCellError:
        assert (bad is not None and bad[0]) or abs(column[0] or 0) > 1e15
        return
    assert bad is None or not bad[0]
    assert found == column[0]


def test_all_signs_of_money_are_known() -> None:
    import re

    known = re.compile(f"[{_CURRENCIES}]")
    assert all(known.match(chr(c)) for c in range(0x10000) if unicodedata.category(chr(c)) == "Sc")


@given(
    st.datetimes(datetime(1970, 1, 3), datetime(2089, 12, 30)),
    st.sampled_from(["%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M", "%d/%m/%y", "%Y-%m-%d", "%Y%m%d%H%M%S", "%d %B %Y %H:%M", "%Y/%m/%d %I:%M %p",
                     "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S+02:00", "%Y-%m-%dT%H:%MZ", "%B %d, %Y", "%Y-%m-%dT%H:%M:%S,%f"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
)  # fmt: skip
def test_a_time_is_read_as_in_a_column(moment, form, zone) -> None:
    text = moment.strftime(form)
    column = TimeReader("time", zone).read(pl.Series([text])).to_physical()[0]
    try:
        found = instant_of("time", ZoneInfo(zone), True, text)
    except BadCellError:
        assert column is None or not 0 <= column < 7_258_118_400_000_000
        return
    assert found == column


cells = st.fixed_dictionaries(
    {"user_id": st.sampled_from(["a", "b", "17", " c ", "null", "日本"]), "time": st.integers(AT // 10**6 - 10**6, AT // 10**6),
     "kind": st.sampled_from(["view", "buy", "purchase", "refund", "add_to_cart", "odd one"]), "quantity": st.integers(-3, 5),
     "unit_price": st.sampled_from([0.1, 2.5, 3.0, 19.99]), "item_id": st.sampled_from(["i1", "2", "x y"]),
     "rating": st.sampled_from([1, 4.5]), "channel": st.sampled_from(["web", "shop"])},
)  # fmt: skip


@settings(max_examples=15)
@given(st.lists(cells, min_size=1, max_size=12))
def test_an_event_is_what_reading_a_table_makes_of_its_row(rows) -> None:
    given = {name: name for name in ("user_id", "kind", "time", *(n for n in (*CODED, *SCALES) if n in rows[0]))}
    log = read(pl.DataFrame(rows), columns=given, now=NOW).history.log
    table = log.frame().with_row_index("row").sort("time", "row").to_dicts()
    found = [one(row) for row in rows]
    assert len(found) == len(table)

    def said(one):
        return sorted((name, value) for name, value in one.items() if value is not None)

    mine = sorted([e.time, e.user or "", e.kind, *said(_in_units(e.values))] for e in found)
    theirs = sorted(
        [int(row["time"].timestamp() * 10**6), row["user_id"] or "", row["kind"],
         *said(_in_units({n: row[n] for n in (*CODED, *SCALES) if n in row}))] for row in table
    )  # fmt: skip
    assert mine == theirs


def _in_units(values):
    """Return numbers as the log keeps them."""
    return {n: round(v * SCALES[n]) if n in SCALES and v is not None else v for n, v in values.items()}


# --------------------------------------------------------------------------------------------------- fuzz

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
              st.sampled_from([T, "x" * 10**5, "\0", "\ud800", 1e308])),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2), max_leaves=4,
)  # fmt: skip
keys = st.one_of(st.sampled_from(["user_id", "time", "kind", "amount", "event_id", "text", "item_id", "quantity"]), st.text(max_size=6))
wild = st.dictionaries(keys, json_values, max_size=6)
mild = st.builds(lambda row, seconds: {**row, "kind": "view", "time": AT / 1e6 - seconds}, wild, st.integers(0, 10**6))
plain = st.one_of(
    st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=9), st.integers(-(10**6), 10**6), st.booleans(), st.none()
)
good = st.builds(
    lambda row, seconds, amount: {**row, "kind": "view", "time": AT / 1e6 - seconds, "amount": amount},
    st.dictionaries(st.sampled_from(["user_id", "item_id", "category", "size", "text", "channel"]), plain, max_size=6),
    st.integers(0, 10**6),
    st.floats(-1e6, 1e6),
)


def _survives(row) -> bool:
    raw = json.dumps(row).encode()
    found = Reception().one(raw, "fuzz", NOW)
    if isinstance(found, Refused):
        assert found.raw == raw
        assert found.reason
        assert found.reason.encode()
        return False
    assert 0 <= found.time <= found.known_at == NOW
    assert found.kind
    assert json.loads(json.dumps(found.values)) == found.values
    return True


@given(st.one_of(wild, mild, good))
def test_nothing_that_is_sent_makes_it_fail(row) -> None:
    _survives(row)


@pytest.mark.nightly
def test_twenty_thousand_events_make_nothing_fail() -> None:
    valid = []

    @settings(max_examples=20_000, database=None)
    @given(st.one_of(wild, mild, good, good))
    def check(row) -> None:
        valid.append(_survives(row))

    check()
    assert sum(valid) >= 0.3 * len(valid)


@given(st.binary(max_size=60))
def test_no_bytes_make_it_fail(raw) -> None:
    assert isinstance(Reception().one(raw, "fuzz", NOW), Refused)
    Reception().many(raw, "fuzz", NOW)


CELLS = st.one_of(
    st.sampled_from(["1", 1, 1.0, True, "", " 1 ", "null", None, "x", [1], {"a": 1}, "2017-11-01T15:30:00Z", "12.50"]), st.text(max_size=5)
)


@given(
    st.lists(
        st.one_of(
            st.dictionaries(st.sampled_from(["event_id", "user_id", "kind", "time", "item_id", "text", "note"]), CELLS, max_size=6),
            st.fixed_dictionaries({"time": st.just("2017-11-01T15:30:00Z"), "user_id": CELLS, "amount": CELLS, "own": CELLS}),
            st.sampled_from([3, None, []]),
        ),
        min_size=1, max_size=6,
    )
)  # fmt: skip
def test_many_are_read_as_each_alone_by_one_that_never_read_before(rows) -> None:
    reception, raw = Reception(), json.dumps(rows).encode()
    parts = [bytes(part) for part in msgspec.json.decode(raw, type=list[msgspec.Raw])]
    assert reception.many(raw, "http", NOW) == [Reception().one(part, "http", NOW, f"{i}") for i, part in enumerate(parts)]
    assert reception.many(raw, "http", NOW) == reception.many(raw, "http", NOW)


def test_what_was_read_is_remembered_for_a_while_only() -> None:
    reception = Reception()
    rows = [{"time": 1_600_000_000, "user_id": f"u{i}", "item_id": "x" * 1_000} for i in range(6_000)]
    for row in rows:
        assert reception.row(row, "http", NOW).user == row["user_id"]
    (plan,) = reception._plans.values()
    assert all(len(known or ()) <= 4_096 for *_, known in plan.cells)
    assert not any(len(text) > 64 for *_, known in plan.cells for text in known or ())
