"""The simulated shop that treats its customers well or badly: its log, and the truth about it."""

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest

from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.errors import SettingsError, UsageError
from whenbuy.ingest.simulate import SimulatedShop, simulate
from whenbuy.ingest.simulated.care import CAUSES, MOVED, TROUBLES
from whenbuy.ingest.simulated.parameters import FROZEN, Parameters
from whenbuy.questions.activity import ACTS, first_of

HASH = "930b7e31c30d39a656ae72f7e208bf7a77740cf0a6d80896fcd024eaace5b14b"


@cache
def shop() -> SimulatedShop:
    return simulate(1500, 300, 5, Parameters.frozen("service"))


def times(kind: str) -> tuple[np.ndarray, np.ndarray]:
    log = shop().history.log
    rows = np.flatnonzero(log.kind == log.code(kind))
    return np.searchsorted(log.offsets, rows, side="right") - 1, log.time[rows]


def left() -> np.ndarray:
    return shop().people["left"].cast(pl.Int64).to_numpy()


def test_its_laws_are_frozen() -> None:
    assert FROZEN["service"] == HASH == Parameters.frozen("service").sha256


def test_the_same_seed_gives_the_same_bytes() -> None:
    one, other = (simulate(60, 120, 3, Parameters.frozen("service")) for _ in range(2))
    assert one.people.equals(other.people)
    for name, column in one.history.log.columns.items():
        assert column.values.tobytes() == other.history.log.columns[name].values.tobytes()
    assert one.history.log.time.tobytes() == other.history.log.time.tobytes()


def test_every_kind_of_event_is_there() -> None:
    log = shop().history.log
    for kind in (*TROUBLES, "enquiry", "shown", "opened", "clicked", "unsubscribe", "refund", "redeemed"):
        assert log.count(kind) > 20, kind
    asked = log.kind == log.code("enquiry")
    assert (log.columns["topic"].values[asked] >= 0).all()
    assert (log.columns["topic"].values[~asked] == -1).all()


@pytest.mark.parametrize("kind", [kind for kind in ACTS if kind not in ("search", "favourite", "review", "subscribe")])
def test_who_has_left_does_nothing_any_more(kind: str) -> None:
    user, time = times(kind)
    assert (time <= left()[user] + DAY // 24).all()  # a visit that has begun is ended


@pytest.mark.parametrize("cause", CAUSES)
def test_a_cause_is_told_by_an_event_at_the_moment_of_leaving(cause: str) -> None:
    kind = "shown" if cause == "contact pressure" else TROUBLES[CAUSES.index(cause)]
    user, time = times(kind)
    for person in np.flatnonzero((shop().people["cause"] == cause).to_numpy()):
        gap = left()[person] - time[user == person]
        assert ((gap >= 0) & (gap < DAY // 48)).any()


def test_there_are_all_causes_and_who_stays_has_none() -> None:
    people = shop().people
    assert set(people["cause"].drop_nulls().to_list()) == {*CAUSES, MOVED}
    assert ((left() >= shop().history.end) == people["cause"].is_null().to_numpy()).all()


def test_no_message_comes_after_she_has_unsubscribed() -> None:
    gone, when = times("unsubscribe")
    user, time = times("shown")
    stop = np.full(len(shop().people), np.iinfo(np.int64).max)
    stop[gone] = when
    assert len(np.unique(gone)) == len(gone)
    assert (time <= stop[user]).all()


def test_messages_come_by_plan() -> None:
    plan = shop().people["plan"].to_numpy()
    user, time = times("shown")
    for name, days in (("seldom", 14), ("often", 4)):
        for person in np.flatnonzero(plan == name)[:20]:
            assert (np.diff(time[user == person]) == days * DAY).all()


def test_an_abuser_refunds_and_redeems_more() -> None:
    habit = shop().people["habit"].to_numpy()
    log = shop().history.log
    orders = np.bincount(
        np.searchsorted(log.offsets, np.flatnonzero(log.columns["orders"].values == 1), side="right") - 1, minlength=len(habit)
    )
    redeemed = np.bincount(times("redeemed")[0], minlength=len(habit))
    share = {name: redeemed[habit == name].sum() / orders[habit == name].sum() for name in ("usual", "abuser")}
    assert share["usual"] == pytest.approx(0.06, abs=0.02)
    assert share["abuser"] == pytest.approx(0.90, abs=0.04)


def test_a_coupon_takes_off_what_it_says() -> None:
    log = shop().history.log
    used = (log.columns["offer_id"].values >= 0) & (log.kind == log.code("purchase"))
    assert (
        log.columns["amount"].values[used].mean() < 0.95 * log.columns["amount"].values[(log.kind == log.code("purchase")) & ~used].mean()
    )


def test_a_visit_lasts_by_its_own_law() -> None:
    log, law = shop().history.log, shop().parameters.care
    rows = np.flatnonzero((log.columns["dwell_s"].values != MISSING) & (log.columns["session_id"].values >= 0))
    whole = np.bincount(log.columns["session_id"].values[rows], log.columns["dwell_s"].values[rows] / 1000)
    seconds = np.log(whole[whole > 0])
    spread = np.hypot(law.dwell_spread_people, law.dwell_spread_visits)
    assert seconds.mean() == pytest.approx(np.log(law.dwell_median_s), abs=0.1)
    assert seconds.std() == pytest.approx(spread, abs=0.1)


KINDS = {
    "active": ACTS,
    "contact": ("enquiry",),
    "refund": ("refund",),
    "opened": ("opened",),
    "clicked": ("clicked",),
    "unsubscribe": ("unsubscribe",),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_best_chances_come_true_as_often_as_they_say(name: str) -> None:
    """Over all keys and in each third of them the mean chance lies within four standard errors of the share that came true."""
    keys = shop().history.keys(None, shop().history.end - 40 * DAY)
    chance = getattr(shop().foreseen(keys, 28), name)
    future = shop().history.within(keys, 28.0)
    came = first_of(future, KINDS[name]) < future.end
    order = np.argsort(chance)
    for part in (order, *np.array_split(order, 3)):
        error = np.sqrt(max((chance[part] * (1 - chance[part])).sum(), 1.0))
        assert abs(came[part].sum() - chance[part].sum()) < 4 * error


def test_the_best_chances_know_who_has_left_and_why() -> None:
    cutoff = shop().history.end - 10 * DAY
    keys = shop().history.keys(None, cutoff)
    found = shop().foreseen(keys, 7)
    np.testing.assert_allclose(found.here + found.causes.sum(axis=1), 1.0)
    gone = left()[keys.code] < cutoff
    assert found.here.mean() == pytest.approx((~gone).mean(), abs=0.03)
    cause = shop().people["cause"].to_numpy()[keys.code]
    for place, name in enumerate((*CAUSES, MOVED)):
        assert found.causes[:, place].mean() == pytest.approx((gone & (cause == name)).mean(), abs=0.03)


def test_the_best_chances_do_not_depend_on_the_company_or_on_later_events() -> None:
    cutoff = shop().history.end - 60 * DAY
    keys = shop().history.keys(None, cutoff)
    whole, some = shop().foreseen(keys, 14), shop().foreseen(keys.take(np.array([3, 1])), 14)
    for name in ("active", "contact", "refund", "opened", "longer", "here"):
        np.testing.assert_allclose(getattr(whole, name)[[3, 1]], getattr(some, name), rtol=1e-9)


def test_other_shops_have_no_such_truth() -> None:
    plain = simulate(20, 60, 1)
    with pytest.raises(UsageError, match="service"):
        plain.foreseen(plain.history.keys())


def test_laws_that_the_truth_cannot_tell_are_refused() -> None:
    laws = Parameters.frozen("service")
    with pytest.raises(SettingsError, match="truth"):
        replace(laws, afterwards=replace(laws.afterwards, review_share=0.1))
    with pytest.raises(SettingsError, match="shares"):
        replace(laws.care, plan_shares=(0.4, 0.4))
    with pytest.raises(SettingsError, match="needed"):
        replace(laws.care, leaves=(0.1,))
