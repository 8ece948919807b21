import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock
from whenbuy.core.errors import SettingsError, UsageError

ZONES = ["UTC", "Etc/GMT+5", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu"]
instants = st.integers(min_value=0, max_value=2_000_000_000_000_000)


@given(st.sampled_from(ZONES), st.lists(instants, min_size=1, max_size=20))
def test_midnight_before_begins_the_local_day(zone, moments):
    clock, at = Clock(zone), np.array(moments, np.int64)
    midnight = clock.midnight_before(at)
    assert (midnight <= at).all()
    assert (at - midnight < DAY + 2 * 3_600_000_000).all()
    assert (clock.days(midnight) == clock.days(at)).all()


def test_days_of_a_zone_are_its_own():
    just_before_midnight_in_new_york = Clock().instant("2017-01-02T04:59:59")
    assert (
        Clock("Etc/GMT+5").days(np.array([just_before_midnight_in_new_york]))[0]
        == Clock().days(np.array([just_before_midnight_in_new_york]))[0] - 1
    )


def test_a_day_of_25_hours():
    clock = Clock("Europe/Berlin")
    start, end = clock.instant("2017-10-29"), clock.instant("2017-10-30")
    assert end - start == 25 * 3_600_000_000
    assert clock.next_midnight(start) == end


def test_instants_are_shown_as_they_were_typed():
    clock = Clock("Asia/Kathmandu")
    for text in ("2017-11-01", "2017-11-01 15:30"):
        assert clock.show(clock.instant(text)) == text


def test_bad_dates_and_zones_say_what_is_needed():
    with pytest.raises(UsageError, match="2017-11-01"):
        Clock().instant("first of May")
    with pytest.raises(SettingsError, match="IANA"):
        Clock("Mars/Olympus")
