"""What people live through in a shop that treats them well or badly: episodes, and when and why they leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from whenbuy.core.arrays import DAY, MISSING, Bools, Codes, Floats, Instants, Ints
from whenbuy.core.forecast import instants
from whenbuy.core.log import KINDS, SCALES
from whenbuy.ingest.simulated.care import CAUSES, DELIVERY, MOVED, PRESSURE, PRICE, SERVICE, STOCK, TROUBLES, Care
from whenbuy.ingest.simulated.people import Points, moments

Rows = dict[str, npt.NDArray[Any]]

ORDER, ASK, MESSAGE, RISE = range(4)
"""What an episode begins with."""
CARED_KINDS: Final = (*KINDS, *TROUBLES)
"""The kinds of event in the log of such a shop."""
COUPON: Final = "coupon"
_MINUTE, _SECOND, _HOUR = DAY // 1440, DAY // 86_400, DAY // 24


@dataclass(frozen=True, slots=True, eq=False)
class Episodes:
    """What befalls people, by person and time: an order, an enquiry of theirs, a message or a price rise, and what follows within minutes.

    Parameters
    ----------
    user, time, end, what
        Whose, when it begins and ends, and what it begins with (n).
    troubles
        Which troubles it holds, in the order of TROUBLES (n x 4).
    topic
        What she asks about (n), -1 where she does not ask.
    opened, clicked, unsubscribed
        What she does with a message (n).
    fatal
        Why she leaves at its end: a position in CAUSES (n), -1 where she does not.
    """

    user: Ints
    time: Instants
    end: Instants
    what: Codes
    troubles: Bools
    topic: Codes
    opened: Bools
    clicked: Bools
    unsubscribed: Bools
    fatal: Codes

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: Ints | Bools) -> Episodes:
        """Return some of the episodes."""
        return Episodes(*(getattr(self, name)[rows] for name in self.__slots__))

    def offsets(self, users: int) -> Ints:
        """Return where each person's episodes begin (users + 1)."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.user, minlength=users))]).astype(np.int64)

    @property
    def sign(self) -> Bools:
        """Which ones tell that she is still there (n)."""
        return np.asarray((self.what == ORDER) | (self.topic >= 0) | self.opened | self.unsubscribed)


@dataclass(frozen=True, slots=True, eq=False)
class Lived:
    """What everybody lived through.

    Parameters
    ----------
    episodes
        Until she left, and what the shop sent after that.
    refunded_at
        When each order was refunded (orders), MISSING where it was not.
    redeemed
        Whether it was made with a coupon (orders).
    """

    episodes: Episodes
    refunded_at: Instants
    redeemed: Bools


def draw_cared(people: pl.DataFrame, law: Care, rng: np.random.Generator) -> pl.DataFrame:
    """Return people with what the laws of such a shop draw for each.

    ``plan`` (the shop knows it); ``opens``: her chance to open a message; ``asks``: her unprompted enquiries per day; ``habit``: what comes
    of her orders; ``dwell_level``: the logarithm of her median seconds per visit.
    """
    n = len(people)
    plan, habit = rng.choice(len(law.plans), n, p=law.plan_shares), rng.choice(len(law.habits), n, p=law.habit_shares)
    return people.with_columns(
        plan=pl.Series(law.plans).gather(plan),
        opens=rng.beta(law.open_shape[0], law.open_shape[1], n),
        asks=rng.gamma(law.asks_shape, law.asks_per_day / law.asks_shape, n),
        habit=pl.Series(law.habits).gather(habit),
        dwell_level=np.log(law.dwell_median_s) + law.dwell_spread_people * rng.normal(0, 1, n),
    )


def live(
    people: pl.DataFrame, law: Care, purchases: Points, visits: Points, end: int, rng: np.random.Generator,
) -> tuple[pl.DataFrame, Lived, Points, Points]:  # fmt: skip
    """Return what everybody lives through, people with ``left`` and ``cause``, and the purchases and visits until they left."""
    plan = _codes(people, "plan", law.plans)
    own_end = np.maximum(moments(people, "left"), moments(people, "born") + 10 * _MINUTE)
    drawn = _drawn(people, law, plan, purchases, end, rng)
    left, cause = _leave(drawn, own_end)
    gone = drawn.end > left[drawn.user]
    kept = ~(gone & ((drawn.what == ORDER) | (drawn.what == ASK)))
    quiet = gone[kept]
    episodes = drawn.take(kept)
    still = ~quiet
    told = episodes.troubles.copy()
    told[quiet, SERVICE] = False
    episodes = Episodes(
        episodes.user, episodes.time, np.where(quiet, episodes.time, episodes.end), episodes.what, told,
        np.where(quiet, -1, episodes.topic).astype(np.int32), episodes.opened & still, episodes.clicked & still,
        episodes.unsubscribed & still, np.where(quiet, -1, episodes.fatal).astype(np.int32),
    )  # fmt: skip
    episodes = episodes.take(_subscribed(episodes, len(people)))
    why = np.where(left >= end, len(CAUSES) + 1, cause)  # who stays beyond the log has no cause
    people = people.with_columns(left=instants(left), cause=pl.Series([*CAUSES, MOVED, None]).gather(why))
    bought, looked = purchases.owner(), visits.owner()
    stays = ~gone[drawn.what == ORDER]
    orders = Points.of(len(people), bought[stays], purchases.time[stays])
    came = visits.time < left[looked]
    habit = _codes(people, "habit", law.habits)[bought[stays]]
    n = int(stays.sum())
    refunded = rng.uniform(0, 1, n) < np.array(law.refunds)[habit]
    back = orders.time + 1 + (rng.exponential(law.refund_mean_days, n) * DAY).astype(np.int64)
    redeemed = rng.uniform(0, 1, n) < np.array(law.redeems)[habit]
    lived = Lived(episodes, np.where(refunded, back, MISSING), redeemed)
    return people, lived, orders, Points.of(len(people), looked[came], visits.time[came])


def _codes(people: pl.DataFrame, column: str, names: tuple[str, ...]) -> Ints:
    return people[column].cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int64)


def _drawn(people: pl.DataFrame, law: Care, plan: Ints, purchases: Points, end: int, rng: np.random.Generator) -> Episodes:
    """Return all that would befall everybody if nobody left but for reasons of her own; orders in the order of the purchases."""
    born, own_end = moments(people, "born"), np.minimum(moments(people, "left"), end)
    bought = purchases.owner()
    asks = _poisson(people["asks"].to_numpy(), born, own_end, rng)
    rises = _poisson(np.full(len(people), law.rises_per_day), born, np.full(len(people), end), rng)
    sent = messages(law, plan, born, end)
    user = np.concatenate([bought, asks[0], sent[0], rises[0]])
    time = np.concatenate([purchases.time, asks[1], sent[1], rises[1]])
    what = np.repeat(np.arange(4, dtype=np.int32), [len(bought), len(asks[0]), len(sent[0]), len(rises[0])])
    n = len(user)
    luck = rng.uniform(0, 1, (n, 14))
    order, message, rise = what == ORDER, what == MESSAGE, what == RISE
    troubles = np.stack([rise, order & (luck[:, 0] < law.late), order & (luck[:, 1] < law.missing), np.zeros(n, bool)], axis=1)
    topic = np.full(n, -1, np.int32)
    for about in (STOCK, DELIVERY, PRICE):
        topic[troubles[:, about] & (luck[:, 2 + about] < law.asks_after[about])] = about
    free = what == ASK
    topic[free] = np.searchsorted(np.cumsum(law.topic_shares)[:-1], luck[free, 5], side="right")
    troubles[:, SERVICE] = (topic >= 0) & (luck[:, 6] < law.badly_served)
    opened = message & (luck[:, 7] < people["opens"].to_numpy()[user])
    clicked = opened & (luck[:, 8] < law.clicks)
    unsubscribed = message & (luck[:, 9] < np.array(law.unsubscribes)[plan[user]])
    fatal = np.full(n, -1, np.int32)
    fatal[message & (luck[:, 10] < np.array(law.pressure)[plan[user]])] = PRESSURE
    for cause, column in ((SERVICE, 6), (STOCK, 13), (DELIVERY, 12), (PRICE, 11)):
        lucky = luck[:, column] / (law.badly_served if cause == SERVICE else 1.0)  # below badly_served it is uniform again
        fatal[troubles[:, cause] & (lucky < law.leaves[cause])] = cause
    return Episodes(user, time, _step(time, 6), what, troubles, topic, opened, clicked, unsubscribed, fatal)


def messages(law: Care, plan: Ints, born: Instants, end: int) -> tuple[Ints, Instants]:
    """Return to whom messages go when nobody unsubscribes, and when: at nine, the first one so many days after her first visit."""
    every, first = np.array(law.plan_every_days)[plan], born // DAY
    count = np.maximum((end - 1 - 9 * _HOUR) // DAY - first, 0) // every
    user = np.repeat(np.arange(len(plan)), count)
    turn = np.arange(len(user)) - np.repeat(np.cumsum(count) - count, count) + 1
    return user, (first[user] + turn * every[user]) * DAY + 9 * _HOUR


def _poisson(rate: Floats, since: Instants, until: Instants, rng: np.random.Generator) -> tuple[Ints, Instants]:
    span = np.maximum(until - since, 0)
    count = rng.poisson(rate * span / DAY)
    user = np.repeat(np.arange(len(rate)), count)
    return user, since[user] + (rng.uniform(0, 1, len(user)) * span[user]).astype(np.int64)


def _step(time: Instants, step: int) -> Instants:
    """Return an instant so many steps later, on the same day."""
    room = (time // DAY + 1) * DAY - (10 - step) * _SECOND
    return np.maximum(np.minimum(time + step * _MINUTE, room), time + step)


def _leave(drawn: Episodes, own_end: Instants) -> tuple[Instants, Ints]:
    """Return when everybody leaves and why (users each)."""
    users = len(own_end)
    never = np.iinfo(np.int64).max
    stop = np.full(users, never)
    np.minimum.at(stop, drawn.user[drawn.unsubscribed], drawn.end[drawn.unsubscribed])
    deadly = (drawn.fatal >= 0) & ~((drawn.what == MESSAGE) & (drawn.end > stop[drawn.user])) & (drawn.end <= own_end[drawn.user])
    rows = np.flatnonzero(deadly)
    rows = rows[np.lexsort((drawn.end[rows], drawn.user[rows]))]
    first = rows[np.diff(drawn.user[rows], prepend=-1) != 0]
    left, cause = own_end.copy(), np.full(users, len(CAUSES))
    left[drawn.user[first]], cause[drawn.user[first]] = drawn.end[first], drawn.fatal[first]
    return left, cause


def _subscribed(episodes: Episodes, users: int) -> Bools:
    """Return which episodes happen given that no message comes after she has unsubscribed (n)."""
    stop = np.full(users, np.iinfo(np.int64).max)
    np.minimum.at(stop, episodes.user[episodes.unsubscribed], episodes.end[episodes.unsubscribed])
    return np.asarray((episodes.what != MESSAGE) | (episodes.end <= stop[episodes.user]))


# ---------------------------------------------------------------------------------------------------------------- rows


def further_rows(lived: Lived, rows: Rows) -> list[Rows]:
    """Return the rows that tell of all this, beside those of orders and visits (whose dwell times and coupons ``settle`` puts right)."""
    told = lived.episodes
    message, asks = told.what == MESSAGE, told.topic >= 0
    found = [
        _event("shown", told.user[message], told.time[message]),
        _event("opened", told.user[told.opened], _step(told.time, 2)[told.opened]),
        _event("clicked", told.user[told.clicked], _step(told.time, 3)[told.clicked]),
        _event("unsubscribe", told.user[told.unsubscribed], _step(told.time, 4)[told.unsubscribed]),
        _event("enquiry", told.user[asks], _step(told.time, 4)[asks]) | {"topic": told.topic[asks]},
    ]
    found += [
        _event(kind, told.user[told.troubles[:, place]], _step(told.time, 5 if place == SERVICE else 1 + place)[told.troubles[:, place]])
        for place, kind in enumerate(TROUBLES)
    ]
    bought = np.flatnonzero(rows["kind"] == KINDS.index("purchase"))
    order = rows["order_id"][bought]
    back = bought[lived.refunded_at[order] != MISSING]
    same = ("order_id", "item_id", "unit_price", "quantity", "amount", "offer_id")
    refunds = _event("refund", rows["user"][back].astype(np.int64), lived.refunded_at[rows["order_id"][back]])
    used = bought[lived.redeemed[order] & (rows["orders"][bought] == 1)]
    redeemed = _event("redeemed", rows["user"][used].astype(np.int64), rows["time"][used])
    return [*found, refunds | {name: rows[name][back] for name in same}, redeemed | {"offer_id": np.zeros(len(used), np.int32)}]


def settle(lived: Lived, rows: Rows, people: pl.DataFrame, law: Care, rng: np.random.Generator) -> None:
    """Put right what these laws say otherwise of orders and visits: coupons, and the time spent on each visit (changes the rows)."""
    bought = rows["kind"] == KINDS.index("purchase")
    cheap = np.flatnonzero(bought)[lived.redeemed[rows["order_id"][bought]]]
    price = np.round(rows["unit_price"][cheap] * (1 - law.discount)).astype(np.int64)
    rows["offer_id"][cheap], rows["unit_price"][cheap] = 0, price
    rows["amount"][cheap] = price * (rows["quantity"][cheap] // SCALES["quantity"])
    view = np.flatnonzero(rows["dwell_s"] != MISSING)
    session = rows["session_id"][view]
    owner = np.zeros(int(session.max(initial=-1)) + 1, np.int64)
    owner[session] = rows["user"][view]
    whole = people["dwell_level"].to_numpy()[owner] + law.dwell_spread_visits * rng.normal(0, 1, len(owner))
    part = rng.exponential(1, len(view))
    share = part / np.bincount(session, part, minlength=len(owner))[session]
    rows["dwell_s"][view] = np.maximum(np.round(np.exp(whole)[session] * share * SCALES["dwell_s"]), 1).astype(np.int64)


def _event(kind: str, user: Ints, time: Instants) -> Rows:
    return {"user": user.astype(np.int32), "time": time, "kind": np.full(len(user), CARED_KINDS.index(kind), np.uint8)}
