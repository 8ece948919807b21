"""The shop's clock as a filter."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tests.unit.features import naive
from tests.unit.features.test_engines import EVERYTHING, START, random_log, same
from whenbuy import features as f
from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock
from whenbuy.core.errors import SettingsError
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.features import local

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca")
HOUR = DAY // 24


def wall(instant, zone):
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(instant))).astimezone(ZoneInfo(zone))


def instants_of(zone, rng):
    """Instants of all times, and those beside every change of the zone's clock."""
    begin, _ = local._changes(Clock(zone))
    beside = begin[(begin > 0) & (begin < 17_000 * DAY)]  # later rules may differ between two time zone databases
    return np.concatenate([rng.integers(-(10**15), 17_000 * DAY, 300), beside - 1, beside])


@pytest.mark.parametrize("zone", ZONES)
def test_parts_are_those_of_the_wall_clock(zone):
    instants = instants_of(zone, np.random.default_rng(0))
    for some in (instants, instants[instants >= 0]):
        walls = [wall(instant, zone) for instant in some]
        np.testing.assert_array_equal(local.part_of("weekday", some, Clock(zone)), [w.weekday() for w in walls])
        np.testing.assert_array_equal(local.part_of("hour", some, Clock(zone)), [w.hour // 6 for w in walls])
        np.testing.assert_array_equal(local.offsets_at(some, Clock(zone)), [w.utcoffset() // timedelta(microseconds=1) for w in walls])
    for instant in instants[::7].tolist():
        begin, end, offset = local.steady(instant, Clock(zone))
        assert begin <= instant < end
        assert zone == "UTC" or (local.offsets_at(np.array([begin, end - 1]), Clock(zone)) == offset).all()
        for part in local.PARTS:
            assert local.on_the_wall(part, instant + offset) == local.part_of(part, np.array([instant]), Clock(zone))[0]


def test_no_instant_has_no_part():
    assert len(local.part_of("weekday", np.empty(0, np.int64), Clock("Europe/Berlin"))) == 0


def test_the_live_engine_reads_the_clock_itself():
    log = random_log(np.random.default_rng(5), 3, 300, late=True, heads=True, span_days=400)
    clock = Clock("Australia/Lord_Howe")
    program = EVERYTHING.compile(log, clock)
    live = f.Live(program)
    _, kind, values = program.read(slice(None))
    for user in range(3):
        for row in range(log.offsets[user], log.offsets[user + 1]):
            live.update(user, int(log.known_at[row]), int(log.time[row]), int(kind[row]), values[: len(program.columns), row])
    past = History(log, clock).before(History(log, clock).keys())
    read = np.array([live.read(int(user), int(at)) for user, at in zip(past.keys.code, past.at, strict=True)])
    same(read, naive.table(past, EVERYTHING), program.names)


def test_an_order_counts_once_on_the_day_of_its_head():
    log = random_log(np.random.default_rng(2), 3, 400, late=False, heads=True)
    past = History(log).before(Keys("user", np.arange(3, dtype=np.int32), np.full(3, START + 90 * DAY), log.users))
    days = f.Features((f.Orders(), *(f.Orders(where=("weekday", day)) for day in local.PARTS["weekday"])))
    values = days.table(past).values
    np.testing.assert_array_equal(values[:, 0], values[:, 1:].sum(axis=1))
    assert days.names[1] == "orders_weekday_monday"


@pytest.mark.parametrize("where", [("weekday", "Monday"), ("weekday", "holiday"), ("hour", "noon")])
@pytest.mark.parametrize("feature", [f.Orders, f.Count, f.Share])
def test_a_part_that_no_clock_has_is_refused(feature, where):
    with pytest.raises(SettingsError, match="There are"):
        feature(where=where)
