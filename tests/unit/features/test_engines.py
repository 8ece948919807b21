"""The three engines against their slow twin, bit for bit."""

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.features import naive
from whenbuy import features as f
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.clock import Clock
from whenbuy.core.history import History, Past
from whenbuy.core.keys import Keys
from whenbuy.core.log import ORDERS, Column, Dictionary, EventLog, order_by_time
from whenbuy.core.profile import Profile

KINDS = ("view", "purchase", "refund", "curious")
EVERYTHING = f.Features((
    f.Count(), f.Count("view", "1d"), f.Count("view", "7d"), f.Count("purchase", "4w"), f.Count("curious", "12h"),
    f.Count("unheard-of", "1d"), f.Count("purchase", "7d", where=("category", "meat")), f.Count("view", where=("category", "unheard-of")),
    f.Count("view", where=("no", "column")), f.Orders("1d"), f.Orders("7d"), f.Orders("30d"), f.Orders("900d"), f.Orders(),
    f.Sum("amount"), f.Sum("amount", window="7d"), f.Sum("amount", "refund", "30d"), f.Sum("dwell_s", "view", "30d"), f.Sum("unheard_of"),
    f.Sum("amount", None, "30d", where=("category", "fish")),
    f.Mean("amount", window="30d"), f.Mean("amount"), f.Mean("unheard_of"),
    f.Deviation("amount"), f.Deviation("amount", window="30d"), f.Deviation("dwell_s", "view", "900d"),
    f.Share(("category", "meat")), f.Share(("category", "fish"), "view", "30d"),
    f.Rate(f.Orders("30d"), f.Count("view", "30d")), f.Rate(f.Sum("amount"), f.Orders(), name="mean_amount"),
    f.Rate(f.Orders("900d"), f.Sum("dwell_s", "view", "900d"), name="orders_per_dwell_s_900d"),
    f.Frequency(), f.Recency(), f.Recency("purchase", name="recency"), f.Recency("unheard-of"), f.Tenure(), f.Tenure("view"),
    f.First("amount", "refund"), f.Last("amount"), f.Last("dwell_s", "view", where=("category", "meat")), f.First("unheard_of"),
    f.FirstOrder("amount"), f.LastOrder("amount"), f.LastOrder("unheard_of"),
    f.Gaps("mean"), f.Gaps("deviation"), f.Gaps("last", name="gap"), f.Gaps("last", "view"), f.Gaps("mean", "unheard-of"),
    f.Gaps("number"), f.Gaps("open"), f.Gaps("open", "unheard-of"), f.Gaps("number", "unheard-of"),
    *(f.Gaps(part, once_a_day=True) for part in ("mean", "deviation", "last", "number", "open")), f.Gaps("mean", "view", once_a_day=True),
    f.Decayed("purchase", 4, once_a_day=True), f.Decayed("view", 4, once_a_day=True), f.Decayed("unheard-of", 4, once_a_day=True),
    f.Decayed("purchase", 8, where=("category", "meat"), once_a_day=True), f.Weekdays(f.Decayed("purchase", 28, once_a_day=True)),
    f.Decayed("purchase", 4), f.Decayed("purchase", 0.25), f.Decayed("view", 32), f.Decayed("unheard-of", 1),
    f.BigOrder("recency"), f.BigOrder("share"), f.BigOrder("recency", "unheard_of"), f.BigOrder("share", "dwell_s"),
    f.Weekdays(f.Decayed("purchase", 64)), f.Weekdays(f.Orders("30d")), f.Weekdays(f.Sum("amount", "refund")), f.Offers(),
    f.Offers(begins="begins", name="announced"), f.Offers(where=("campaign", "A")), f.Over("recency", "gap"),
    f.Over("orders_7d", "orders_30d"),
    f.Decayed("purchase", 16, "amount"), f.Decayed("view", 2, "dwell_s", ("category", "meat")), f.Decayed("purchase", 4, "unheard_of"),
    f.Decayed("purchase", 64, where=("weekday", "sunday")), f.Orders("30d", where=("weekday", "monday")),
    f.Orders("7d", where=("weekday", "saturday")), f.Orders(where=("category", "fish")), f.Count("view", "30d", where=("hour", "night")),
    f.Sum("amount", None, "900d", where=("weekday", "friday")), f.Share(("hour", "evening"), "view"),
    f.Share(("weekday", "tuesday"), window="30d"), f.Last("amount", where=("weekday", "wednesday")),
    f.Rate(f.Orders("900d", where=("weekday", "thursday")), f.Orders("900d"), name="thursdays"),
    f.Context("category", ("fish", "meat", "unheard-of")), f.Context("category", ("fish",), "view", name="seen"),
    f.Context("nowhere", ("x",)), f.Calendar("weekday_sin"), f.Calendar("weekday_cos"), f.Calendar("day_of_month"), f.Calendar("month"),
    f.Payday((1, 15)), f.Payday((31,), name="end"), f.Holiday(("2020-02-29", "2021-01-01")),
))  # fmt: skip
BLOCKS = (f.ActiveDays, f.ByClass, f.Daily, f.LatestActs, f.LatestEvents, f.Met)
START = 18_300 * DAY  # 2020-02-08


def make_log(users, user, known_at, time, kind, columns) -> EventLog:
    """A log from columns in any order; user -1 is nobody."""
    order = np.lexsort((known_at, np.where(user < 0, users, user)))
    user, known_at, time = np.asarray(user)[order], np.asarray(known_at, np.int64)[order], np.asarray(time, np.int64)[order]
    offsets = np.searchsorted(np.where(user < 0, users, user), np.arange(users + 1)).astype(np.int64)
    late = bool((time != known_at).any())
    columns = {name: Column(c.values[order], c.dictionary, c.scale) for name, c in columns.items()}
    return EventLog(
        Dictionary.of(f"u{i}" for i in range(users)), KINDS, offsets, known_at, time if late else known_at,
        np.asarray(kind, np.uint8)[order], columns, int(max(known_at, default=START)) + 1,
        order_by_time(offsets, time) if late else None,
    )  # fmt: skip


def bits(values) -> np.ndarray:
    """The bits, with one NaN for all."""
    values = np.array(values, np.float32)
    values[np.isnan(values)] = np.nan
    return values.view(np.uint32)


def same(ours, theirs, names) -> None:
    differ = np.argwhere(bits(ours) != bits(theirs))
    assert not len(differ), [(int(row), names[column], ours[row, column], theirs[row, column]) for row, column in differ[:5]]


def random_log(rng, users, n, *, late, heads, span_days=60, years=False, largest=2**46) -> EventLog:
    time = START + rng.integers(0, span_days * 8, n) * (DAY // 8) + rng.choice([0, 1, 999_999], n)
    if years:
        time += rng.choice([0, 3 * 365 * DAY], n)
    known_at = time + (rng.choice([0, 0, 0, DAY // 4, 3 * DAY, 40 * DAY, -DAY], n) if late else 0)
    amount = rng.choice([MISSING, 0, 1, 250, 99_999, -500, largest], n)
    columns = {
        "amount": Column(amount.astype(np.int64), None, 100),
        "dwell_s": Column(rng.integers(0, 10_000, n), None, 1000),
        "category": Column(rng.integers(-1, 3, n).astype(np.int32), Dictionary.of(["meat", "fish", "bread"])),
    }
    if heads:
        columns[ORDERS] = Column(rng.integers(0, 2, n))
    return make_log(users, rng.integers(-1, users, n), known_at, time, rng.integers(0, 4, n), columns)


def random_offers(rng) -> Profile:
    n = int(rng.integers(0, 20))
    day = (START + rng.integers(-10, 100, (3, n)) * DAY).tolist()
    instants = [pl.Series([None if rng.random() < 0.1 and i else x for x in days], dtype=pl.Int64) for i, days in enumerate(day)]
    known, begins, ends = (series.cast(pl.Datetime("us", "UTC")) for series in instants)
    ids = pl.Series([f"o{code}" for code in rng.integers(0, 6, n)], dtype=pl.String)
    campaign = pl.Series(rng.choice(["A", "B"], n).tolist(), dtype=pl.String)
    return Profile("offer", pl.DataFrame({"id": ids, "valid_from": known, "begins": begins, "ends": ends, "campaign": campaign}))


def random_past(rng, history: History, n: int) -> Past:
    log = history.log
    instants = np.append(log.known_at, START)
    cutoff = rng.choice(instants, n) + rng.choice([0, 1, -1, DAY, -3 * DAY, 40 * DAY], n)
    names = log.users.extended(["stranger"])
    return history.before(Keys("user", rng.integers(0, len(names), n).astype(np.int32), cutoff, names))


def live_read(past: Past, program: f.Program) -> np.ndarray:
    """Each key read from a live engine that was fed exactly what was known: events and reads are interleaved as they came."""
    log, live = past._history.log, f.Live(program)
    out = np.empty((len(past), len(program.names)), np.float32)
    entered = log.offsets[:-1].copy()
    for row in np.lexsort((past.at, past.stop)):
        user = int(past.keys.code[row])
        if user < len(log.users) and entered[user] < past.stop[row]:
            live.feed(slice(int(entered[user]), int(past.stop[row])))
            entered[user] = past.stop[row]
        out[row] = live.read(user, int(past.at[row]), int(past.keys.cutoff[row]))
    return out


def check(past: Past, spec: f.Features, expected=None) -> None:
    program = spec.compile(past._history.log, past._history.clock, past._history.offers)
    expected = naive.table(past, spec) if expected is None else expected
    same(f.sweep(past, program).values, expected, spec.names)
    same(f.seek(past, program).values, expected, spec.names)
    same(live_read(past, program), expected, spec.names)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32), users=st.integers(1, 4), n=st.integers(0, 60), late=st.booleans(), heads=st.booleans(), years=st.booleans(),
    zone=st.sampled_from(["UTC", "America/New_York"]), silent=st.sampled_from([0, 0, 1, 0.3, 500]),
)  # fmt: skip
def test_every_engine_equals_the_slow_twin(seed, users, n, late, heads, years, zone, silent):
    rng = np.random.default_rng(seed)
    log = random_log(rng, users, n, late=late, heads=heads, years=years)
    past = random_past(rng, History(log, Clock(zone), offers=random_offers(rng)), 25).silent(silent)
    check(past, EVERYTHING)


def test_the_twin_knows_every_feature():
    declared = {type(feature) for feature in EVERYTHING.spec}
    assert declared == {*naive.READERS, f.Over, f.Weekdays, f.Offers} == set(f.TYPES.values()) - {f.Features, *BLOCKS}


@pytest.mark.parametrize("late", [False, True])
def test_reads_that_go_on_in_silence_and_back(late):
    rng = np.random.default_rng(3)
    log = random_log(rng, 2, 300, late=late, heads=True)
    past = History(log).before(Keys("user", np.zeros(40, np.int32), np.full(40, log.end, np.int64), log.users))
    past = Past(past.keys, past._history, past.start, past.stop, past.at + rng.integers(0, 50 * DAY, 40))
    check(past, EVERYTHING)


@pytest.mark.parametrize("late", [False, True])
def test_heavy_users_count_their_oldest_events_by_the_day(late):
    rng = np.random.default_rng(4)
    log = random_log(rng, 2, 20_000, late=late, heads=True, span_days=20, largest=2**40)
    assert np.diff(log.offsets).max() > 1.5 * naive.EXACT
    spec = f.Features(tuple(x for x in EVERYTHING.spec if not isinstance(x, f.Calendar | f.Payday | f.Holiday)))
    past = random_past(rng, History(log), 16)
    check(past, spec)
    live = f.Live(spec.compile(log, Clock()))
    live.feed(slice(None))
    assert live.heavy(0)


@pytest.mark.parametrize("late", [False, True])
def test_a_hundred_thousand_events_of_one_user(late):
    rng = np.random.default_rng(5)
    n = 100_000
    time = START + np.sort(rng.integers(0, 40 * DAY, n))
    known_at = np.maximum.accumulate(time + (rng.integers(0, 100, n) == 0) * 2 * DAY) if late else time
    log = make_log(
        1, np.zeros(n, np.int64), known_at, time, rng.integers(0, 2, n), {"amount": Column(rng.integers(0, 10**6, n), None, 100)}
    )
    spec = f.Features((f.Count("view", "12h"), f.Count("view", "7d"), f.Orders("3w"), f.Sum("amount", window="7d"), f.Deviation("amount"),
                       f.Decayed("view", 8), f.Gaps("deviation")))  # fmt: skip
    cutoff = START + np.array([0, 1, 3, 11, 20, 39, 41]) * DAY + 12_345
    check(History(log).before(Keys("user", np.zeros(7, np.int32), cutoff, log.users)), spec)


def test_histories_too_long_for_prefixes_equal_the_others():
    rng = np.random.default_rng(6)
    n = 60_000
    names = [f"c{i}" for i in range(80)]
    time = START + np.sort(rng.integers(0, 400 * DAY, n))
    columns = {"category": Column(rng.integers(0, 80, n).astype(np.int32), Dictionary.of(names))}
    log = make_log(1, np.zeros(n, np.int64), time, time, np.zeros(n), columns)
    spec = f.Features(tuple(f.Count("view", "30d", where=("category", name)) for name in names))
    cutoff = START + np.arange(0, 410, 20) * DAY
    past = History(log).before(Keys("user", np.zeros(len(cutoff), np.int32), cutoff, log.users))
    assert n * len(names) > 1 << 22
    same(spec.table(past).values, spec.table(past, "seek").values, spec.names)
    newest = np.maximum(past.stop - naive.EXACT, 0)
    for row in (3, 15):
        counts_at = time[: past.stop[row]].copy()
        counts_at[: newest[row]] = counts_at[: newest[row]] // DAY * DAY
        inside = counts_at >= past.at[row] - 30 * DAY
        wanted = np.bincount(log.columns["category"].values[: past.stop[row]][inside], minlength=80)
        np.testing.assert_array_equal(spec.table(past).values[row], wanted)


def test_many_keys_of_a_large_log_in_any_order():
    rng = np.random.default_rng(7)
    log = random_log(rng, 3000, 400_000, late=False, heads=True, years=True)
    past = random_past(rng, History(log), 5000)
    spec = f.default_features(log)
    sweep, seek = spec.table(past), spec.table(past, "seek")
    same(sweep.values, seek.values, spec.names)
    few = past.take(np.array([7, 3, 3, 4999]))
    same(spec.table(few).values, sweep.values[[7, 3, 3, 4999]], spec.names)
    same(naive.table(few, spec), sweep.values[[7, 3, 3, 4999]], spec.names)


def test_no_key_no_event_no_feature():
    log = random_log(np.random.default_rng(0), 3, 0, late=False, heads=False)
    history = History(log)
    nobody = history.before(Keys("user", np.zeros(0, np.int32), np.zeros(0, np.int64), log.users))
    assert EVERYTHING.table(nobody).values.shape == (0, len(EVERYTHING.names))
    one = history.before(Keys("user", np.zeros(1, np.int32), np.array([START]), log.users))
    check(one, EVERYTHING)
    assert f.Features(()).table(one).values.shape == (1, 0)
    check(one, f.Features((f.Calendar("month"),)))


def test_memory_mapped_columns_are_read_only_and_enough(tmp_path):
    rng = np.random.default_rng(8)
    log = random_log(rng, 5, 500, late=True, heads=True)

    def mapped(name, array):
        np.save(tmp_path / f"{name}.npy", array)
        return np.load(tmp_path / f"{name}.npy", mmap_mode="r")

    columns = {name: Column(mapped(name, c.values), c.dictionary, c.scale) for name, c in log.columns.items()}
    on_disk = EventLog(
        log.users, log.kinds, log.offsets, mapped("known_at", log.known_at), mapped("time", log.time), mapped("kind", log.kind), columns,
        log.end, mapped("by_time", log.by_time),
    )  # fmt: skip
    past = random_past(rng, History(log), 50)
    same_past = History(on_disk).before(past.keys)
    for engine in ("sweep", "seek"):
        same(EVERYTHING.table(same_past, engine).values, EVERYTHING.table(past, engine).values, EVERYTHING.names)


def test_the_future_changes_nothing():
    rng = np.random.default_rng(9)
    log = random_log(rng, 6, 900, late=True, heads=True)
    cutoff = int(np.median(log.known_at))
    keys = History(log).keys(as_of=cutoff)
    whole, cut = EVERYTHING.table(History(log).before(keys)), EVERYTHING.table(History(log.cut(cutoff)).before(keys))
    same(whole.values, cut.values, EVERYTHING.names)
