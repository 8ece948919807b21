"""A customer's own rhythm as features: what her weekdays and her gaps alone say of the days ahead.

Trees see one column at a time; these few formulas put many columns together. All are shrunk towards what is usual among the training rows,
by as much as one has seen too little of her, so a newcomer reads as everybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.errors import UsageError
from whenbuy.core.examples import Table

_WEEK: Final = 7
_LENT_DAYS: Final = 7.0
"""Days of the usual rate that are lent to her own."""
_LENT_WEEKS: Final = 4.0
"""Weeks of her own rate, on the usual weekdays, that are lent to each weekday."""
_LENT_GAPS: Final = 2.0
"""Gaps of the usual length and spread that are lent to her own."""
_LONGEST: Final = 1e6
"""No number of days or orders is read as more."""
_SHAPES: Final = (0.05, 20.0)
_FAINT: Final = 1e-12


def halflife(name: str) -> float:
    """Return the half-life in days that stands in the name of a decayed column.

    Raises
    ------
    UsageError
        When none does.
    """
    try:
        return float(name.rpartition("_decay_")[2].removesuffix("d"))
    except ValueError as error:
        raise UsageError(
            f"A rhythm was asked for of the column {name!r}.", "It needs decayed rates such as orders_decay_64d.", "Name one of these."
        ) from error


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a rhythm is read.

    Parameters
    ----------
    weekly
        Decayed orders per day (``…_decay_64d``) that the table has by weekday too.
    rates
        Decayed orders per day (``…_decay_32d``) that stand for the mean gap.
    gaps
        What the columns of the mean and the deviation of the gaps begin with.
    recency
        The column of the days since the last order.
    frequency
        The column of the number of gaps.
    """

    weekly: tuple[str, ...]
    rates: tuple[str, ...]
    gaps: str
    recency: str
    frequency: str

    def __post_init__(self) -> None:
        for name in (*self.weekly, *self.rates):
            halflife(name)


OF_ORDERS: Final = Columns(("orders_decay_64d",), ("orders_decay_32d",), "gap", "recency_days", "frequency")
"""The columns of orders."""

OF_DAYS: Final = Columns(("days_decay_28d", "days_decay_64d"), ("days_decay_32d",), "day_gap", "day_recency_days", "day_frequency")
"""The columns of order days: a log has them where orders share days."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Adds what the customer's weekdays and gaps alone say: a preparation for a learner of when.

    For each of ``weekly``: the chance that she buys within so many days, if each day ahead has her own rate on that weekday. Rates are
    Poisson rates of the orders on the weekday, shrunk towards her rate on all days times the shop's weekday profile, and that towards the
    usual rate. It reads the seven columns ``<name>_on_weekday_in_0d`` … ``_6d`` of decayed orders per day.

    For each of ``rates``, and for her mean gap: the chance that her next order comes within so many days, if her gaps are gamma distributed
    and she has been silent for as long as she has. The mean gap is 1 / rate or her own; the shape comes from the mean and the deviation of
    her gaps (method of moments), both shrunk. P = 1 - Q(k, k (s + d) / m) / Q(k, k s / m) with Q the regularised upper incomplete gamma
    function, m the mean, k the shape and s the silence (Cox 1962, *Renewal Theory*, section 1.3). The shape and s / m stand beside them.

    Where the table tells of order days, on each of which all orders count once, days are read instead of orders. What is unknown, or stands
    in a column that the table lacks, is read as nothing seen. A row of which nothing is known gets gaps.

    Parameters
    ----------
    days
        The days ahead.
    columns
        Where it is read; without them ``OF_DAYS`` where the table has ``day_recency_days``, else ``OF_ORDERS``.
    """

    days: tuple[float, ...] = (1.0, 2.0, 3.0, 5.0, 7.0, 14.0, 28.0)
    columns: Columns | None = None

    def __post_init__(self) -> None:
        if not self.days or min(self.days) <= 0:
            raise UsageError(f"A rhythm over the days {self.days} was asked for.", "Days ahead lie above 0.", "Give at least one.")

    def fit(self, table: Table) -> FittedRhythm:
        """Return what is usual among these rows."""
        read = self.columns or (OF_DAYS if OF_DAYS.recency in table.names else OF_ORDERS)
        rate, profile, usual = [], [], []
        for name in read.weekly:
            events, watched, weekday = _weeks(table, name)
            often = float(events.sum() / max(watched.sum(), _FAINT))
            by_day, seen = (np.bincount(weekday.ravel(), part.ravel(), _WEEK).astype(np.float64) for part in (events, watched))
            rate.append(often)
            profile.append(tuple(np.where(seen > 0, by_day / np.maximum(seen * often, _FAINT), 1.0).tolist()))
        for name in read.rates:
            decayed, days = _decayed(table, name)
            usual.append(float(decayed.sum() / max(days.sum(), _FAINT)))
        mean, deviation = _gaps(table, read)
        known = np.isfinite(mean)
        gap = float(np.mean(mean[known])) if known.any() else 1.0
        spread = np.isfinite(deviation) & (mean > 0)
        variation = float(np.median(deviation[spread] / mean[spread])) ** 2 if spread.any() else 1.0
        return FittedRhythm(self, read, tuple(rate), tuple(profile), tuple(usual), max(gap, 1e-3), max(variation, 1e-3))


@dataclass(frozen=True, slots=True)
class FittedRhythm:
    """What is usual in the training rows.

    Parameters
    ----------
    columns
        Where the rhythm is read.
    rate, profile
        Orders per day, and how many times as many come on each weekday (Monday first), for each weekly column.
    usual
        Orders per day, for each rate.
    gap, variation
        Mean gap in days, and the squared coefficient of variation of gaps.
    """

    settings: Rhythm
    columns: Columns
    rate: tuple[float, ...]
    profile: tuple[tuple[float, ...], ...]
    usual: tuple[float, ...]
    gap: float
    variation: float

    def apply(self, table: Table) -> Table:
        """Return the table with the rhythm beside it."""
        columns = dict(self._columns(table))
        stranger = ~np.isfinite(_known(table, "tenure_days", np.nan))
        values = np.stack([np.where(stranger, np.nan, column) for column in columns.values()], axis=1)
        return table.beside(Table(tuple(columns), values.astype(np.float32)))

    def _columns(self, table: Table) -> Iterator[tuple[str, Floats]]:
        read = self.columns
        for place, name in enumerate(read.weekly):
            chance = self._by_weekday(table, name, self.rate[place], np.array(self.profile[place]))
            yield from ((f"{name}_on_weekdays_p_{days:g}d", chance[:, i]) for i, days in enumerate(self.settings.days))
        own, deviation = _gaps(table, read)
        gaps = _number(table, read.frequency)
        lent = (gaps + _LENT_GAPS, _LENT_GAPS)
        ratio = np.nan_to_num(deviation / np.maximum(own, 1e-3), nan=1.0, posinf=1.0) ** 2
        shape = np.clip(lent[0] / np.maximum(np.minimum(ratio, _LONGEST) * gaps + self.variation * lent[1], _FAINT), *_SHAPES)
        mean = (np.nan_to_num(own) * gaps + self.gap * lent[1]) / lent[0]
        yield f"{read.gaps}_shape", shape
        yield from self._renewal(table, read.gaps, mean, shape)
        for name, usual in zip(read.rates, self.usual, strict=True):
            events, watched = _decayed(table, name)
            rate = (events + 2 * _LENT_DAYS * usual) / (watched + 2 * _LENT_DAYS)
            yield from self._renewal(table, name, 1 / np.maximum(rate, 1 / _LONGEST), shape)

    def _by_weekday(self, table: Table, name: str, usual: float, profile: Floats) -> Floats:
        """Return P(she buys within each of the days ahead) by her rates on the weekdays that they are (n x d)."""
        events, watched, weekday = _weeks(table, name)
        rate = (events.sum(axis=1) + _LENT_DAYS * usual) / (watched.sum(axis=1) + _LENT_DAYS)
        by_day = (events + _LENT_WEEKS * rate[:, None] * profile[weekday]) / (watched + _LENT_WEEKS)
        ahead = np.array(self.settings.days)
        part = np.clip((ahead[:, None] - np.arange(_WEEK)) % _WEEK, 0, 1) * (ahead[:, None] % _WEEK > np.arange(_WEEK))
        often = ahead[:, None] // _WEEK + part
        fallen = np.zeros((len(table), len(ahead)))
        for i in range(_WEEK):  # not a matrix product: its last bits depend on how many rows are asked
            fallen += by_day[:, i : i + 1] * often[:, i]
        return np.asarray(-np.expm1(-fallen))

    def _renewal(self, table: Table, name: str, mean: Floats, shape: Floats) -> Iterator[tuple[str, Floats]]:
        """Yield P(the next order comes within each of the days ahead) and the silence in mean gaps."""
        from scipy.special import gammaincc

        silence = _number(table, self.columns.recency, self.gap)
        still = np.maximum(gammaincc(shape, shape * silence / mean), _FAINT)
        yield f"{name}_silence_ratio", silence / mean
        for days in self.settings.days:
            yield f"{name}_renewal_p_{days:g}d", 1 - np.minimum(gammaincc(shape, shape * (silence + days) / mean) / still, 1.0)


def _gaps(table: Table, read: Columns) -> tuple[Floats, Floats]:
    """Return mean and deviation of the gaps in days, NaN where there are none (n each)."""
    mean, deviation = (_number(table, f"{read.gaps}_{part}_days", np.nan) for part in ("mean", "deviation"))
    return mean, deviation


def _decayed(table: Table, name: str) -> tuple[Floats, Floats]:
    """Return decayed orders, and the decayed days over which they were watched (n each)."""
    life = halflife(name) / np.log(2)
    tenure = _number(table, "tenure_days")
    return _number(table, name) * life, life * -np.expm1(-tenure / life)


def _weeks(table: Table, name: str) -> tuple[Floats, Floats, Ints]:
    """Return decayed orders on today's weekday, tomorrow's, …, how often each was watched (decayed alike), and which it is (n x 7 each).

    The latest such day is 7 days old for today's weekday, 6 for tomorrow's, …; its orders are taken to be half a day younger.
    """
    days = halflife(name)
    events = np.stack([_number(table, f"{name}_on_weekday_in_{i}d") for i in range(_WEEK)], axis=1)
    age = _WEEK - np.arange(_WEEK)
    tenure = _number(table, "tenure_days")
    often = np.maximum(np.floor((tenure[:, None] - age) / _WEEK) + 1, 0.0)
    watched = 0.5 ** ((age - 0.5) / days) * (1 - 0.5 ** (_WEEK * often / days)) / (1 - 0.5 ** (_WEEK / days))
    angle = np.arctan2(_known(table, "weekday_sin"), _known(table, "weekday_cos", 1.0))
    today = np.round(angle / (2 * np.pi) * _WEEK).astype(np.int64)
    return events * days / np.log(2), watched, (today[:, None] + np.arange(_WEEK)) % _WEEK


def _number(table: Table, name: str, default: float = 0.0) -> Floats:
    """Return a column of numbers from 0 on (n)."""
    return np.clip(_known(table, name, default), 0.0, _LONGEST)


def _known(table: Table, name: str, default: float = 0.0) -> Floats:
    """Return a column with what is unknown, or not in the table at all, replaced (n)."""
    if name not in table.names:
        return np.full(len(table), default)
    column = table.column(name)
    return np.asarray(np.where(np.isfinite(column), column, default))


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Columns, Rhythm, FittedRhythm)}
"""What a stored preparation of this file may be made of."""
