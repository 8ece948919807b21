"""Stock: when to order again, and how much, from the quantiles of demand over the time until goods arrive."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.card import ROWS, card
from whenbuy.core.errors import UsageError, WhenbuyError
from whenbuy.core.series_forecast import NAMED, SeriesForecast, dates

_GRID: Final = (np.arange(400) + 0.5) / 400
"""Levels at which costs are integrated over demand."""
SLOW_DAYS: Final = 90.0
"""An item is slow where what is there lasts longer than this."""


@dataclass(frozen=True, slots=True)
class StockRule:
    """How a shop restocks: every ``review_days`` it orders, and ``lead_days`` later the goods are there.

    Parameters
    ----------
    lead_days
        From the order to the shelf.
    review_days
        Between two chances to order.
    service
        The chance to have enough until the order after this one arrives. None where costs decide.
    over, under
        What a unit costs that is left at the end of that time, and one that is asked for and not there; both or neither. Where they are
        given, what is asked for in vain is lost: nobody comes back for it.
    """

    lead_days: float = 7.0
    review_days: float = 7.0
    service: float | None = 0.95
    over: float | None = None
    under: float | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.lead_days <= 3650 and 0 < self.review_days <= 3650):
            raise UsageError(
                f"A lead time of {self.lead_days:g} days and a review every {self.review_days:g} days were given.",
                "A lead time is from 0 days on, a review comes after more than 0 days, both within ten years.", "Change them.",
            )  # fmt: skip
        if (self.over is None) != (self.under is None) or (self.over is None) == (self.service is None):
            raise UsageError(
                "Neither a service level nor both costs, or both, were given.", "One of the two says how much is enough.",
                "Give a service level, or the cost of a unit too many and of a unit too few.",
            )  # fmt: skip
        if self.service is not None and not 0 < self.service < 1:
            raise UsageError(f"A service level of {self.service:g} was given.", "It lies between 0 and 1.", "95 % is 0.95.")
        if self.over is not None and self.under is not None and not (self.over > 0 and self.under > 0):
            raise UsageError(f"Costs of {self.over:g} and {self.under:g} were given.", "Both are above 0.", "Change them.")

    @property
    def level(self) -> float:
        """The quantile of demand to be ready for: the service level, or under / (under + over) (the newsvendor; Arrow et al. 1951)."""
        if self.over is not None and self.under is not None:
            return self.under / (self.under + self.over)
        assert self.service is not None
        return self.service


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """What is there, one entry per series of the demand.

    Parameters
    ----------
    on_hand, on_order
        Units in the shelf and units ordered that will come within the lead time (n).
    lead_days
        Days from an order to the shelf (n); NaN where the rule's holds.
    pack
        Units of a package (n): orders are whole packages. 1 where single units can be ordered.
    """

    on_hand: Floats
    on_order: Floats
    lead_days: Floats
    pack: Floats

    @classmethod
    def empty(cls, n: int) -> Shelf:
        """Return shelves with nothing in them and nothing on its way."""
        return cls(np.zeros(n), np.zeros(n), np.full(n, np.nan), np.ones(n))

    def __post_init__(self) -> None:
        if not len(self.on_hand) == len(self.on_order) == len(self.lead_days) == len(self.pack):
            raise WhenbuyError("The parts of a shelf differ in length.")
        for name, values, least in (("on hand", self.on_hand, 0.0), ("on order", self.on_order, 0.0), ("lead days", self.lead_days, 0.0)):
            if (values < least).any() or (name != "lead days" and not np.isfinite(values).all()):
                raise UsageError(f"Stock {name} is below 0 or no number.", "Stock is counted in units from 0 on.", "Mend the count.")
        if not (np.isfinite(self.pack).all() and (self.pack > 0).all()):
            raise UsageError("A package of 0 units or fewer was given.", "A package holds more than 0 units.", "Mend it.")


@dataclass(frozen=True, slots=True, eq=False)
class StockPlan:
    """What to order today, one entry per series of the demand.

    Parameters
    ----------
    demand
        The forecast that it stands on (n).
    rule
        How the shop restocks.
    shelf
        What is there.
    known
        Whether it was said what is there; otherwise quantities are for empty shelves.
    expected
        Units expected over lead time and review period (n).
    reorder_point
        Watching all the time: order once what is there and on order is no more than this (n): the lead time's demand at the level asked.
    order_up_to
        Reviewing now and then: have so much there and on order (n): the demand over lead time and review period at that level.
    quantity
        Units to order today, in whole packages (n): what lacks to ``order_up_to``. Where lost sales cost, less: what will be asked for in
        vain before it could arrive is not sold either when it has arrived.
    out_chance
        The chance to run out before an order placed today arrives (n).
    out_median, out_early
        Days after which the shelf is empty with a chance of 50 % and of 10 %, if nothing is ordered (n); NaN beyond the forecast.
    cover_days
        For how long what is there is expected to last (n); infinite where no demand is expected.
    left, short
        Units expected to be left at the end of lead time and review period, and to be asked for in vain until then, once ``quantity`` is
        ordered (n).
    """

    demand: SeriesForecast
    rule: StockRule
    shelf: Shelf
    known: bool
    expected: Floats
    reorder_point: Ints
    order_up_to: Ints
    quantity: Floats
    out_chance: Floats
    out_median: Floats
    out_early: Floats
    cover_days: Floats
    left: Floats
    short: Floats

    def __len__(self) -> int:
        return len(self.demand)

    @property
    def slow(self) -> Bools:
        """Whether there is stock that will lie for longer than ``SLOW_DAYS`` (n)."""
        return (self.shelf.on_hand > 0) & (self.cover_days > SLOW_DAYS)

    @property
    def cost(self) -> Floats:
        """What is expected to be lost by too much and too little (n), NaN where the rule holds no costs."""
        if self.rule.over is None or self.rule.under is None:
            return np.full(len(self), np.nan)
        return self.rule.over * self.left + self.rule.under * self.short

    def frame(self) -> pl.DataFrame:
        """Return one row per series, what is needed most urgently first.

        The name; ``on_hand``, ``on_order``; ``expected_units`` over lead time and review; ``reorder_point``, ``order_up_to``, ``quantity``;
        ``stock_out_chance`` before an order of today arrives, ``stock_out_date`` (50 %), ``stock_out_early`` (10 %), ``cover_days``,
        ``slow``; ``expected_left``, ``expected_short``, ``expected_cost``; ``model``. Null: not told, or beyond the forecast.
        """
        nothing = pl.Series([None] * len(self), dtype=pl.Float64)
        told = self.known
        frame = pl.DataFrame(
            {
                NAMED[self.demand.keys.entity]: self.demand.keys.ids(),
                "on_hand": self.shelf.on_hand if told else nothing,
                "on_order": self.shelf.on_order if told else nothing,
                "expected_units": self.expected,
                "reorder_point": self.reorder_point,
                "order_up_to": self.order_up_to,
                "quantity": self.quantity,
                "stock_out_chance": self.out_chance if told else nothing,
                "stock_out_date": self._date(self.out_median),
                "stock_out_early": self._date(self.out_early),
                "cover_days": pl.Series(np.where(np.isfinite(self.cover_days), self.cover_days, np.nan), nan_to_null=True)
                if told else nothing,
                "slow": self.slow,
                "expected_left": self.left,
                "expected_short": self.short,
                "expected_cost": pl.Series(self.cost, nan_to_null=True),
                "model": pl.Series(self.demand.models, dtype=pl.String),
            }
        )  # fmt: skip
        urgent = np.lexsort((-self.expected, -self.quantity, -self.out_chance if told else np.zeros(len(self))))
        return frame[urgent.astype(np.int64)]

    def _date(self, days: Floats) -> pl.Series:
        told = np.isfinite(days) & self.known
        found = dates(self.demand.start + np.floor(np.where(told, days, 0)).astype(np.int64))
        return pl.select(pl.when(pl.Series(told)).then(found)).to_series()

    def _repr_html_(self) -> str:
        n = len(self)
        words = f"What to order today: {self.quantity.sum():,.0f} units of {int((self.quantity > 0).sum()):,} of {n:,} series."
        return card("StockPlan", words, self.frame().head(ROWS), rows=n)

    def __repr__(self) -> str:
        return f"StockPlan({len(self)} {self.demand.keys.entity} series, level {self.rule.level:g})"


def restock(demand: SeriesForecast, rule: StockRule, shelf: Shelf | None = None) -> StockPlan:
    """Return what to order today.

    Where lost sales cost and it is said what is there, x, the shelf must hold min(D, x) + E until the next order arrives: D is asked for
    within the lead time, E from then on. The forecast errs in both alike, so that the quantile of this sum is q(D + E) - max(q(D) - x, 0).

    Parameters
    ----------
    demand
        The demand of the next days, with quantiles of its sums.
    rule
        How the shop restocks.
    shelf
        What is there; without it quantities are for empty shelves.

    Raises
    ------
    UsageError
        When the forecast is shorter than lead time and review period together, or does not tell sums.
    """
    known, held = shelf is not None, shelf or Shelf.empty(len(demand))
    if len(held.on_hand) != len(demand):
        raise WhenbuyError(f"{len(held.on_hand)} shelves were given for {len(demand)} series.")
    lead = np.where(np.isnan(held.lead_days), rule.lead_days, held.lead_days)
    span = lead + rule.review_days
    if len(demand) and span.max() > demand.horizon_days + 1e-9:
        raise UsageError(
            f"Goods arrive within {span.max():g} days of the next review, and the forecast tells {demand.horizon_days} days.",
            "Stock needs the demand over lead time and review period.", "Ask for a longer forecast, or give shorter times.",
        )  # fmt: skip
    within, until = (_sums(demand, days) for days in (lead, span))
    level = np.array([rule.level])
    point, up_to = (np.ceil(sums.at(level)[:, 0] - 1e-6).astype(np.int64) for sums in (within, until))
    up_to = np.maximum(up_to, point)
    position = held.on_hand + held.on_order
    lost = known and rule.service is None
    lacking = np.maximum(up_to - np.maximum(position, point * lost), 0.0)
    quantity = np.ceil(lacking / held.pack - 1e-9) * held.pack + 0.0  # -0 is 0
    ready, vain = (position + quantity)[:, None], np.maximum(within.at(_GRID) - position[:, None], 0.0) * lost
    wanted = until.at(_GRID) - vain
    out_median, out_early = _runs_out(demand, held.on_hand)
    return StockPlan(
        demand, rule, held, known,
        expected=_mean_within(demand, span),
        reorder_point=point,
        order_up_to=up_to,
        quantity=quantity,
        out_chance=within.above(position),
        out_median=out_median,
        out_early=out_early,
        cover_days=_cover(demand, held.on_hand),
        left=np.maximum(ready - wanted, 0.0).mean(axis=1),
        short=(vain + np.maximum(wanted - ready, 0.0)).mean(axis=1),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Quantiles of an amount: levels (q) and amounts (n x q); straight between them, from 0 below them, an exponential tail above them."""

    levels: Floats
    amounts: Floats

    def at(self, level: Floats) -> Floats:
        """Return the amounts at some levels (n x l)."""
        levels, amounts = np.concatenate([[0.0], self.levels]), np.hstack([np.zeros((len(self.amounts), 1)), self.amounts])
        right = np.clip(np.searchsorted(levels, level), 1, len(levels) - 1)
        share = np.minimum((level - levels[right - 1]) / (levels[right] - levels[right - 1]), 1.0)
        inside = amounts[:, right - 1] + share * (amounts[:, right] - amounts[:, right - 1])
        beyond = np.log((1 - self.levels[-1]) / np.maximum(1 - level, 1e-12))
        return np.asarray(inside + np.maximum(beyond, 0.0) * self._scale()[:, None])

    def above(self, amount: Floats) -> Floats:
        """Return the chance that the amount is more than one given for each (n)."""
        levels, amounts = np.concatenate([[0.0], self.levels]), np.hstack([np.zeros((len(self.amounts), 1)), self.amounts])
        right = (amounts <= amount[:, None]).sum(axis=1)  # at least 1: nobody has fewer than 0
        last, rows = right == len(levels), np.arange(len(amount))
        right = np.minimum(right, len(levels) - 1)
        low, high = amounts[rows, right - 1], amounts[rows, right]
        share = np.divide(amount - low, high - low, out=np.ones(len(amount)), where=high > low)
        inside = 1 - (levels[right - 1] + share * (levels[right] - levels[right - 1]))
        scale = self._scale()
        far = np.divide(amount - amounts[:, -1], scale, out=np.full(len(amount), np.inf), where=scale > 0)
        chance: Floats = np.where(last, (1 - self.levels[-1]) * np.exp(-np.maximum(far, 0.0)), inside)
        return chance

    def _scale(self) -> Floats:
        """Return the mean of what exceeds the highest quantile (n): of an exponential tail from the quantile three levels lower on."""
        before = max(len(self.levels) - 4, 0)
        width = np.log((1 - self.levels[before]) / (1 - self.levels[-1])) if before < len(self.levels) - 1 else 1.0
        return np.asarray((self.amounts[:, -1] - self.amounts[:, before]) / width)


def _sums(demand: SeriesForecast, days: Floats) -> _Sums:
    """Return the quantiles of what comes within so many days of each series (n), straight between the ends of steps."""
    if demand.sums is None:
        raise UsageError("This forecast does not tell sums of steps.", "Quantiles of steps do not add up.", "Forecast with sums.")
    ends = np.concatenate([np.zeros((len(demand), 1, len(demand.levels))), demand.sums], axis=1)
    return _Sums(demand.levels, _within(ends, days / demand.step_days))


def _mean_within(demand: SeriesForecast, days: Floats) -> Floats:
    ends = np.hstack([np.zeros((len(demand), 1)), np.cumsum(demand.mean, axis=1)])
    return _within(ends, days / demand.step_days)


def _within(ends: Floats, steps: Floats) -> Floats:
    """Return values known at the ends of steps (n x (h + 1) x …), for each row after a number of steps of its own (n x …)."""
    left = np.minimum(np.floor(steps).astype(np.int64), ends.shape[1] - 2)
    share = (steps - left).reshape(-1, *[1] * (ends.ndim - 2))
    rows = np.arange(len(ends))
    return np.asarray(ends[rows, left] + share * (ends[rows, left + 1] - ends[rows, left]))


def _runs_out(demand: SeriesForecast, on_hand: Floats) -> tuple[Floats, Floats]:
    """Return the days after which the shelf is empty with a chance of 50 % and 10 % (n each), NaN beyond the forecast."""
    n, steps = len(demand), np.arange(demand.horizon + 1, dtype=np.float64) * demand.step_days
    chance = np.zeros((n, len(steps)))
    chance[:, 0] = on_hand <= 0
    for k, end in enumerate(steps[1:], 1):
        chance[:, k] = _sums(demand, np.full(n, end)).above(on_hand)
    chance = np.maximum.accumulate(chance, axis=1)
    return _reaches(chance, steps, 0.5), _reaches(chance, steps, 0.1)


def _reaches(chance: Floats, days: Floats, level: float) -> Floats:
    """Return the day on which a rising chance (n x d) reaches a level (n), straight between days; NaN where it never does."""
    right = (chance < level).sum(axis=1)
    inside, rows = right < len(days), np.arange(len(chance))
    right = np.minimum(right, len(days) - 1)
    left = np.maximum(right - 1, 0)
    low, high = chance[rows, left], chance[rows, right]
    share = np.divide(level - low, high - low, out=np.zeros(len(chance)), where=high > low)
    return np.where(inside, days[left] + share * (days[right] - days[left]), np.nan)


def _cover(demand: SeriesForecast, on_hand: Floats) -> Floats:
    """Return for how many days stock lasts at the mean demand (n); beyond the forecast its mean goes on."""
    rate = demand.mean.mean(axis=1) / demand.step_days
    ends = np.hstack([np.zeros((len(demand), 1)), np.cumsum(demand.mean, axis=1)])
    right = (ends < on_hand[:, None]).sum(axis=1)
    inside, rows = right < ends.shape[1], np.arange(len(demand))
    right = np.clip(right, 1, ends.shape[1] - 1)
    low, high = ends[rows, right - 1], ends[rows, right]
    share = np.divide(on_hand - low, high - low, out=np.zeros(len(demand)), where=high > low)
    further = np.divide(on_hand - ends[:, -1], rate, out=np.full(len(demand), np.inf), where=rate > 0)
    days = np.where(inside, (right - 1 + share) * demand.step_days, demand.horizon_days + further)
    return np.where(on_hand > 0, days, 0.0)


def part_of(demand: SeriesForecast, share: Floats) -> SeriesForecast:
    """Return the demand of a part of the customers, such as one region, who take a share of it (n).

    Each unit falls to the part by lot: mean p μ, variance p² σ² + p (1 - p) μ (binomial thinning); the shape of the spread is kept.

    Raises
    ------
    UsageError
        When a share lies outside [0, 1].
    """
    if not ((share >= 0) & (share <= 1)).all():
        raise UsageError("A share of the demand lies outside 0 to 1.", "It is a part of the whole.", "Mend the shares.")
    mean = share[:, None] * demand.mean
    whole = np.cumsum(demand.mean, axis=1)
    quantiles = _thinned(demand.quantiles, demand.mean, demand.levels, share)
    sums = None if demand.sums is None else _thinned(demand.sums, whole, demand.levels, share)
    past = None if demand.past is None else demand.past * share[:, None]
    return replace(demand, mean=mean, quantiles=quantiles, sums=sums, past=past)


def _thinned(quantiles: Floats, mean: Floats, levels: Floats, share: Floats) -> Floats:
    """Return the quantiles of a share of amounts whose quantiles are given (n x h x q)."""
    p = share[:, None]
    spread = (quantiles[:, :, -1] - quantiles[:, :, 0]) / (_normal(levels[-1]) - _normal(levels[0]))
    wanted = np.sqrt(p**2 * spread**2 + p * (1 - p) * mean)
    factor = np.divide(wanted, spread, out=p * np.ones_like(spread), where=spread > 0)
    moved = (p * mean)[:, :, None] + (quantiles - mean[:, :, None]) * factor[:, :, None]
    return np.maximum(moved, 0.0)


def _normal(level: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(float(level))
