"""Blocks against their slow twins, and against the log cut at the cutoff."""

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.features import naive
from tests.unit.features.test_engines import START, bits, make_log, random_log, random_offers, random_past
from whenbuy import features as f
from whenbuy.core import codec
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.blocks import Pairs, Sequences, Series
from whenbuy.core.clock import Clock
from whenbuy.core.errors import ColumnError, SettingsError, UsageError, WhenbuyError
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.log import ORDERS, Column, Dictionary

LATEST = f.LatestEvents(7, ("category", "nowhere"), ("amount", "dwell_s", "unheard_of"), offers=f.Offers())
SOME = {
    "seed": st.integers(0, 2**32), "users": st.integers(1, 4), "n": st.integers(0, 80), "late": st.booleans(), "heads": st.booleans(),
    "zone": st.sampled_from(["UTC", "America/New_York"]),
}  # fmt: skip
FAST = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def random_history(seed, users, n, late, heads, zone):
    rng = np.random.default_rng(seed)
    log = random_log(rng, users, n, late=late, heads=heads, largest=10**6)
    if n and rng.random() < 0.5:  # lines of one order that became known together
        known_at = log.known_at // DAY * DAY
        log = replace(log, known_at=known_at, time=log.time if log.late else known_at)
    return rng, History(log, Clock(zone), offers=random_offers(rng))


def equal(one, two):
    """Whether two blocks hold the same, whatever is shared inside them."""
    if isinstance(one, Sequences):
        one, two = one.packed(), two.packed()
        for part in ("codes", "numbers"):
            assert getattr(one, part).keys() == getattr(two, part).keys()
            for name, values in getattr(one, part).items():
                np.testing.assert_array_equal(
                    bits(values) if part == "numbers" else values,
                    bits(getattr(two, part)[name]) if part == "numbers" else getattr(two, part)[name],
                )
        parts = ("start", "stop", "time", "since_days")
    else:
        parts = (
            ("offsets", "code", "count", "recency_days", "total")
            if isinstance(one, Pairs)
            else ("offsets", "day", "values", "begin", "end")
        )
    for part in parts:
        np.testing.assert_array_equal(getattr(one, part), getattr(two, part), part)


# ------------------------------------------------------------------------------------------- sequences


def tokens_of(past, row, made):
    """The tokens of one key, event by event."""
    log, tokens, latest = past._history.log, [], None
    for event in naive.known(past, row):
        known_at = int(log.known_at[event["row"]])
        goes_on = made.whole_orders and tokens and event["kind"] == "purchase" and not event["head"]
        if goes_on and tokens[-1]["kind"] == "purchase" and tokens[-1]["known_at"] == known_at:
            tokens[-1]["lines"].append(event)
            continue
        gap = math.nan if latest is None else math.log1p(max(event["time"] - latest, 0) / DAY)
        latest = event["time"] if latest is None else max(latest, event["time"])
        tokens.append({"kind": event["kind"], "known_at": known_at, "time": event["time"], "lines": [event], "gap": gap})
    return tokens[-made.length :], math.nan if latest is None else (int(past.at[row]) - latest) / DAY


def column_of(token, name, past):
    found = naive.numbers(token["lines"], name)
    if not found:
        return math.nan
    total = float(sum(found)) / (len(found) if name in ("unit_price", "rating") else 1)
    return total / naive.scale(past, name)


@FAST
@given(**SOME, whole=st.booleans(), length=st.sampled_from([1, 3, 1000]))
def test_sequences_equal_the_slow_twin(seed, users, n, late, heads, zone, whole, length):
    rng, history = random_history(seed, users, n, late, heads, zone)
    made = replace(LATEST, whole_orders=whole, length=length, numbers=("amount", "unit_price", "dwell_s", "unheard_of"))
    columns = dict(history.log.columns) | {"unit_price": Column(history.log.columns["amount"].values, None, 100)}
    history = replace(history, log=replace(history.log, columns=columns))
    past = random_past(rng, history, 20).silent(rng.choice([0.0, 2.5]))
    ours = made.block(past)
    for row in range(len(past)):
        tokens, since = tokens_of(past, row, made)
        part = slice(int(ours.start[row]), int(ours.stop[row]))
        assert ours.lengths[row] == len(tokens)
        np.testing.assert_array_equal(ours.since_days[row], since)
        heads_ = [token["lines"][0] for token in tokens]
        walls = [naive.clocked(event["time"], past) for event in heads_]
        assert ours.time[part].tolist() == [event["time"] for event in heads_]
        assert ours.dictionaries["kind"].names(ours.codes["kind"][part]).to_list() == [event["kind"] for event in heads_]
        assert ours.codes["weekday"][part].tolist() == [wall.weekday() for wall in walls]
        assert ours.codes["hour"][part].tolist() == [wall.hour for wall in walls]
        assert ours.codes["line"][part].tolist() == [int(event["kind"] == "purchase" and not event["head"]) for event in heads_]
        assert ours.codes["category"][part].tolist() == [event["values"]["category"] for event in heads_]
        assert (ours.codes["nowhere"][part] == -1).all()
        np.testing.assert_array_equal(bits(ours.numbers["log_gap_days"][part]), bits([token["gap"] for token in tokens]))
        for name in made.numbers:
            np.testing.assert_array_equal(bits(ours.numbers[name][part]), bits([column_of(token, name, past) for token in tokens]), name)
        running = [naive.offers(f.Offers(), event["time"], event["time"], past) for event in heads_]
        assert ours.numbers["offers_running"][part].tolist() == running
        assert not whole or ours.numbers["lines"][part].tolist() == [len(token["lines"]) for token in tokens]


def test_tokens_are_held_once_and_packed_for_each_key():
    log = random_log(np.random.default_rng(0), 3, 200, late=False, heads=True)
    history = History(log)
    cutoff = START + np.arange(0, 70, 2) * DAY
    keys = Keys("user", np.zeros(len(cutoff), np.int32), cutoff, log.users)
    shared = f.LatestEvents(1000).block(history.before(keys))
    assert len(shared.time) == shared.lengths.max()
    packed = shared.take(np.array([30, 3])).packed()
    assert packed.stop[-1] == len(packed.time) == shared.lengths[[30, 3]].sum()
    np.testing.assert_array_equal(packed.time[: packed.stop[0]], log.time[log.offsets[0] : log.offsets[0] + packed.stop[0]])
    short = f.LatestEvents(5).block(history.before(keys.take(np.array([-1]))))
    assert len(short.time) == 5


def test_a_late_event_enters_where_it_became_known():
    known_at = START + np.array([0, 4, 5]) * DAY
    time = START + np.array([0, 4, 1]) * DAY
    log = make_log(1, np.zeros(3, np.int64), known_at, time, np.zeros(3), {})
    keys = Keys("user", np.zeros(2, np.int32), START + np.array([5, 6]) * DAY, log.users)
    made = f.LatestEvents(3).block(History(log).before(keys))
    assert made.lengths.tolist() == [2, 3]
    assert made.time.tolist() == time.tolist()
    np.testing.assert_allclose(made.numbers["log_gap_days"], [np.nan, math.log1p(4), 0], rtol=1e-7)
    assert made.since_days.tolist() == [1, 2]


# ----------------------------------------------------------------------------------------------- pairs


@FAST
@given(**SOME, kind=st.sampled_from(["purchase", "view", None, "unheard-of"]), total=st.sampled_from([None, "amount", "unheard_of"]))
def test_pairs_equal_the_slow_twin(seed, users, n, late, heads, zone, kind, total):
    rng, history = random_history(seed, users, n, late, heads, zone)
    past = random_past(rng, history, 20).silent(rng.choice([0.0, 2.5]))
    ours = f.Met("category", kind, total).block(past)
    for row in range(len(past)):
        events = [e for e in naive.pick(naive.known(past, row), past, int(past.at[row]), kind) if e["values"]["category"] >= 0]
        part = slice(int(ours.offsets[row]), int(ours.offsets[row + 1]))
        assert ours.code[part].tolist() == sorted({e["values"]["category"] for e in events})
        for i in range(part.start, part.stop):
            some = [e for e in events if e["values"]["category"] == ours.code[i]]
            assert ours.count[i] == len(some)
            assert ours.recency_days[i] == np.float32((int(past.at[row]) - max(e["time"] for e in some)) / DAY)
            assert ours.total[i] == np.float32(0 if total is None else sum(naive.numbers(some, total)) / naive.scale(past, total))


def test_a_log_without_items_has_no_pairs():
    log = random_log(np.random.default_rng(0), 3, 50, late=False, heads=False)
    pairs = f.Met("item_id", total="amount").block(History(log).before(History(log).keys()))
    assert len(pairs) == 3
    assert not len(pairs.code)
    assert not len(pairs.names)


# ---------------------------------------------------------------------------------------------- series


@FAST
@given(**SOME, entity=st.sampled_from(["category", "shop", "item"]), kind=st.sampled_from(["purchase", None, "unheard-of"]))
def test_series_equal_the_slow_twin(seed, users, n, late, heads, zone, entity, kind):
    rng, history = random_history(seed, users, n, late, heads, zone)
    log, clock = history.log, history.clock
    names = {
        "category": log.columns["category"].dictionary.extended(["new"]),
        "shop": Dictionary.of(["shop"]),
        "item": Dictionary.of(["new"]),
    }
    cutoff = rng.choice([START, START + 20 * DAY, START + 33 * DAY + 5, log.end], 6)
    keys = Keys(entity, rng.integers(0, len(names[entity]), 6).astype(np.int32), cutoff, names[entity])
    ours = f.Daily(kind, ("events", "orders", "amount", "unheard_of")).block(history, keys)
    amount, code = log.columns["amount"].values, log.columns["category"].values
    for row in range(6):
        mine = [
            i for i in range(len(log))
            if log.known_at[i] < cutoff[row] and (kind is None or log.kinds[log.kind[i]] == kind)
            and (entity == "shop" or (entity == "category" and code[i] == keys.code[row]))
        ]  # fmt: skip
        end = int(clock.days(np.array([cutoff[row]]))[0])
        known = log.time[log.known_at < cutoff[row]]
        assert (ours.begin[row], ours.end[row]) == (min([*clock.days(known).tolist(), end]), end)
        wanted = {}
        for i in mine:
            day = int(clock.days(log.time[i : i + 1])[0])
            head = log.kinds[log.kind[i]] != "purchase" or ORDERS not in log.columns or log.columns[ORDERS].values[i]
            if day < end:
                held = wanted.setdefault(day, [0, 0, 0, 0])
                held[0] += 1
                held[1] += int(head)
                held[2] += 0 if amount[i] == MISSING else int(amount[i])
        part = slice(int(ours.offsets[row]), int(ours.offsets[row + 1]))
        assert ours.day[part].tolist() == sorted(wanted)
        np.testing.assert_array_equal(ours.values[part], np.array([wanted[day] for day in sorted(wanted)]).reshape(-1, 4) / [1, 1, 100, 1])
        table = ours.last(40, "events")[row]
        assert [None if math.isnan(x) else x for x in table] == [
            None if day < ours.begin[row] else wanted.get(day, [0])[0] for day in range(end - 40, end)
        ]


def test_everything_that_was_known_has_a_series_and_nobody_is_left_out():
    rng = np.random.default_rng(4)
    log = random_log(rng, 3, 400, late=True, heads=False)
    history = History(log)
    keys = f.everything(history, "category", int(np.sort(log.known_at)[1]) + 1)
    assert 0 < len(keys) <= 2
    shop, categories = (f.Daily(None).block(history, f.everything(history, entity)) for entity in ("shop", "category"))
    end = int(shop.end[0]) * DAY
    assert shop.values.sum() == (log.time < end).sum()
    assert categories.values.sum() == ((log.time < end) & (log.columns["category"].values >= 0)).sum()
    assert log.offsets[-1] < len(log)
    assert not len(f.everything(history, "item"))


# -------------------------------------------------------------------------------------- all of them


def blocks(history, instant):
    past = history.before(history.keys(as_of=instant))
    yield LATEST.block(past)
    yield replace(LATEST, whole_orders=True).block(past)
    yield f.Met("category", None, "amount").block(past)
    for entity in ("category", "shop"):
        names = history.log.columns["category"].dictionary if entity == "category" else Dictionary.of(["shop"])
        keys = Keys(entity, np.arange(len(names), dtype=np.int32), np.full(len(names), instant), names)
        yield f.Daily(None, ("events", "amount")).block(history, keys)


@FAST
@given(**SOME)
def test_blocks_of_the_cut_log_are_those_as_of_the_cut(seed, users, n, late, heads, zone):
    rng, history = random_history(seed, users, n, late, heads, zone)
    instant = int(rng.choice(np.append(history.log.known_at, START)) + rng.choice([0, 1, DAY]))
    for whole, cut in zip(blocks(history, instant), blocks(history.cut(instant), instant), strict=True):
        equal(whole, cut)


def test_a_key_is_told_the_same_whoever_else_is_asked():
    rng, history = random_history(3, 4, 300, True, True, "UTC")
    past = random_past(rng, history, 50)
    rows = np.array([40, 3, 3, 17])
    for made in (LATEST, replace(LATEST, whole_orders=True), f.Met("category", None)):
        equal(made.block(past).take(rows), made.block(past.take(rows)))
        equal(made.block(past).take(slice(5, 9)), made.block(past.take(slice(5, 9))))
    names = history.log.columns["category"].dictionary
    keys = Keys("category", rng.integers(0, 3, 9).astype(np.int32), START + rng.integers(0, 60, 9) * DAY, names)
    equal(f.Daily(None).block(history, keys).take(rows % 9), f.Daily(None).block(history, keys.take(rows % 9)))


def test_nobody_is_asked():
    log = random_log(np.random.default_rng(0), 2, 20, late=False, heads=False)
    nobody = History(log).before(Keys("user", np.zeros(0, np.int32), np.zeros(0, np.int64), log.users))
    assert len(LATEST.block(nobody)) == len(LATEST.block(nobody).packed()) == len(f.Met("category").block(nobody)) == 0
    assert len(f.Daily().block(History(log), f.everything(History(log), "item"))) == 0


def test_settings_of_blocks_are_data():
    for made in (LATEST, f.Met("category", None, "amount"), f.Daily("view", ("events", "amount"))):
        arrays = {}
        assert codec.decode(codec.encode(made, arrays), arrays, f.TYPES) == made


def test_what_a_block_cannot_hold_is_refused():
    log = random_log(np.random.default_rng(0), 2, 20, late=False, heads=False)
    past = History(log).before(History(log).keys())
    for wrong in (lambda: f.LatestEvents(0), lambda: f.LatestEvents(names=("kind",)), lambda: f.LatestEvents(names=("a",), numbers=("a",))):
        with pytest.raises(SettingsError):
            wrong()
    for block in (
        lambda: f.LatestEvents(names=("amount",), numbers=()).block(past),
        lambda: f.LatestEvents(names=(), numbers=("category",)).block(past),
        lambda: f.Met("amount").block(past), lambda: f.Met("category", None, "category").block(past),
        lambda: f.Daily(measures=("category",)).block(History(log), f.everything(History(log), "shop")),
        lambda: f.Daily().block(History(log), f.everything(History(log), "shop")).last(7, "amount"),
    ):  # fmt: skip
        with pytest.raises(ColumnError):
            block()
    with pytest.raises(UsageError):
        f.Daily().block(History(log), past.keys)


def test_a_block_that_breaks_its_promise_is_never_made():
    sequences, pairs = (
        made.block(random_past(np.random.default_rng(1), random_history(1, 2, 50, False, False, "UTC")[1], 5))
        for made in (LATEST, f.Met("category", None))
    )
    for wrong in (
        lambda: replace(sequences, time=sequences.time[:-1]), lambda: replace(sequences, stop=sequences.stop + 1000),
        lambda: replace(sequences, since_days=sequences.since_days[:-1]), lambda: replace(pairs, count=pairs.count[:-1]),
        lambda: Series(np.array([0, 1]), np.zeros(1, np.int64), ("a",), np.zeros((1, 2)), np.zeros(1, np.int64), np.zeros(1, np.int64)),
        lambda: Series(np.array([0]), np.zeros(0, np.int64), ("a",), np.zeros((0, 1)), np.zeros(1, np.int64), np.zeros(1, np.int64)),
    ):  # fmt: skip
        with pytest.raises(WhenbuyError):
            wrong()


def test_an_offer_counts_from_when_it_was_announced():
    day = pl.Series([START, START + 4 * DAY, START + 20 * DAY]).cast(pl.Datetime("us", "UTC"))
    offers = f.Offers(begins="valid_from").running
    profile = random_offers(np.random.default_rng(0))
    made = replace(profile, table=pl.DataFrame({"id": ["a", "a", "b"], "valid_from": day, "ends": day.dt.offset_by("10d")}))
    at = START + np.array([0, 1, 9, 11, 13, 14, 21, 31]) * DAY
    assert offers(made)(at, at).tolist() == [0, 1, 1, 1, 1, 0, 1, 0]
    assert offers(made)(np.full(8, START + 4 * DAY), np.maximum(at, START + 4 * DAY)).tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    assert offers(None)(at, at).tolist() == [0] * 8
    with pytest.raises(ColumnError):
        f.Offers("until").running(made)
