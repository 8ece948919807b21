"""Demand from below: what the customers' own curves say about items, categories and the shop, week by week."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.sparse import csr_array

from whenbuy.core.arrays import DAY, MISSING, Bools, Floats, Instants, Ints
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.history import History
from whenbuy.core.keys import Entity
from whenbuy.core.log import ORDERS, Dictionary
from whenbuy.core.outlook import Outlook
from whenbuy.models.series.arrivals import Arrivals
from whenbuy.models.series.promoted import NOTHING
from whenbuy.pipeline.learning.forecaster import Forecaster

DUE, REGULAR, OTHER, NEWCOMER = range(4)
GROUPS: Final = ("due", "regular", "other", "newcomer")
"""Who buys: customers whose usual gap is nearly over; others with a usual gap; everybody else who was seen before; and those who were not,
with what is sold to nobody known."""
DUE_FROM, DUE_TO = 0.75, 1.5
"""A customer is due while so much of her usual gap between orders has passed; later she is one of the others."""
GAP_ORDERS: Final = 3
"""A usual gap needs so many orders."""
MIX_ORDERS: Final = 3.0
"""Her own mix counts as much as everybody's after so many (decayed) orders."""
LEVEL_WEEKS: Final = 8
"""So many of the latest weeks say at what level orders come."""
LEVEL_HALF: Final = 3.0
"""A week counts half as much there as one so many weeks later: set on simulated shops and Complete Journey before its last weeks."""
_SHARE_DAYS: Final = 84.0
_COHORTS: Final = 60
_WEEK: Final = 7 * DAY
_COLUMNS: Final = {"item": "item_id", "category": "category"}
_TINY: Final = 1e-12


MEMORIES: Final = {"customers, short memory": 14.0, "customers": 56.0, "customers, long memory": 168.0}
"""What a customer takes per order is forgotten by half in so many days: in some shops tastes drift, in others they stay. Each is a view."""


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """All purchase lines of a log.

    Parameters
    ----------
    user
        Position of the buyer in the log's users (e), -1 for nobody known.
    leaf
        Code of the item or category (e), that of ``names`` for none told.
    units
        How many units (e): the quantity where the log tells it, 1 elsewhere, 0 where it is negative.
    time, known_at
        When it happened and became known (e).
    order
        Whether the line begins an order (e).
    names
        The items or categories; the last leaf, which has no name, holds what was told of none.
    seen
        When each user was seen first (users).
    """

    user: Ints
    leaf: Ints
    units: Floats
    time: Instants
    known_at: Instants
    order: Bools
    names: Dictionary
    seen: Instants

    @classmethod
    def of(cls, history: History, entity: Entity) -> Lines:
        """Return the lines by item, by category, or all as those of the one shop."""
        log = history.log
        kind = log.kind == log.code("purchase") if "purchase" in log.kinds else np.zeros(len(log), bool)
        rows = np.flatnonzero(kind)
        user = np.searchsorted(log.offsets, rows, side="right") - 1
        user[rows >= log.offsets[-1]] = -1
        coded = log.columns.get(_COLUMNS.get(entity, ""))
        names = Dictionary.of(["shop"]) if entity == "shop" else Dictionary.of([])
        leaf = np.full(len(rows), 0 if entity == "shop" else -1, np.int64)
        if coded is not None and coded.dictionary is not None:
            names, leaf = coded.dictionary, coded.values[rows].astype(np.int64)
        leaf[leaf < 0] = len(names)
        order = log.columns[ORDERS].values[rows] == 1 if ORDERS in log.columns else np.ones(len(rows), bool)
        first = log.offsets[:-1]
        seen = np.where(first < log.offsets[1:], log.known_at[np.minimum(first, max(len(log) - 1, 0))], np.int64(2**62))
        return cls(user, leaf, _units(history, rows), log.time[rows], log.known_at[rows], order, names, seen)

    def __len__(self) -> int:
        return len(self.user)

    @property
    def leaves(self) -> int:
        """How many leaves there are, the nameless one among them (k)."""
        return len(self.names) + 1

    def take(self, rows: Bools) -> Lines:
        """Return some of the lines."""
        return replace(
            self, user=self.user[rows], leaf=self.leaf[rows], units=self.units[rows], time=self.time[rows], known_at=self.known_at[rows],
            order=self.order[rows],
        )  # fmt: skip

    def before(self, cutoff: int) -> Lines:
        """Return the lines that were known before a cutoff."""
        return self.take(self.known_at < cutoff)


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """What the curves said as of one cutoff.

    Parameters
    ----------
    cutoff
        When.
    user
        Who was asked: positions in the log's users (n).
    group
        Which of ``GROUPS`` each belongs to (n).
    orders
        Expected orders in each of the next weeks (n x w).
    """

    cutoff: int
    user: Ints
    group: Ints
    orders: Floats

    @classmethod
    def of(cls, outlook: Outlook, lines: Lines, weeks: int) -> Spoken:
        """Return what an outlook says about the next weeks."""
        cutoff, user = int(outlook.keys.cutoff[0]), outlook.keys.code.astype(np.int64)
        counts = outlook.purchase.count_at(7.0 * np.arange(1, weeks + 1, dtype=np.float64))
        orders = np.diff(np.hstack([np.zeros((len(outlook), 1)), counts]), axis=1)
        group = groups(lines.before(cutoff), user, cutoff)
        return cls(cutoff, user, group, orders)


def groups(lines: Lines, user: Ints, cutoff: int) -> Ints:
    """Return whether each user is due, regular or another one at a cutoff (n), from the lines known before it."""
    users, named = len(lines.seen), lines.order & (lines.user >= 0)
    who, when = lines.user[named], lines.time[named]
    count = np.bincount(who, minlength=users)
    first, last = np.full(users, np.int64(2**62)), np.full(users, np.int64(-(2**62)))
    np.minimum.at(first, who, when)
    np.maximum.at(last, who, when)
    has_gap = count >= GAP_ORDERS
    gap = np.divide(last - first, count - 1, out=np.full(users, np.inf), where=has_gap)
    passed = np.divide(cutoff - last, gap, out=np.full(users, np.inf), where=has_gap & (gap > 0))
    found = np.full(users, OTHER)
    found[has_gap & (passed < DUE_FROM)] = REGULAR
    found[has_gap & (passed >= DUE_FROM) & (passed <= DUE_TO)] = DUE
    known = user < users
    return np.where(known, found[np.where(known, user, 0)], OTHER).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class BottomUp:
    """Demand as the customers' curves have it.

    Parameters
    ----------
    names
        The items or categories; behind them stands one leaf without a name.
    units
        Expected units of each group, leaf and week (groups x k x w).
    shares
        The share of each week's units that falls on each of its days, from the cutoff's own day on (w x 7).
    """

    names: Dictionary
    units: Floats
    shares: Floats

    @property
    def total(self) -> Floats:
        """Expected units of each leaf and week (k x w)."""
        return np.asarray(self.units.sum(axis=0))

    def steps(self, step_days: int, horizon: int) -> Floats:
        """Return expected units of each group, leaf and step (groups x k x h); weeks are shared among days as the shop's weeks are."""
        if step_days == 7:
            return self.units[:, :, :horizon]
        daily = (self.units[:, :, :, None] * self.shares).reshape(*self.units.shape[:2], -1)
        return daily[:, :, :horizon]


def listen(forecaster: Forecaster, history: History, lines: Lines, cutoffs: Sequence[int], weeks: int) -> dict[int, Spoken]:
    """Return what the curves say as of each cutoff, in order; those before anybody was seen are left out.

    Where a cutoff lies before what the models learned from, they answer in sample: their sums are hardly better there than elsewhere.
    They speak of usual days here: what offers do is reckoned apart, by units.
    """
    forecaster, found = replace(forecaster, promoted=NOTHING), {}
    for cutoff in dict.fromkeys(cutoffs):
        try:
            outlook = forecaster.predict(history, cutoff, in_sample=cutoff < forecaster.known_until)
        except NotEnoughDataError:
            continue
        found[cutoff] = Spoken.of(outlook, lines, weeks)
    return found


def level_cutoffs(cutoff: int) -> list[int]:
    """Return the cutoffs whose weeks say how many units a purchase from a class is: the latest that are over by ``cutoff``."""
    return [cutoff - back * _WEEK for back in range(LEVEL_WEEKS, 0, -1)]


def bottom_up(
    spoken: Mapping[int, Spoken], lines: Lines, cutoff: int, factors: Floats, *, closed: tuple[int, ...] = (), offset: int = 0,
) -> dict[str, BottomUp]:  # fmt: skip
    """Return the demand of the next weeks from below by each of ``MEMORIES``, by what was known before the cutoff.

    Known customers: expected orders, at the level of the latest ripe weeks (see ``order_levels``), × what each takes per order (her own
    decayed mix, drawn towards everybody's). Everybody else: newcomers by a chain ladder, sales to nobody known by their smoothed level.

    Parameters
    ----------
    spoken
        What the curves said as of ``cutoff`` and as of ``level_cutoffs(cutoff)``.
    lines
        The purchase lines.
    factors
        By how much offers raise each day above the usual, by what is known now, from ``LEVEL_WEEKS`` weeks ago to the last day to come.
    closed
        Local days on which nobody can buy.
    offset
        What local time is ahead of UTC at the cutoff, in microseconds.
    """
    said, known = spoken[cutoff], lines.before(cutoff)
    weeks = said.orders.shape[1]
    table, usual = factors.reshape(-1, 7), _weekdays(known, cutoff)
    daily = day_shares(usual, cutoff, weeks, closed, offset) * table[LEVEL_WEEKS:]
    weekly = daily.sum(axis=1)
    level = order_levels(spoken, known, cutoff, np.append(table[:LEVEL_WEEKS] @ usual, weekly))
    unseen = _unseen(known, cutoff, weeks) * weekly
    shares = np.divide(daily, weekly[:, None], out=np.full(daily.shape, 1 / 7), where=weekly[:, None] > 0)
    found = {}
    for name, days in MEMORIES.items():
        units = np.concatenate([_mixed(said, known, cutoff, days) * (level * weekly), unseen[None]])
        found[name] = BottomUp(lines.names, units, shares)
    return found


def order_levels(spoken: Mapping[int, Spoken], lines: Lines, cutoff: int, weekly: Floats) -> Floats:
    """Return how many orders of known customers came for each expected, in each week ahead (w); 1 where nothing tells.

    Week i ahead is judged by the cutoffs whose week i is over; a hundred orders that came as expected are added. ``weekly`` says by how
    much offers raised each week (``LEVEL_WEEKS`` + w), as is known now: what came is held against the offers that did run.
    """
    weeks = spoken[cutoff].orders.shape[1]
    came, expected = np.full(weeks, 100.0), np.full(weeks, 100.0)
    for back, earlier in enumerate(level_cutoffs(cutoff)):
        if earlier not in spoken:
            continue
        week = (lines.time - earlier) // _WEEK
        over = min(weeks, LEVEL_WEEKS - back)
        rows = lines.order & (lines.user >= 0) & (week >= 0) & (week < over) & (lines.known_at < cutoff)
        rows &= lines.seen[np.maximum(lines.user, 0)] < earlier
        weight = 0.5 ** ((LEVEL_WEEKS - 1 - back - np.arange(over)) / LEVEL_HALF)
        came[:over] += weight * np.bincount(week[rows], minlength=over)
        expected[:over] += weight * spoken[earlier].orders.sum(axis=0)[:over] * weekly[back : back + over]
    return np.asarray(came / expected)


def _mixed(said: Spoken, known: Lines, cutoff: int, days: float) -> Floats:
    """Return expected orders times each customer's own mix, summed by group (groups without newcomers x k x w).

    Her units of a leaf per order: (her decayed units + κ × everybody's per order) / (her decayed orders + κ).
    """
    users, k, weeks = len(known.seen), known.leaves, said.orders.shape[1]
    fade = 0.5 ** ((cutoff - known.time) / (days * DAY))
    named = known.user >= 0
    orders = np.bincount(known.user[named], (fade * known.order)[named], minlength=users)
    pairs = (known.user[named], known.leaf[named])
    own = csr_array(((fade * known.units)[named], pairs), shape=(users, k))
    usual = own.sum(axis=0) / max(orders.sum(), _TINY)
    inside = said.user < users
    weight = np.zeros((users, NEWCOMER * weeks))
    for one in range(NEWCOMER):
        mine = inside & (said.group == one)
        weight[said.user[mine], one * weeks : (one + 1) * weeks] = said.orders[mine] / (orders[said.user[mine]] + MIX_ORDERS)[:, None]
    found = own.T @ weight + np.outer(usual, MIX_ORDERS * weight.sum(axis=0))
    out = np.moveaxis(found.reshape(k, NEWCOMER, weeks), 1, 0).copy()
    out[OTHER] += np.outer(usual, said.orders[~inside].sum(axis=0))
    return out


def _unseen(known: Lines, cutoff: int, weeks: int) -> Floats:
    """Return what newcomers, and people whom nobody knows, take in each of the next weeks (k x w)."""
    bins = int(min(_COHORTS, max((cutoff - int(known.time.min(initial=cutoff))) // _WEEK, 0)))
    if not bins:
        return np.zeros((known.leaves, weeks))
    bought = bins - 1 - (cutoff - 1 - known.time) // _WEEK
    came = bins - 1 - (cutoff - 1 - known.seen) // _WEEK
    newcomers = np.bincount(came[(came >= 0) & (known.seen < cutoff)], minlength=bins)[:bins].astype(float)
    named = known.user >= 0
    cohort = np.where(named, came[np.maximum(known.user, 0)], -1)
    inside = (bought >= 0) & (bought < bins) & (cohort >= 0) & (cohort < bins)
    table = np.bincount((cohort * bins + bought)[inside], known.units[inside], minlength=bins * bins).astype(np.float64).reshape(bins, bins)
    model = Arrivals()
    young = inside & (bought - cohort < weeks)
    nobody = ~named & (bought >= 0) & (bought < bins)
    sold = np.bincount(bought[nobody], known.units[nobody], minlength=bins).astype(float)
    found = np.outer(_leaf_shares(known, young, cutoff), model.forecast(table, newcomers, weeks))
    return found + np.outer(_leaf_shares(known, nobody, cutoff), model.newcomers(sold, weeks) if nobody.any() else np.zeros(weeks))


def _leaf_shares(known: Lines, rows: Bools, cutoff: int) -> Floats:
    """Return the decayed share of each leaf in some lines (k), drawn towards that in all lines by as much as a hundred units count."""
    fade = 0.5 ** ((cutoff - known.time) / (_SHARE_DAYS * DAY)) * known.units
    everything = np.bincount(known.leaf, fade, minlength=known.leaves)
    own = np.bincount(known.leaf[rows], fade[rows], minlength=known.leaves)
    if everything.sum() <= 0:
        return np.full(known.leaves, 1 / known.leaves)
    drawn = own + 100.0 * everything / everything.sum()
    return np.asarray(drawn / drawn.sum())


def _weekdays(known: Lines, cutoff: int) -> Floats:
    """Return the share of a week's units on each of its seven days, from the cutoff's own day on, by the last eight weeks (7)."""
    back = (cutoff - 1 - known.time) // DAY
    recent = (back >= 0) & (back < 8 * 7)
    usual = np.bincount(6 - back[recent] % 7, known.units[recent], minlength=7) + 1e-9
    return np.asarray(usual / usual.sum())


def day_shares(usual: Floats, cutoff: int, weeks: int, closed: tuple[int, ...], offset: int) -> Floats:
    """Return the share of each week's units on each of its seven days (w x 7), from the usual shares (7); none on closed days."""
    shares = np.tile(usual, weeks)
    ahead = np.array(closed, np.int64) - (cutoff + offset) // DAY
    shares[ahead[(ahead >= 0) & (ahead < len(shares))]] = 0.0
    table = shares.reshape(weeks, 7)
    sums = table.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(table, sums, out=np.full(table.shape, 1 / 7), where=sums > 0))


def _units(history: History, rows: Ints) -> Floats:
    held = history.log.columns.get("quantity")
    if held is None:
        return np.ones(len(rows))
    values = held.values[rows]
    return np.where(values == MISSING, 1.0, np.maximum(values, 0) / held.scale)
