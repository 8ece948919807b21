"""The forecaster: one rule for silence, whenever it is asked; closed days; whoever is named."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock
from whenbuy.core.errors import LeakError, NotEnoughDataError
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.ingest.simulate import simulate
from whenbuy.models.how_much.amount_floors import OwnMean
from whenbuy.models.when.buy_till_you_die import BgNbd
from whenbuy.models.when.hazard import PooledLogistic
from whenbuy.pipeline.learning import forecaster as module
from whenbuy.pipeline.learning.forecaster import without_closed_days
from whenbuy.pipeline.learning.learn import fit

HOUR = DAY // 24
BOUNDARY = "2024-05-01"


def quick(answer, grid):
    return {
        "purchase": (PooledLogistic(grid.days, grid.step_days, rich=False, max_rows=5_000),), "orders": (BgNbd(grid.days),),
        "amount": (OwnMean(),),
    }.get(answer, ())  # fmt: skip


@pytest.fixture(scope="module")
def history():
    return simulate(150, 150, 8).history


@pytest.fixture(scope="module")
def model(history):
    return fit(history, BOUNDARY, horizons=(7, 14), candidates=quick)


@pytest.fixture(scope="module")
def midnight(history):
    return history.clock.instant(BOUNDARY)


def quiet(history, start, stop):
    """Users of whom nothing became known in [start, stop), and users of whom something did."""
    before, after = (history.before(history.keys(as_of=start)), history.before(history.keys(history.keys(as_of=start).ids(), stop)))
    silent = before.count() == after.count()
    ids = before.keys.ids().to_numpy()
    return ids[silent].tolist(), ids[~silent].tolist()


def numbers(curves):
    return curves.survival.tobytes(), curves.mean_count.tobytes()


@pytest.mark.parametrize("hours", [1, 9, 23])
def test_within_a_quiet_day_the_forecast_is_the_midnight_one_after_the_silence(history, model, midnight, hours):
    users, _ = quiet(history, midnight, midnight + hours * HOUR)
    morning, later = model.predict(history, midnight, users), model.predict(history, midnight + hours * HOUR, users)
    expected = morning.purchase.after_silence(np.full(len(users), hours / 24))
    assert numbers(later.purchase) == numbers(expected)
    assert later.amount.mean.tobytes() == morning.amount.mean.tobytes()
    assert (later.keys.cutoff == midnight + hours * HOUR).all()
    assert (later.purchase.keys.cutoff == midnight + hours * HOUR).all()
    assert later.frame()["as_of"].dt.epoch("us").to_list() == [midnight + hours * HOUR] * len(users)


def test_after_an_event_of_the_day_the_forecast_is_read_at_the_event(history, model, midnight):
    at = midnight + 23 * HOUR
    _, users = quiet(history, midnight, at)
    assert users
    later = model.predict(history, at, users)
    past = history.before(later.keys)
    for row in range(len(users)):
        read_at = int(past.last_known()[row]) + 1
        then = model.predict(history, read_at, users[row : row + 1]).purchase
        assert numbers(then.after_silence(np.array([(at - read_at) / DAY]))) == numbers(later.purchase.take(slice(row, row + 1)))


def test_the_next_midnight_reads_the_features_anew(history, model, midnight):
    users, _ = quiet(history, midnight, midnight + DAY)
    anew = model.predict(history, midnight + DAY, users).purchase
    old = model.predict(history, midnight, users).purchase.after_silence(np.ones(len(users)))
    assert np.abs(anew.survival_at(7.0) - old.survival_at(7.0)).max() < 0.2  # two readings of one truth


def test_the_day_is_the_shops_own(history, midnight):
    there = replace(history, clock=Clock("America/New_York"))
    model = fit(there, BOUNDARY, horizons=(7, 14), candidates=quick)
    start = there.clock.instant(BOUNDARY)
    assert start == midnight + 4 * HOUR
    users, _ = quiet(there, start, start + 6 * HOUR)
    later = model.predict(there, start + 6 * HOUR, users).purchase
    assert numbers(later) == numbers(model.predict(there, start, users).purchase.after_silence(np.full(len(users), 0.25)))


def test_everybody_known_is_asked_but_no_machine(history, model, midnight):
    outlook = model.predict(history, midnight)
    first = history.log.known_at[history.log.offsets[:-1]]
    assert outlook.keys.ids().to_list() == history.log.users.ids.filter(first < midnight).to_list()
    bots = replace(history.log, kinds=tuple("bot" if kind == "search" else kind for kind in history.log.kinds))
    machines = {
        user for user, past in ((u, history.before(history.keys([u], midnight))) for u in outlook.keys.ids()) if past.count("search")[0]
    }
    assert set(model.predict(replace(history, log=bots), midnight).keys.ids()) == set(outlook.keys.ids()) - machines


def test_users_are_answered_as_named_even_twice_even_strangers(history, model):
    names = ["u007", "nobody", "u003", "u007", "nobody"]
    outlook = model.predict(history, BOUNDARY, names)
    assert outlook.frame()["user_id"].to_list() == names
    survival = outlook.purchase.survival
    assert survival[0].tobytes() == survival[3].tobytes()
    assert survival[1].tobytes() == survival[4].tobytes()
    assert outlook.purchase.prior.tolist()[1] is True
    assert outlook.curve("nobody").survival.tobytes() == survival[1].tobytes()
    assert outlook.frame()["amount_mean"].is_finite().all()


def test_nobody_known_is_an_error_that_names_the_moment(history, model):
    with pytest.raises(NotEnoughDataError, match="Nobody was known by 2010-01-01"):
        model.predict(history, "2010-01-01", in_sample=True)
    with pytest.raises(NotEnoughDataError, match="Nobody was known"):
        model.predict(history, BOUNDARY, [])


def test_an_earlier_moment_is_a_leak_unless_said(history, model, midnight):
    with pytest.raises(LeakError):
        model.predict(history, midnight - 1)
    earlier = model.predict(history, midnight - DAY, in_sample=True)
    assert earlier.purchase.in_sample
    assert earlier.amount.in_sample
    assert not model.predict(history, midnight).purchase.in_sample


def test_a_forecast_reads_nothing_after_its_moment(history, model, midnight):
    at = midnight + 10 * DAY + 5 * HOUR
    whole, cut = model.predict(history, at), model.predict(history.cut(at), at)
    assert whole.keys.ids().to_list() == cut.keys.ids().to_list()
    assert numbers(whole.purchase) == numbers(cut.purchase)
    assert whole.amount.quantiles.tobytes() == cut.amount.quantiles.tobytes()


def test_chunks_make_no_difference(history, model, monkeypatch):
    whole = model.predict(history, BOUNDARY)
    monkeypatch.setattr(module, "CHUNK", 7)
    parts = model.predict(history, BOUNDARY)
    assert numbers(parts.purchase) == numbers(whole.purchase)
    assert parts.purchase.prior.tolist() == whole.purchase.prior.tolist()
    assert parts.amount.quantiles.tobytes() == whole.amount.quantiles.tobytes()


def test_keys_with_many_cutoffs_are_answered_in_their_order(history, model, midnight):
    code = np.array([3, 9, 3, 5], np.int32)
    keys = Keys("user", code, midnight + np.array([5, 0, 1, 2]) * DAY + HOUR, history.log.users)
    together = model.answer(history, keys)
    for row in range(4):
        alone = model.answer(history, keys.take(slice(row, row + 1)))
        assert numbers(alone.purchase) == numbers(together.purchase.take(slice(row, row + 1)))


def test_the_count_is_that_of_the_count_model_and_never_below_the_curve(history, model):
    outlook = model.predict(history, BOUNDARY)
    assert (outlook.purchase.mean_count >= 1 - outlook.purchase.survival - 1e-12).all()
    alone = replace(model, models={name: one for name, one in model.models.items() if name != "orders"}).predict(history, BOUNDARY)
    assert alone.purchase.survival.tobytes() == outlook.purchase.survival.tobytes()
    assert alone.purchase.mean_count.tobytes() != outlook.purchase.mean_count.tobytes()


# ------------------------------------------------------------------------------------------------------ closed days


def day_number(text):
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def curve(cutoff, grid, rate=0.1, n=1):
    keys = Keys("user", np.zeros(n, np.int32), np.full(n, cutoff, np.int64), Dictionary.of(["u"]))
    fallen = np.tile(rate * np.array(grid), (n, 1))
    return TimeToEvent.of(keys, np.array(grid), np.exp(-fallen), fallen, "constant")


def test_on_a_closed_day_nobody_buys():
    start = Clock().instant("2024-12-24")
    closed = without_closed_days(curve(start, [1.0, 2.0, 3.0, 4.0]), (day_number("2024-12-25"), day_number("2024-12-26")), Clock())
    np.testing.assert_allclose(-np.log(closed.survival[0]), [0.1, 0.1, 0.1, 0.2])
    np.testing.assert_allclose(closed.mean_count[0], [0.1, 0.1, 0.1, 0.2])


def test_a_bin_keeps_the_share_of_its_open_time():
    start = Clock().instant("2024-12-24T12:00")
    closed = without_closed_days(curve(start, [0.25, 7.0]), (day_number("2024-12-25"), day_number("2024-12-26")), Clock())
    np.testing.assert_allclose(-np.log(closed.survival[0]), [0.025, 0.025 + 0.1 * (6.75 - 2.0)])


def test_closed_days_are_the_shops_own_even_when_the_clock_changes():
    clock = Clock("Europe/Berlin")  # 2024-03-31 has 23 hours
    closed = without_closed_days(curve(clock.instant("2024-03-30"), [1.0, 2.0, 3.0]), (day_number("2024-03-31"),), clock)
    np.testing.assert_allclose(-np.log(closed.survival[0]), [0.1, 0.1 + 0.1 / 24, 0.2 + 0.1 / 24])


def test_closed_days_elsewhere_change_nothing():
    plain = curve(Clock().instant("2024-12-24"), [1.0, 7.0])
    closed = without_closed_days(plain, (day_number("2024-12-01"), day_number("2025-12-25")), Clock())
    np.testing.assert_allclose(closed.survival, plain.survival)


def test_a_forecaster_of_a_shop_with_closed_days_has_none_there(history, model, midnight):
    shut = replace(model, closed=(day_number("2024-05-02"), day_number("2024-05-03")))
    open_all, curves = model.predict(history, midnight).purchase, shut.predict(history, midnight).purchase
    alive = curves.survival_at(np.array([1.0, 2.0, 3.0, 4.0]))
    np.testing.assert_allclose(alive[:, 0], alive[:, 2], rtol=1e-12)
    assert (alive[:, 3] < alive[:, 2]).all()
    assert (curves.survival >= open_all.survival - 1e-12).all()
    np.testing.assert_allclose(alive[:, 0], open_all.survival_at(1.0), rtol=1e-12)
    users, _ = quiet(history, midnight, midnight + 5 * HOUR)
    later = shut.predict(history, midnight + 5 * HOUR, users).purchase  # its bins begin at 5 h; the last of May 1 ends on May 2
    np.testing.assert_allclose(later.survival_at(1.0), later.survival_at(2.0), rtol=1e-12)
    assert numbers(later) == numbers(shut.predict(history, midnight, users).purchase.after_silence(np.full(len(users), 5 / 24)))
    inside = shut.predict(history, Clock().instant("2024-05-02T08:00")).purchase
    np.testing.assert_allclose(inside.survival_at(0.5), 1.0)
