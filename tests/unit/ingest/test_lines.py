"""Lines from batches: codes, numbers and what a canonical frame must not hold."""

from __future__ import annotations

import re
import weakref
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.errors import ColumnError, WhenbuyError
from whenbuy.core.log import SCALES, Column, Dictionary
from whenbuy.ingest.coding import Coder, _encode
from whenbuy.ingest.group import group
from whenbuy.ingest.lines import Lines, LinesBuilder, _scaled_real, _scaled_whole

UTC = pl.Datetime("us", "UTC")


def frame(user, kind=None, time=None, **further):
    """Return a canonical frame; further columns as lists or series."""
    n = len(user)
    spine = {
        "user_id": user,
        "kind": pl.Series(["view"] * n if kind is None else kind, dtype=pl.String) if not isinstance(kind, pl.Series) else kind,
        "time": pl.Series(range(n) if time is None else time, dtype=pl.Int64).cast(UTC),
    }
    if "known_at" in further:
        further["known_at"] = pl.Series(further["known_at"], dtype=pl.Int64).cast(UTC)
    return pl.DataFrame(spine | further)


def built(*frames, hint=None, scales=None):
    builder = LinesBuilder(hint, scales or {})
    for part in frames:
        builder.add(part)
    return builder.finish()


def plain(lines):
    """Return lines as plain data, codes included."""
    return {
        "users": lines.users.ids.to_list(), "user": lines.user.tolist(), "kinds": lines.kinds, "kind": lines.kind.tolist(),
        "time": lines.time.tolist(), "known_at": lines.known_at.tolist(), "late": lines.late,
        "columns": {
            name: (c.values.tolist(), None if c.dictionary is None else c.dictionary.ids.to_list(), c.scale)
            for name, c in lines.columns.items()
        },
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------ names


def coded(names):
    """The slow twin of a Coder: codes in the order of first appearance."""
    places = {}
    codes = [-1 if name is None else places.setdefault(str(name), len(places)) for name in names]
    return codes, list(places)


numbers = st.one_of(st.none(), st.integers(-3, 6), st.integers(-(2**63), 2**63 - 1))
words = st.one_of(
    st.none(), st.sampled_from(["", "5", "ä", "a\0b", "long" * 10]), st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
)
batches = st.lists(
    st.one_of(
        st.lists(numbers, max_size=20).map(lambda part: pl.Series(part, dtype=pl.Int64)),
        st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=20).map(lambda part: pl.Series(part, dtype=pl.UInt8)),
        st.lists(st.integers(0, 2**64 - 1), max_size=5).map(lambda part: pl.Series(part, dtype=pl.UInt64)),
        st.lists(words, max_size=20).map(lambda part: pl.Series(part, dtype=pl.String)),
        st.lists(words, max_size=20).map(lambda part: pl.Series(part, dtype=pl.Categorical)),
        st.lists(st.sampled_from([None, "5", "x"]), max_size=20).map(lambda part: pl.Series(part, dtype=pl.Enum(["x", "y", "5"]))),
    ),
    max_size=5,
)


@given(batches)
def test_codes_are_in_the_order_of_first_appearance(parts):
    coder, codes = Coder(), []
    for part in parts:
        out = np.full(len(part), -7, np.int32)
        coder.encode(part, out)
        codes += out.tolist()
    assert (codes, coder.dictionary().ids.to_list()) == coded([name for part in parts for name in part])


def test_many_numbers_make_the_table_grow():
    rng = np.random.default_rng(1)
    values = np.concatenate([
        rng.integers(-(2**63), 2**63 - 1, 30_000), np.arange(20_000) << 32, np.arange(20_000) << 44, rng.integers(0, 9_000, 50_000)
    ])  # fmt: skip
    coder, out = Coder(), np.empty(len(values), np.int32)
    for rows in np.array_split(np.arange(len(values)), 7):
        coder.encode(pl.Series(values[rows]), out[rows[0] : rows[-1] + 1])
    codes, names = coded(values.tolist())
    assert out.tolist() == codes
    assert coder.dictionary().ids.to_list() == names


def test_a_full_table_stops_at_the_row_that_did_not_fit():
    out, ids = np.full(4, -7, np.int32), np.empty(2, np.int64)
    row, known = _encode(np.array([9, 9, 8, 7]), np.empty(0, bool), 0, np.full((4, 2), -1, np.int64), ids, 0, out)
    assert (row, known, ids.tolist(), out.tolist()) == (3, 2, [9, 8], [0, 0, 1, -7])


def test_a_finished_builder_holds_nothing():
    builder = LinesBuilder()
    builder.add(frame([1, 2], item_id=["a", "b"], amount=[1.0, 2.0]))
    lines = builder.finish()
    held = [weakref.ref(values) for values in (lines.user, lines.kind, lines.time, *(column.values for column in lines.columns.values()))]
    del lines
    assert [ref() for ref in held] == [None] * 5


def test_a_number_and_its_text_are_one_name():
    lines = built(frame([7, 5, None]), frame(["5", "07", "7"]), frame([5, 8, 7]))
    assert lines.users.ids.to_list() == ["7", "5", "07", "8"]
    assert lines.user.tolist() == [0, 1, -1, 1, 2, 0, 1, 3, 0]


def test_strange_names_are_kept():
    names = ["", "a\0b", "a", "x" * 100_000, "x" * 100_001, "\U0001f6d2"]
    lines = built(frame(names), frame(names[::-1]))
    assert lines.users.ids.to_list() == names
    assert lines.user.tolist() == [0, 1, 2, 3, 4, 5, 5, 4, 3, 2, 1, 0]


# ------------------------------------------------------------------------------------------------ batches

line = st.fixed_dictionaries({
    "user_id": st.sampled_from([None, 1, 2, 30]), "kind": st.sampled_from(["view", "purchase", "x"]), "time": st.integers(0, 9 * DAY),
    "known_at": st.one_of(st.none(), st.just(9 * DAY)), "item_id": st.sampled_from([None, "a", "b"]),
    "amount": st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(np.nan)), "device": st.sampled_from([None, "app", "web"]),
    "score": st.one_of(st.none(), st.integers(-5, 5)),
})  # fmt: skip
SCHEMA = {"user_id": pl.Int64, "kind": pl.String, "time": pl.Int64, "known_at": pl.Int64, "item_id": pl.String, "amount": pl.Float64}
SCHEMA |= {"device": pl.String, "score": pl.Int16}


def canonical(rows):
    return pl.DataFrame(rows, schema=SCHEMA).with_columns(pl.col("time", "known_at").cast(UTC))


@given(st.lists(line, min_size=1, max_size=30), st.lists(st.integers(0, 30), max_size=4), st.sampled_from([None, 1, 30, 1000]))
def test_the_cut_into_batches_does_not_matter(rows, cuts, hint):
    whole = canonical(rows)
    edges = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
    parts = [whole[start:stop] for start, stop in pairwise(edges)]
    lines = built(*parts, hint=hint)
    assert plain(lines) == plain(built(whole))
    assert lines.user.tolist() == coded([row["user_id"] for row in rows])[0]
    known = [row["time"] if row["known_at"] is None else row["known_at"] for row in rows]
    assert lines.known_at.tolist() == known
    assert lines.late == (known != lines.time.tolist())
    amounts = [MISSING if row["amount"] is None or np.isnan(row["amount"]) else round(row["amount"] * 100) for row in rows]
    assert lines.columns["amount"].values.tolist() == amounts


@given(st.lists(line, min_size=1, max_size=30), st.integers(0, 30))
def test_lines_behind_lines_are_the_lines_of_both(rows, cut):
    one, two = canonical(rows[:cut]), canonical(rows[cut:])
    assert plain(built(one).followed_by(built(two))) == plain(built(one, two))


def test_lines_of_a_log_are_its_rows():
    lines = built(frame([2, 1, None, 2], ["purchase"] * 4, [0, 0, 1, 0], item_id=["a", "b", "c", None]))
    log = group(lines)
    again = Lines.of(log)
    assert again.user.tolist() == [0, 0, 1, -1]
    assert list(again.columns) == ["item_id"]
    assert group(again).frame().equals(log.frame())


def test_a_column_may_be_absent_from_some_batches():
    lines = built(
        frame([1]),
        frame([2], brand=["b"], amount=[1.5]),
        frame([3], brand=pl.Series([None], dtype=pl.Null)),
        frame([4], amount=[2]),
        frame([]),
    )
    assert lines.columns["brand"].values.tolist() == [-1, 0, -1, -1]
    assert lines.columns["amount"].values.tolist() == [MISSING, 150, MISSING, 200]


def test_lines_behind_lines_fill_what_one_of_them_lacks():
    one, two = frame([1], brand=["b"], score=[7]), frame([2], item_id=[5], score=[0.25], device=["x"])
    both = built(one).followed_by(built(two))
    assert plain(both) == plain(built(one, two))
    assert both.columns["brand"].values.tolist() == [0, -1]
    assert both.columns["item_id"].values.tolist() == [-1, 0]
    assert (both.columns["score"].values.tolist(), both.columns["score"].scale) == ([7_000_000, 250_000], 1_000_000)


# ------------------------------------------------------------------------------------------------ numbers


def test_numbers_are_kept_in_exact_units():
    lines = built(
        frame(
            [1] * 5, amount=[0.1 + 0.2, 1.005, -2.675, np.inf, np.nan], quantity=pl.Series([1, 2, None, 3, 4], dtype=pl.UInt8),
            weight=pl.Series([0.5, None, 1e-7, -np.inf, 3], dtype=pl.Float32), member=[True, False, None, True, True],
            price_list=pl.Series(["1.10", "2", None, "3", "4"]).cast(pl.Decimal(10, 2)),
        )
    )  # fmt: skip
    values = {name: (column.values.tolist(), column.scale) for name, column in lines.columns.items()}
    assert values["amount"] == ([30, 100, -268, MISSING, MISSING], 100)
    assert values["quantity"] == ([1000, 2000, MISSING, 3000, 4000], 1000)
    assert values["weight"] == ([500_000, MISSING, 0, MISSING, 3_000_000], 1_000_000)
    assert values["member"] == ([1, 0, MISSING, 1, 1], 1)
    assert values["price_list"] == ([1_100_000, 2_000_000, MISSING, 3_000_000, 4_000_000], 1_000_000)


def test_scales_can_be_given():
    lines = built(frame([1], amount=[12.3456], points=[2.5]), scales={"amount": 10_000, "points": 2})
    assert {name: (c.values.tolist(), c.scale) for name, c in lines.columns.items()} == {"amount": ([123_456], 10_000), "points": ([5], 2)}


def test_whole_numbers_give_way_to_real_ones():
    lines = built(frame([1, 1], score=[3, None]), frame([1], score=[0.5]), frame([1], score=[2]))
    column = lines.columns["score"]
    assert (column.values.tolist(), column.scale) == ([3_000_000, MISSING, 500_000, 2_000_000], 1_000_000)


@given(
    st.lists(st.one_of(st.none(), st.integers(-(2**63) + 1, 2**63 - 1), st.integers(-9, 9)), max_size=8), st.sampled_from([1, 100, 1000])
)
def test_whole_numbers_equal_the_slow_twin(values, scale):
    out = np.empty(len(values), np.int64)
    absent = np.array([value is None for value in values], bool)
    bad = _scaled_whole(np.array([value or 0 for value in values], np.int64), absent, scale, out)
    wanted = [MISSING if value is None else value * scale for value in values]
    first = next((i for i, number in enumerate(wanted) if number != MISSING and abs(number) >= 2**63), -1)
    assert bad == first
    assert out[: bad if bad >= 0 else None].tolist() == wanted[: bad if bad >= 0 else None]


@given(st.lists(st.one_of(st.floats(), st.floats(-1e6, 1e6)), max_size=8), st.sampled_from([1, 100, 1_000_000]))
def test_real_numbers_equal_the_slow_twin(values, scale):
    out = np.empty(len(values), np.int64)
    bad = _scaled_real(np.array(values, np.float64), float(scale), out)
    wanted = [MISSING if not np.isfinite(value) else value * float(scale) for value in values]
    first = next(
        (i for i, number in enumerate(wanted) if number != MISSING and (not np.isfinite(number) or abs(round(number)) >= 9.2e18)), -1
    )
    assert bad == first
    assert out[: bad if bad >= 0 else None].tolist() == [round(number) for number in wanted[: bad if bad >= 0 else None]]


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([frame([1], amount=["1,50"])], "'amount' holds String"),
        ([frame([1], score=[1]), frame([1], score=["x"])], "'score' holds String in the rows from 2 on"),
        ([frame([1], score=["x"]), frame([1], score=[1])], "'score' holds Int64 in the rows from 2 on"),
        ([frame([1], score=[1e15])], "'score' holds 1000000000000000.0"),
        ([frame([1], amount=[2**62])], "'amount' holds 4611686018427387904"),
        ([frame([1], score=pl.Series([2**64 - 1], dtype=pl.UInt64))], "'score' holds 18446744073709551615"),
        ([frame([1], score=[2**62]), frame([1], score=[0.5])], "'score' holds 4611686018427387904"),
        ([frame([1], orders=[1])], "a column 'orders'"),
        ([frame([1], text=[b"\xff"])], "'text' holds Binary"),
        ([frame([1], [None])], "1 rows have no kind"),
        ([frame([1], time=[None])], "1 rows have no time"),
        ([frame([1]).drop("time")], "whenbuy needs 'time'"),
        ([frame([1]).with_columns(pl.col("time").dt.replace_time_zone(None))], "'time' holds Datetime"),
        ([frame([1] * 257, [f"k{i}" for i in range(257)])], "257 kinds of event"),
    ],
)
def test_bad_columns_are_refused_by_name(frames, message):
    with pytest.raises(ColumnError, match=re.escape(message)) as caught:
        built(*frames)
    assert caught.value.need
    assert caught.value.do


def test_256_kinds_are_told_apart_and_no_more_behind_each_other():
    one, two = built(frame([1] * 200, [f"k{i}" for i in range(200)])), built(frame([1] * 100, [f"k{i + 150}" for i in range(100)]))
    both = one.followed_by(two)
    assert len(both.kinds) == 250
    assert [both.kinds[k] for k in both.kind[-100:]] == [f"k{i + 150}" for i in range(100)]
    with pytest.raises(ColumnError, match="257 kinds"):
        both.followed_by(built(frame([1] * 7, [f"z{i}" for i in range(7)])))


def test_names_do_not_follow_numbers():
    with pytest.raises(ColumnError, match="numbers in one part and names in the other"):
        built(frame([1], score=[1])).followed_by(built(frame([1], score=["x"])))


def test_lines_check_their_lengths():
    short = Column(np.zeros(1, np.int64))
    with pytest.raises(WhenbuyError, match="one length"):
        Lines(
            Dictionary.of([]),
            np.full(2, -1, np.int32),
            ("view",),
            np.zeros(2, np.uint8),
            np.zeros(2, np.int64),
            np.zeros(2, np.int64),
            {"a": short},
        )


def test_known_scales_are_used():
    lines = built(frame([1], **{name: [1.5] for name in SCALES}))
    assert {name: column.values.tolist() for name, column in lines.columns.items()} == {name: [int(1.5 * s)] for name, s in SCALES.items()}
