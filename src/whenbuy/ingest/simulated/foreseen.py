"""The best chances that anybody could give in the shop that treats its customers well or badly.

Known are the laws, the calendar, and all that was seen before the cutoff; averaged over is what nobody can see: rates, the chance to open a
message, what somebody's orders come to, and whether she has left, and why. In shop time purchases and visits are Poisson with gamma rates,
unprompted enquiries are so in days, openings are Bernoulli with a beta chance: every posterior has a closed form, and so has the silence
since her last sign of life (see ``presence``). What lies ahead is stepped through day by day (see ``ahead``). Stand at midnights (UTC).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import betaincinv, gammaincinv, ndtr

from whenbuy.core.arrays import DAY, MISSING, Floats, Ints
from whenbuy.core.history import History
from whenbuy.ingest.simulated.ahead import Road, Target, missed
from whenbuy.ingest.simulated.care import Care
from whenbuy.ingest.simulated.lived import ASK, MESSAGE, RISE, Episodes, Lived, messages
from whenbuy.ingest.simulated.parameters import Parameters
from whenbuy.ingest.simulated.people import Points, moments
from whenbuy.ingest.simulated.personal import PersonalTime
from whenbuy.ingest.simulated.presence import Presence, Seen, presence

NODES: Final = 8
"""A posterior of a rate or a chance is averaged over the middles of so many equally likely parts."""
CHUNK: Final = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Foreseen:
    """The best chances for some keys (n each).

    Parameters
    ----------
    active, contact, refund, opened, clicked, unsubscribe
        P(at least one such event within the horizon); active: any act of hers.
    longer
        P(her next visit lasts longer than asked).
    here
        P(she has not left yet).
    causes
        P(she has left because of each of CAUSES, or of nothing that the shop does) (n x 6).
    """

    active: Floats
    contact: Floats
    refund: Floats
    opened: Floats
    clicked: Floats
    unsubscribe: Floats
    longer: Floats
    here: Floats
    causes: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """All that was seen in a shop, by person and time."""

    people: pl.DataFrame
    parameters: Parameters
    law: Care
    own: PersonalTime
    orders: Points
    visits: Points
    lived: Lived
    episodes: Episodes
    offsets: Ints
    plan: Ints
    born: Ints
    dwell: tuple[Ints, Ints, Floats]

    @classmethod
    def of(
        cls, people: pl.DataFrame, parameters: Parameters, law: Care, own: PersonalTime, points: tuple[Points, Points], lived: Lived,
        history: History,
    ) -> Ledger:  # fmt: skip
        """Return the ledger of a shop."""
        told = lived.episodes.take(np.lexsort((lived.episodes.end, lived.episodes.user)))
        plan = people["plan"].cast(pl.Enum(law.plans)).to_physical().to_numpy().astype(np.int64)
        offsets = told.offsets(len(people))
        return cls(people, parameters, law, own, *points, lived, told, offsets, plan, moments(people, "born"), _stays(history, len(people)))

    def foreseen(self, user: Ints, cutoff: Ints, horizon_days: int, above_s: float) -> Foreseen:
        """Return the best chances for these users as of these instants (see ``SimulatedShop.foreseen``)."""
        starts = range(0, max(len(user), 1), CHUNK)
        parts = [self._look(user[start : start + CHUNK], cutoff[start : start + CHUNK], horizon_days, above_s) for start in starts]
        return Foreseen(*(np.concatenate([part[place] for part in parts]) for place in range(len(Foreseen.__slots__))))

    def _look(self, user: Ints, cutoff: Ints, horizon: int, above_s: float) -> tuple[Floats, ...]:
        """Return the fields of ``Foreseen``, in their order."""
        seen = self._seen(user, cutoff)
        found = presence(seen, self.law, self.parameters.people)
        road = self._road(user, cutoff, horizon, seen, found)
        here, law = found.here, self.law
        quiet, rise = law.order(), law.rise()
        stays, calm = (quiet[2], 1 - quiet[2], road.one, rise[2], 1 - rise[2]), (1 - law.asked()) * road.ask_rate
        targets = (
            Target(0.0, 0.0, road.purchases * road.visits * road.asks, *rise[:2], road.unopened),
            Target(*quiet[:2], road.asks, *rise[:2], 1.0),
            Target(*stays, road.unopened, calm=calm),
            Target(*stays, road.unclicked, calm=calm),
            Target(*stays, 1.0, drops=True, calm=calm),
        )
        active, contact, *answers = (here * (1 - missed(road, target, law)) for target in targets)
        refund, longer = self._refund(user, cutoff, horizon, here, road), self._longer(user, cutoff, above_s)
        return (active, contact, refund, *answers, longer, here, found.causes)

    # -------------------------------------------------------------------------------------------- what was seen

    def _seen(self, user: Ints, cutoff: Ints) -> Seen:
        """Return what the past of each key says."""
        told, start = self.episodes, self.offsets[user]
        stop = start + _counted(self.episodes.end, self.offsets, user, cutoff)
        pair, row = _pairs(start, stop)
        sign = told.sign[row]
        last = np.maximum(self.born[user], _last(self.visits, user, cutoff))
        np.maximum.at(last, pair[sign], told.end[row][sign])
        at_once = self.people["buys_at_once"].to_numpy()[user].astype(np.int64)
        purchases = _counted(self.orders.time, self.orders.offsets, user, cutoff) - at_once
        message, ask = told.what[row] == MESSAGE, told.what[row] == ASK
        before = told.end[row] <= last[pair]
        n = len(user)
        sent = np.bincount(pair[message & before], minlength=n)
        opened = np.bincount(pair[told.opened[row]], minlength=n)
        asks = np.bincount(pair[ask], minlength=n)
        gone = np.bincount(pair[told.unsubscribed[row]], minlength=n) > 0
        since = told.end[row] >= last[pair]
        fatal = np.where(told.troubles[row], self.law.fatal()[None, :], 0.0)
        pressed = np.where(message, np.array(self.law.pressure)[self.plan[user[pair]]], 0.0)
        return Seen(
            user, cutoff, self.born[user], last, purchases, _counted(self.visits.time, self.visits.offsets, user, cutoff), asks, sent,
            opened, gone, pair[since], told.end[row][since], np.column_stack([fatal, pressed])[since],
            (message & ~before)[since], ((told.what[row] == RISE) & ~before)[since], self.plan[user], self.own,
        )  # fmt: skip

    def _road(self, user: Ints, cutoff: Ints, horizon: int, seen: Seen, found: Presence) -> Road:
        """Return what may lie ahead of each key who is still there."""
        law, laws, n = self.law, self.parameters.people, len(user)
        later = cutoff[:, None] + np.arange(horizon + 1)[None, :] * DAY
        shop = self.own.of_instants(later, np.broadcast_to(user[:, None], later.shape))
        lived = shop - self.own.of_instants(seen.born, user)[:, None]
        days = (later - seen.born[:, None]) / DAY
        share = (np.arange(NODES) + 0.5) / NODES
        power, scale = laws.rate_shape + seen.purchases, laws.rate_shape / laws.rate_mean + lived[:, 0]
        rate = gammaincinv(power[:, None], share[None, :]) / scale[:, None]
        unopened = seen.sent + found.ignored - seen.opened
        first, second = law.open_shape[0] + seen.opened, law.open_shape[1] + unopened
        opens = np.asarray(betaincinv(first[:, None], second[:, None], share[None, :]), np.float64)
        asks = law.asks_shape / law.asks_per_day
        sent = np.zeros((n, horizon))
        whose, at = messages(law, seen.plan, seen.born, int(cutoff.max()) + horizon * DAY)
        day = (at - cutoff[whose]) // DAY
        inside = (day >= 0) & (day < horizon)
        np.add.at(sent, (whose[inside], day[inside]), 1.0)
        pressure, leaves = np.array(law.pressure)[seen.plan], np.array(law.unsubscribes)[seen.plan]
        visited = _kept(lived, laws.visit_shape / laws.visit_mean, laws.visit_shape + seen.visits)
        return Road(
            rate, np.diff(shop, axis=1), _kept(lived, laws.leaving_scale_days, laws.leaving_shape),
            _kept(lived, laws.rate_shape / laws.rate_mean, power), visited, _kept(days, asks, law.asks_shape + seen.asks),
            (law.asks_shape + seen.asks) / (asks + days[:, 0]), sent * ~seen.gone[:, None], 1 - opens, 1 - law.clicks * opens, leaves,
            pressure,
        )  # fmt: skip

    # -------------------------------------------------------------------------------------------- refunds and dwell

    def _refund(self, user: Ints, cutoff: Ints, horizon: int, here: Floats, road: Road) -> Floats:
        """Return P(a refund within the horizon), over the habits that she may have."""
        law, mean = self.law, self.law.refund_mean_days
        start = self.orders.offsets[user]
        pair, row = _pairs(start, start + _counted(self.orders.time, self.orders.offsets, user, cutoff))
        back, n = self.lived.refunded_at[row], len(user)
        known = (back != MISSING) & (back < cutoff[pair])
        age = (cutoff[pair] - self.orders.time[row]) / DAY
        due, soon = -np.expm1(-age / mean), -np.expm1(-(age + horizon) / mean)
        order, rise = law.order(), law.rise()
        weight, none = np.empty((n, len(law.habits))), np.empty((n, len(law.habits)))
        for place, (share, refunded, redeems) in enumerate(zip(law.habit_shares, law.refunds, law.redeems, strict=True)):
            said = np.log(np.where(known, refunded, 1 - refunded * due))
            said += np.log(np.where(self.lived.redeemed[row], redeems, 1 - redeems))
            weight[:, place] = np.log(share) + np.bincount(pair, said, minlength=n)
            pending = np.where(known, 0.0, np.log((1 - refunded * soon) / (1 - refunded * due)))
            comes = refunded * -np.expm1(-(horizon - np.arange(horizon) - 0.5) / mean)
            calm = (1 - law.asked()) * road.ask_rate
            target = Target((1 - comes) * order[2], (1 - comes) * (1 - order[2]), road.one, rise[2], 1 - rise[2], 1.0, calm=calm)
            none[:, place] = np.exp(np.bincount(pair, pending, minlength=n)) * (1 - here + here * missed(road, target, law))
        weight = np.exp(weight - weight.max(axis=1, keepdims=True))
        return np.asarray(1 - (weight * none).sum(axis=1) / weight.sum(axis=1))

    def _longer(self, user: Ints, cutoff: Ints, above_s: float) -> Floats:
        """Return P(the next visit lasts longer), from a normal posterior of the logarithm of its median."""
        law, (offsets, when, seconds) = self.law, self.dwell
        pair, row = _pairs(offsets[user], offsets[user] + _counted(when, offsets, user, cutoff))
        count, total = np.bincount(pair, minlength=len(user)), np.bincount(pair, np.log(seconds[row]), minlength=len(user))
        prior, each = law.dwell_spread_people**-2, law.dwell_spread_visits**-2
        mean = (prior * np.log(law.dwell_median_s) + each * total) / (prior + each * count)
        return np.asarray(ndtr((mean - np.log(above_s)) / np.sqrt(law.dwell_spread_visits**2 + 1 / (prior + each * count))))


def _kept(passed: Floats, scale: float, shape: npt.ArrayLike) -> Floats:
    """Return P(nothing happens on each day) of a Poisson process with a gamma rate, nothing having happened on those before (n x d)."""
    power = np.broadcast_to(np.asarray(shape, np.float64), (len(passed),))[:, None]
    return np.asarray(((scale + passed[:, :-1]) / (scale + passed[:, 1:])) ** power)


def _counted(time: Ints, offsets: Ints, user: Ints, cutoff: Ints) -> Ints:
    """Return how many of each user's instants lie before her cutoff (n)."""
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    order, base = 2**52, int(time.min(initial=0))
    place = np.searchsorted(owner * float(order) + (time - base), user * float(order) + (cutoff - base), side="left")
    return np.asarray(place - offsets[user])


def _pairs(start: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """Return each key with each of its rows."""
    count = stop - start
    pair = np.repeat(np.arange(len(start)), count)
    return pair, np.arange(len(pair)) - np.repeat(np.cumsum(count) - count, count) + start[pair]


def _last(points: Points, user: Ints, cutoff: Ints) -> Ints:
    """Return each user's last point before her cutoff (n), the beginning of time where there is none."""
    count = _counted(points.time, points.offsets, user, cutoff)
    if not len(points.time):
        return np.full(len(user), MISSING)
    return np.where(count > 0, points.time[np.maximum(points.offsets[user] + count - 1, 0)], MISSING)


def _stays(history: History, users: int) -> tuple[Ints, Ints, Floats]:
    """Return the visits of all people in the order of time: where each one's begin, when, and how many seconds each lasted."""
    log = history.log
    dwell, session = log.columns["dwell_s"], log.columns["session_id"].values
    rows = np.flatnonzero((dwell.values != MISSING) & (session >= 0))
    whole = np.bincount(session[rows], dwell.values[rows] / dwell.scale)
    named, first = np.unique(session[rows], return_index=True)
    user = np.searchsorted(log.offsets, rows[first], side="right") - 1
    inside = user < users
    order = np.lexsort((log.time[rows[first]], user))[: len(user)]
    order = order[inside[order]]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(user[order], minlength=users))]).astype(np.int64)
    return offsets, log.time[rows[first]][order], whole[named][order]
