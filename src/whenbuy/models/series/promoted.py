"""What offers that run, or are announced, do to the demand of the whole shop: a factor per day."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Floats, Instants, Ints
from whenbuy.core.history import History
from whenbuy.core.log import ORDERS
from whenbuy.core.profile import Profile
from whenbuy.models.series.price import poisson

EPISODES: Final = 3
"""So many times an offer must have begun before anything is learned of offers."""
_DAYS: Final = 400
_NEVER: Final = 2**62
_YEAR: Final = 365
_NEAR: Final = 3
"""Days that a yearly offer may be off."""
_DISCOUNT: Final = "discount"
_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Promoted:
    """How demand answers to running offers.

    Parameters
    ----------
    effects
        By how much the logarithm of demand rises with log(1 + offers running) and with the logarithm of what discounts leave (2).
    usual
        The mean factor of the days that were learned from: factors are told beside it.
    """

    effects: Floats
    usual: float

    def factors(self, signals: Floats) -> Floats:
        """Return the factor of each day (days) from its signals (days x 2)."""
        return np.asarray(np.exp(np.clip(signals @ self.effects, -2.0, 2.0)) / self.usual)


NOTHING: Final = Promoted(np.zeros(2), 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Lifts:
    """By how much offers raise each day, as told at any cutoff.

    Parameters
    ----------
    history
        The shop's log, whose offers are looked at.
    day, known_at, units
        The local day of each purchase line, when it became known, and its units (e).
    """

    history: History
    day: Ints
    known_at: Instants
    units: Floats

    @classmethod
    def of_orders(cls, history: History) -> Lifts:
        """Return those of the orders of customers."""
        log = history.log
        of_users = log.kind[: log.offsets[-1]]
        wanted = of_users == log.code("purchase") if "purchase" in log.kinds else np.zeros(len(of_users), bool)
        if ORDERS in log.columns:
            wanted &= log.columns[ORDERS].values[: len(of_users)] == 1
        rows = np.flatnonzero(wanted) if history.offers is not None else np.empty(0, np.int64)
        return cls(history, history.clock.days(log.time[rows]), log.known_at[rows], np.ones(len(rows)))

    def learned(self, cutoff: int) -> Promoted:
        """Return what past offers did, by what was known before a cutoff."""
        if not _dated(self.history.offers):
            return NOTHING
        start, end = int(self.day.min(initial=2**40)), int(self.history.clock.days(np.array([cutoff]))[0])
        known = (self.known_at < cutoff) & (self.day < end)
        units = np.bincount(self.day[known] - start, self.units[known], minlength=max(end - start, 0))
        return learn(units.astype(np.float64), self._signals(cutoff, start, end), start)

    def factors(self, learned: Promoted, cutoff: int, first: int, end: int) -> Floats:
        """Return the factor of each local day from ``first`` until before ``end`` by the offers known before a cutoff (days)."""
        return np.ones(end - first) if learned is NOTHING else learned.factors(self._signals(cutoff, first, end))

    def _signals(self, cutoff: int, first: int, end: int) -> Floats:
        return signals(self.history.offers, cutoff, self.history.clock.midnights(np.arange(first, end, dtype=np.int64)))


def signals(offers: Profile | None, cutoff: int, midnights: Instants) -> Floats:
    """Return log(1 + offers running at noon) and the sum of log(1 - discount) of each day (days x 2), by what was known before a cutoff.

    On days so far ahead that an offer may run which is not announced yet, as many are expected as there were in the past.
    """
    if offers is None or not _dated(offers):
        return np.zeros((len(midnights), 2))
    told, start, end, left, dated = _read(offers)
    known = told < cutoff
    told, start, end, left = told[known], start[known], end[known], left[known]
    noon = np.asarray(midnights, np.int64) + DAY // 2
    running = (start[None, :] <= noon[:, None]) & (noon[:, None] < end[None, :])
    more = np.zeros((len(midnights), 2))
    if dated:
        begun, ahead = start > 0, noon > cutoff
        more[ahead] = _expected(start[begun] - cutoff, end[begun] - cutoff, told[begun] - cutoff, left[begun], int(ahead.sum()))
    return np.column_stack([np.log1p(running.sum(axis=1) + more[:, 0]), running @ left + more[:, 1]])


@lru_cache(maxsize=8)
def _read(offers: Profile) -> tuple[Instants, Instants, Instants, Floats, bool]:
    """Return when each offer was told, begins and ends, the logarithm of what its discount leaves (n each); and whether all is said."""
    table = offers.table
    begins = "begins" if "begins" in table.columns else "valid_from" if "valid_from" in table.columns else None

    def instants(name: str | None, absent: int) -> Instants:
        return np.full(len(table), absent) if name is None else table.select(_instant(name)).to_series().fill_null(absent).to_numpy()

    left = np.zeros(len(table))
    if _DISCOUNT in table.columns and table[_DISCOUNT].dtype.is_numeric():
        left = np.log1p(-np.clip(table[_DISCOUNT].cast(pl.Float64).fill_null(0.0).to_numpy(), 0.0, 0.95))
    told = instants("valid_from", _NEVER) if "valid_from" in table.columns else instants(None, -_NEVER)
    return told, instants(begins, 0), instants("ends", _NEVER), left, {"valid_from", "begins"} <= set(table.columns)


def _expected(start: Ints, end: Ints, told: Ints, left: Floats, days: int) -> Floats:
    """Return how many offers that are not announced yet run on each of the next days, and what their discounts leave (days x 2).

    Both are as the past has it, the latter as the sum of logarithms; instants count from the cutoff. As far as offers came again a year
    later, they will; the others begin by a renewal process: the days between two beginnings are those seen, and once more what chance
    alone would have at their mean (Cox 1962, s. 4). None begins unannounced within the shortest time by which offers were announced ahead.
    """
    begun, day = np.unique(start // DAY), start // DAY
    if len(begun) < EPISODES or not days:
        return np.zeros((days, 2))
    free = max(int(np.ceil((start - told).min() / DAY)), int(begun[-1]) + 1, 0)
    again = _again(begun)
    anew = (1 - again) * _renewed(begun, free, days)
    yearly = np.zeros((days, 2))
    for one in np.flatnonzero((begun + _YEAR >= free) & (begun + _YEAR < days)):
        yearly[begun[one] + _YEAR] += again * np.array([1.0, left[day == begun[one]].mean()])
    lasts = (np.minimum(end - start, days * DAY)[None, :] > np.arange(days)[:, None] * DAY).mean(axis=1) * len(start) / len(begun)
    first = yearly + np.outer(anew, [1.0, left.mean()])
    return np.column_stack([np.convolve(part, lasts)[:days] for part in first.T])


def _again(begun: Ints) -> float:
    """Return the share of offers that began about a year after another, of those before which a year is known and one that did not."""
    later = begun[begun - _YEAR >= begun[0] - _NEAR]
    apart = np.abs(later[:, None] - _YEAR - begun[None, :]).min(axis=1)
    return float((apart <= _NEAR).sum() / (len(later) + 1))


def _renewed(begun: Ints, free: int, days: int) -> Floats:
    """Return how many offers begin on each of the next days by the gaps between those that began (days); none before the day ``free``."""
    gaps = np.diff(begun)
    length = int(max(gaps.max(), days - begun[-1])) + days + 1
    law = np.bincount(gaps, minlength=length) + (1 / gaps.mean()) * (1 - 1 / gaps.mean()) ** np.maximum(np.arange(length) - 1, 0)
    law[0] = 0.0
    rest = law[free - begun[-1] :]
    first = np.zeros(days)
    if free < days:
        first[free:] = rest[: days - free] / max(rest.sum(), _TINY)
    law /= law.sum()
    for day in range(1, days):
        first[day] += first[:day] @ law[day:0:-1]
    return first


def learn(units: Floats, signs: Floats, first_day: int) -> Promoted:
    """Return what past offers did to the shop's units per day (days), beside weekdays and a trend that may bend every eight weeks.

    A Poisson regression. The effects are drawn towards nothing by how little they stand out from chance: times max(0, 1 - p / W), W being
    the Wald statistic of all p of them, robust to clusters of a week (James and Stein 1961, positive part).

    Parameters
    ----------
    units
        Of each day.
    signs
        What ran on each day (days x 2), as ``signals`` has it.
    first_day
        The first day, since 1970-01-01.
    """
    units, signs = units[-_DAYS:], signs[-_DAYS:]
    began = int(((signs[1:, 0] > 0) & (signs[:-1, 0] == 0)).sum())
    if began < EPISODES or units.sum() < len(units):
        return NOTHING
    t = np.arange(len(units), dtype=float)
    weekday = ((first_day + t[:, None].astype(np.int64)) % 7 == np.arange(6)).astype(float)
    bends = np.maximum(t[:, None] - np.arange(0, len(t) - 28, 56), 0.0) / 56
    used = np.flatnonzero(np.ptp(signs, axis=0) > 0)
    design = np.column_stack([np.ones(len(t)), weekday, bends, signs[:, used]])
    beta, information = poisson(design, units)
    score = design * (units - np.exp(design @ beta))[:, None]
    summed = np.stack([np.bincount(t.astype(np.int64) // 7, part) for part in score.T], axis=1)
    inverse = np.linalg.pinv(information)
    spread = (inverse @ (summed.T @ summed) @ inverse)[-len(used) :, -len(used) :]
    own = beta[-len(used) :]
    wald = float(own @ np.linalg.pinv(spread) @ own)
    effects = np.zeros(2)
    effects[used] = own * max(0.0, 1 - len(used) / wald) if wald > 0 else 0.0
    return Promoted(effects, float(np.exp(signs @ effects).mean()))


def _dated(offers: Profile | None) -> bool:
    """Return whether a shop says when its offers end, as a date; where it says when they begin, that too."""
    kinds = {} if offers is None else {name: offers.table.schema[name] for name in ("ends", "begins") if name in offers.table.columns}
    return "ends" in kinds and all(kind.is_temporal() for kind in kinds.values())


def _instant(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Datetime("us")).cast(pl.Int64)


TYPES: Final = {"Promoted": Promoted}
"""What a stored model of this file may be made of."""
