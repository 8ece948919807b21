"""Activity counts whole days or whole weeks, kind by kind."""

import numpy as np
import polars as pl

from whenbuy.core.activity import Activity
from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock
from whenbuy.core.log import Dictionary, EventLog


def log(time: np.ndarray, kind: np.ndarray, kinds: tuple[str, ...]) -> EventLog:
    return EventLog(Dictionary.of(["a"]), kinds, np.array([0, len(time)]), time, time, kind.astype(np.uint8), {}, 17_532 * DAY)


def test_weeks_are_whole_and_begin_on_monday() -> None:
    time = np.sort(np.random.default_rng(3).integers(17_470 * DAY, 17_532 * DAY, 4_000))
    kind = np.random.default_rng(4).integers(0, 3, 4_000)
    found = Activity.of(log(time, kind, ("view", "purchase", "none", "cart")), Clock("Europe/Berlin"))
    assert found.unit == "week"
    assert set(found.totals) == {"view", "purchase", "none"}
    assert set(found.days.dt.weekday()) == {1}
    assert found.days.diff().drop_nulls().dt.total_days().unique().to_list() == [7]
    monday = found.days[2]
    local = pl.Series(time).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone("Europe/Berlin").dt.date()
    inside = ((local >= monday) & (local < found.days[3])).to_numpy()
    assert found.of_kind("purchase")["events"][2] == int((kind[inside] == 1).sum())


def test_a_short_log_is_counted_by_the_day() -> None:
    time = np.array([17_500 * DAY, 17_500 * DAY + 1, 17_502 * DAY])
    found = Activity.of(log(time, np.zeros(3), ("purchase",)), Clock())
    assert (found.unit, found.runs["purchase"].tolist()) == ("day", [2, 0, 1])


def test_an_empty_log_has_none() -> None:
    found = Activity.of(log(np.empty(0, np.int64), np.empty(0), ("purchase",)), Clock())
    assert (dict(found.totals), len(found.days)) == ({}, 0)
