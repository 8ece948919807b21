"""When messages may go out."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock
from whenbuy.core.decision import Channel
from whenbuy.core.errors import SettingsError
from whenbuy.decide.timing import NEVER, first_days, free_from, quiet_at, send_instants

BERLIN = Clock("Europe/Berlin")
NIGHT = Channel("email", at=150, quiet_from=720, quiet_until=120)  # 02:30, quiet from 12:00 to 02:00


def wall(instant, zone="Europe/Berlin"):
    return datetime.fromtimestamp(instant / 1e6, ZoneInfo(zone)).strftime("%m-%d %H:%M")


def test_an_hour_that_a_zone_skips_or_repeats_still_has_an_instant():
    spring, autumn = BERLIN.instant("2024-03-30"), BERLIN.instant("2024-10-26")
    at = send_instants(pl.Series([None] * 3, dtype=pl.String), BERLIN, NIGHT, np.arange(3), spring)
    assert [wall(each) for each in at] == ["03-30 02:30", "03-31 03:30", "04-01 02:30"]
    at = send_instants(pl.Series([None] * 3, dtype=pl.String), BERLIN, NIGHT, np.arange(3), autumn)
    assert [wall(each) for each in at] == ["10-26 02:30", "10-27 02:30", "10-28 02:30"]


def test_what_has_passed_today_goes_out_at_once_unless_it_is_quiet():
    zones = pl.Series([None, "Asia/Tokyo"])
    day_time, evening = BERLIN.instant("2024-05-02T11:30"), BERLIN.instant("2024-05-02T22:00")
    email = Channel("email")
    free = np.full(2, day_time)
    assert first_days(zones, BERLIN, [email], free, day_time, 5).ravel().tolist() == [0, 0]  # 11:30 in Berlin, 18:30 in Tokyo
    assert send_instants(zones, BERLIN, email, np.zeros(2, np.int64), day_time).tolist() == [day_time, day_time]
    first = first_days(zones, BERLIN, [email], np.full(2, evening), evening, 5).ravel()
    assert first.tolist() == [1, 0]  # 22:00 in Berlin is quiet; in Tokyo it is 05:00 of the next day, and 10:00 comes
    at = send_instants(zones, BERLIN, email, first, evening)
    assert [wall(at[0]), wall(at[1], "Asia/Tokyo")] == ["05-03 10:00", "05-03 10:00"]
    assert not quiet_at(zones, BERLIN, email, at).any()


@pytest.mark.parametrize("seed", range(20))
def test_a_free_day_keeps_the_cap(seed):
    rng = np.random.default_rng(seed)
    made, cap, period = BERLIN.instant("2024-05-02") + int(rng.integers(0, DAY)), int(rng.integers(1, 4)), float(rng.uniform(1, 9))
    owner, contacts = rng.integers(0, 6, 20), made - rng.integers(0, 12 * DAY, 20)
    free = free_from(owner, contacts, 6, made, cap, period)
    for user in range(6):

        def count(at, user=user):
            return sum(at - round(period * DAY) < c <= at for c in contacts[owner == user])

        assert count(free[user]) < cap, "a contact then is allowed"
        if free[user] > made:
            assert count(free[user] - 1) >= cap, "and was not a moment before"
    day = first_days(pl.Series([None] * 6, dtype=pl.String), BERLIN, [Channel("email")], free, made, 30).ravel()
    at = send_instants(pl.Series([None] * 6, dtype=pl.String), BERLIN, Channel("email"), day, made)
    assert (at >= free).all()
    earlier = send_instants(pl.Series([None] * 6, dtype=pl.String), BERLIN, Channel("email"), np.maximum(day - 1, 0), made)
    assert ((earlier < free) | (day == 0) | quiet_at(pl.Series([None] * 6, dtype=pl.String), BERLIN, Channel("email"), earlier)).all()


def test_a_cap_of_nothing_is_never_free():
    assert (free_from(np.empty(0, np.int64), np.empty(0, np.int64), 3, 0, 0, 7.0) == NEVER).all()


def test_a_channel_cannot_send_in_its_own_quiet_hours():
    with pytest.raises(SettingsError, match="sends at 07:00, within its quiet hours"):
        Channel("email", at=420)
    assert Channel("x", at=420, quiet_from=0, quiet_until=0).quiet(420) is False
