"""The clock, the gaps, the start, the end, and what was done with oddities."""

import numpy as np
import polars as pl
import pytest

from whenbuy.clean import clean
from whenbuy.core.history import History
from whenbuy.ingest.read import read
from whenbuy.pipeline.checking.condition import closed_weekdays, gap_runs, quiet_shift, remarks

MONDAY = 19_359  # 2023-01-02, in days since 1970


def said(table: pl.DataFrame, **options: object) -> dict[str, str]:
    reading = read(table, **options)
    found = remarks(reading.history, reading, clean(reading.history))
    return {one.topic: f"{one.level}: {one.words}" for one in found}


def people_awake(shift: float, seed: int = 0, n: int = 4_000) -> np.ndarray:
    rng = np.random.default_rng(seed)
    hour = np.where(rng.random(n) < 0.5, rng.normal(13, 3, n), rng.normal(20, 2.2, n))
    return np.bincount(((hour + shift) % 24).astype(int), minlength=24)


@pytest.mark.parametrize("shift", range(-11, 12))
def test_the_quiet_hours_tell_by_how_much_a_clock_is_off(shift: int) -> None:
    found = quiet_shift(people_awake(shift))
    assert found is not None
    assert (found - shift + 12) % 24 - 12 == pytest.approx(0, abs=2.5)


def test_even_or_rare_activity_tells_nothing() -> None:
    assert quiet_shift(np.full(24, 100)) is None
    assert quiet_shift(people_awake(0, n=200)) is None


def log(n: int = 2_000, shift: float = 0.0, **columns: object) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    minute = np.sort(rng.integers(0, 100, n) * 1440 + ((rng.normal(15, 3.5, n) + shift) % 24 * 60).astype(int))
    frame = pl.DataFrame({"user_id": [f"u{i}" for i in rng.integers(0, 200, n)], "minute": minute, "amount": rng.gamma(3, 10, n).round(2)})
    time = pl.datetime(2023, 1, 2, time_zone="UTC") + pl.duration(minutes=pl.col("minute"))
    return frame.select("user_id", "amount", time=time, **columns)


def test_a_clock_in_another_zone_is_doubted() -> None:
    assert said(log())["time zone"].startswith("fine")
    assert "about 9 hours ahead" in said(log(shift=9))["time zone"].replace("8", "9").replace("10", "9")


def test_currencies_are_counted() -> None:
    money = pl.when(pl.int_range(pl.len()) % 4 == 0).then(pl.lit("USD")).otherwise(pl.lit("EUR"))
    assert said(log(currency=money))["currencies"].startswith("warning: amounts are in EUR (75%), USD (25%)")
    assert said(log(currency=pl.lit("EUR")))["currencies"] == "fine: all amounts are in EUR"


def test_late_events_ask_for_lateness() -> None:
    table = log().with_columns(known_at=pl.col("time") + pl.duration(hours=pl.int_range(pl.len()) % 50))
    assert "lateness_days is 0: labels ripen too early" in said(table)["late events"]
    assert said(table, lateness_days=3.0)["late events"].startswith("note")


def test_prices_in_cents_and_dwell_in_milliseconds() -> None:
    price = pl.when(pl.int_range(pl.len()) % 50 == 7).then(1999.0).otherwise(19.99)
    found = said(log(unit_price=price, item_id=pl.lit("i"), dwell_s=pl.lit(45_000.0)))
    assert "dwell" in found["units"]
    assert "40 prices" in said(log(unit_price=price, item_id=pl.lit("i")))["units"]


def test_a_heavy_customer_and_rows_of_nobody() -> None:
    who = pl.when(pl.int_range(pl.len()) % 5 == 0).then(pl.lit("till")).when(pl.int_range(pl.len()) % 5 == 1).then(None)
    found = said(log().with_columns(user_id=who.otherwise("user_id")))
    assert "customer till has 20%" in found["heavy customer"]
    assert "400 rows (20%) have no customer" in found["no customer"]


def test_an_unfinished_last_day_and_a_start_in_the_middle_of_things() -> None:
    rng = np.random.default_rng(5)
    day = np.concatenate([rng.integers(0, 100, 6_000), np.full(8, 100)])
    table = pl.DataFrame({"user_id": rng.integers(0, 400, len(day)).astype(str), "day": np.sort(day)})
    time = pl.datetime(2023, 1, 2, 12, time_zone="UTC") + pl.duration(days=pl.col("day"))
    found = said(table.select("user_id", time=time, amount=pl.lit(5.0)))
    assert "has 8 events" in found["end"]
    assert "--as-of 2023-04-12" in found["end"]
    assert "99 new customers a week in the first four weeks" in found["start"]


def test_closed_weekdays_and_gaps() -> None:
    counts = np.full(200, 30)
    counts[np.arange(6, 200, 7)] = 0  # from a Monday on: Sundays
    closed = closed_weekdays(counts, MONDAY)
    assert closed.tolist() == [False] * 6 + [True]
    assert gap_runs(counts, closed, MONDAY) == []
    counts[70:75] = 0
    assert gap_runs(counts, closed, MONDAY) == [(MONDAY + 70, 5)]


def test_a_small_shop_with_quiet_days_has_no_gaps() -> None:
    rng = np.random.default_rng(1)
    found = [gap_runs(rng.poisson(0.8, 300), np.zeros(7, bool), MONDAY) for _ in range(100)]
    assert sum(map(bool, found)) <= 3


def test_a_history_without_reading_is_examined_too() -> None:
    history: History = read(log()).history
    assert {one.topic for one in remarks(history, None, clean(history))} >= {"time zone"}
