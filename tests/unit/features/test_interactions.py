"""What each key did with each class: equal to a slow loop, blind to the future, and frugal with a million classes."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.logs import make, rows
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.codec import decode, encode
from whenbuy.core.errors import ColumnError, SettingsError
from whenbuy.core.keys import Keys
from whenbuy.core.log import ORDERS, Column, Dictionary
from whenbuy.features.interactions import TYPES, ByClass, most_bought

NAMES = ("milk", "bread", "beer")
SPEC = ByClass(("bread", "milk", "unheard of"), halflives_days=(3.0, 20.0))
BUY = 1


def with_classes(history, names=NAMES):
    """The history with a category for each event, told by its amount; some have none."""
    amount = history.log.columns["amount"].values
    code = np.where(amount == MISSING, -1, amount % (len(names) + 1) - 1).astype(np.int32)
    column = Column(code, Dictionary.of(names))
    return replace(history, log=replace(history.log, columns={**history.log.columns, "category": column}))


def keys_of(history, cutoffs, users=3):
    user, cutoff = np.divmod(np.arange(users * len(cutoffs)), len(cutoffs))
    return Keys("user", user.astype(np.int32), np.array(cutoffs, np.int64)[cutoff], history.log.users)


def slow(past, spec):
    """One key after the other, one class after the other, one event after the other."""
    log, out = past._history.log, []
    for row in range(len(past)):
        for name in spec.classes:
            out.append(slow_one(log, range(int(past.start[row]), int(past.stop[row])), int(past.at[row]), name, spec))
    return np.array(out, np.float32).reshape(len(past), len(spec.classes), len(spec.names))


def slow_one(log, events, at, name, spec):
    total, number, moments, lines, spent, latest = 0, None, [], 0, 0, None
    for i in events:
        if log.kinds[log.kind[i]] != spec.kind:
            continue
        total += int(log.columns[ORDERS].values[i] != 0) if spec.kind == "purchase" else 1
        code = int(log.columns["category"].values[i])
        if code < 0 or log.columns["category"].dictionary.ids[code] != name:
            continue
        lines += 1
        spent += 0 if log.columns["amount"].values[i] == MISSING else int(log.columns["amount"].values[i])
        if number == total and moments:
            continue
        instant = min(int(log.time[i]), int(log.known_at[i]))
        latest = instant if latest is None else max(instant, latest)
        moments.append(latest)
        number = total
    n = len(moments)
    if not n:
        return [0.0, 0.0 if total else math.nan, *[math.nan] * 9, *[0.0] * len(spec.halflives_days)]
    recency = (at - moments[-1]) / DAY
    gaps = [(b - a) / DAY for a, b in pairwise(moments)]
    mean = sum(gaps) / len(gaps) if gaps else math.nan
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / (len(gaps) - 1)) if len(gaps) > 1 else math.nan
    rates = [sum(math.log(2) / h * 2 ** (-(at - moment) / DAY / h) for moment in moments) for h in spec.halflives_days]
    return [
        n, n / total if total else math.nan, total - number, recency, (at - moments[0]) / DAY, mean, deviation,
        gaps[-1] if gaps else math.nan, mean - recency, lines / n, spent / 100 / n, *rates,
    ]  # fmt: skip


@given(rows(size=40), st.lists(st.integers(0, 26), min_size=1, max_size=4, unique=True), st.sampled_from(["purchase", "view"]))
def test_the_kernel_equals_a_slow_loop(events, days, kind):
    history = with_classes(make(events, end=30 * DAY))
    spec = replace(SPEC, kind=kind)
    past = history.before(keys_of(history, [day * DAY + 1 for day in sorted(days)])).silent(1.5)
    np.testing.assert_allclose(spec.block(past).values, slow(past, spec), rtol=2e-5, atol=2e-4)


@given(rows(size=40), st.integers(1, 25))
def test_a_log_cut_at_a_moment_tells_the_same_as_of_that_moment(events, day):
    history = with_classes(make(events, end=30 * DAY))
    keys = keys_of(history, [day * DAY])
    whole, cut = SPEC.block(history.before(keys)), SPEC.block(history.cut(day * DAY).before(keys))
    np.testing.assert_array_equal(whole.values, cut.values)


@given(rows(size=40), st.randoms(use_true_random=False))
def test_the_order_and_the_company_of_keys_do_not_matter(events, random):
    history = with_classes(make(events, end=30 * DAY))
    keys = keys_of(history, [5 * DAY, 12 * DAY, 26 * DAY])
    order = np.array(random.sample(range(len(keys)), len(keys)))
    whole = SPEC.block(history.before(keys)).values
    np.testing.assert_array_equal(SPEC.block(history.before(keys.take(order))).values, whole[order])
    np.testing.assert_array_equal(SPEC.block(history.before(keys.take(slice(4, 5)))).values, whole[4:5])


def test_lines_of_one_order_count_once():
    lines = [(0, 3 * DAY, 0, BUY, 401, 1), (0, 3 * DAY, 0, BUY, 801, 0), (0, 9 * DAY, 0, BUY, 402, 1), (0, 10 * DAY, 0, BUY, 1, 1)]
    history = with_classes(make(lines, end=30 * DAY))
    found = ByClass(("milk", "bread"), halflives_days=(7.0,)).block(history.before(history.keys(["u0"], 13 * DAY)))
    told = {name: found.feature(name)[0].tolist() for name in ("orders", "orders_share", "orders_since", "lines_per_order", "due_days")}
    assert told["orders"] == [2, 1]
    assert told["orders_share"] == pytest.approx([2 / 3, 1 / 3])
    assert told["orders_since"] == [0, 1]
    assert told["lines_per_order"] == [1.5, 1.0]
    assert told["due_days"][0] == 7.0 - 3.0
    assert math.isnan(told["due_days"][1])


def test_a_stranger_and_an_unknown_class_have_nothing():
    history = with_classes(make([(0, 3 * DAY, 0, BUY, 401, 1)], end=30 * DAY))
    found = SPEC.block(history.before(history.keys(["u0", "ghost"], 13 * DAY)))
    assert found.feature("orders").tolist() == [[0, 1, 0], [0, 0, 0]]
    assert np.isnan(found.feature("recency_days")[:, 2]).all()
    assert np.isnan(found.feature("orders_share")[1]).all()
    assert (found.feature("rate_20d")[1] == 0).all()


def test_a_log_without_the_column_or_the_amounts_still_answers():
    history = make([(0, 3 * DAY, 0, BUY, 401, 1)], end=30 * DAY)
    keys = history.keys(["u0"], 13 * DAY)
    assert SPEC.block(history.before(keys)).feature("orders").tolist() == [[0, 0, 0]]
    told = with_classes(history)
    columns = {name: column for name, column in told.log.columns.items() if name != "amount"}
    bare = replace(told, log=replace(told.log, columns=columns))
    assert np.isnan(SPEC.block(bare.before(keys)).feature("amount_per_order")).all()
    with pytest.raises(ColumnError, match="numbers"):
        ByClass(("x",), column="amount").block(history.before(keys))
    assert most_bought(history.log) == ()
    with pytest.raises(ColumnError, match="numbers"):
        most_bought(history.log, "amount")


@pytest.mark.parametrize("wrong", [{"classes": ()}, {"classes": ("a", "a")}, {"classes": ("a",), "halflives_days": (0.0,)}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SettingsError) as error:
        ByClass(**wrong)
    assert error.value.do


def test_settings_are_stored():
    assert decode(encode(SPEC, {}), {}, TYPES) == SPEC


@given(rows(size=60), st.integers(1, 4))
def test_the_most_bought_classes_are_those_with_the_most_buyers(events, most):
    log = with_classes(make(events, end=30 * DAY)).log
    table = log.frame().filter(pl.col("user_id").is_not_null(), pl.col("kind") == "purchase", pl.col("category").is_not_null())
    buyers = table.group_by("category").agg(n=pl.col("user_id").n_unique()).sort("n", "category", descending=[True, False])
    assert most_bought(log, most=most) == tuple(buyers["category"][:most])


def test_a_million_classes_cost_no_more_than_those_that_are_named():
    n = 1_000_000
    history = make([(user, day * DAY, 0, BUY, 100, 1) for user in range(3) for day in range(1, 9)], end=30 * DAY)
    names = Dictionary(pl.select(pl.format("c{}", pl.int_range(n)).alias("id"))["id"])
    code = (np.arange(len(history.log), dtype=np.int32) * 40_000) % n
    code[::8] = 5
    history = replace(history, log=replace(history.log, columns={**history.log.columns, "category": Column(code, names)}))
    chosen = most_bought(history.log)
    assert len(chosen) == len(set(code.tolist()))
    assert chosen[0] == "c5"
    block = ByClass(chosen[:3]).block(history.before(history.keys(as_of=20 * DAY)))
    assert block.values.nbytes == 3 * 3 * len(block.names) * 4
    assert (block.feature("orders")[:, 0] == 1).all()
