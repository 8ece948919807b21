"""What the simulated shop will sell, for somebody who knows its laws, everybody's tastes and all that was seen."""

from __future__ import annotations

from functools import cache

import numpy as np

from whenbuy.core.arrays import DAY
from whenbuy.ingest.simulate import SimulatedShop
from whenbuy.ingest.simulated.parameters import Parameters
from whenbuy.ingest.simulated.truth import people_of
from whenbuy.pipeline.demand.bottom_up import Lines

_DAYS = np.linspace(0, 60, 241)


def expected_units(shop: SimulatedShop, cutoff: int, weeks: int) -> np.ndarray:
    """Return the expected units of each category in the next weeks (k x w)."""
    keys, laws = shop.history.keys(None, cutoff), shop.parameters
    user = people_of(keys, shop.people)
    counts = shop.truth(keys, 7.0 * np.arange(1, weeks + 1)).mean_count
    each = _units_per_line(shop) * laws.basket.lines_mean
    units = np.diff(np.hstack([np.zeros((len(keys), 1)), counts]), axis=1) * each[user][:, None]
    sold, kinds = laws.assortment, laws.assortment.categories
    first, second = (shop.people[name].to_numpy()[user] for name in ("first_category", "second_category"))
    rest = 1 - sold.taste_first - sold.taste_second
    known = [
        sold.taste_first * np.bincount(first, week, minlength=kinds) + sold.taste_second * np.bincount(second, week, minlength=kinds)
        + rest / kinds * week.sum()
        for week in units.T
    ]  # fmt: skip
    return (np.stack(known, axis=1) + _newcomers(shop, cutoff, weeks) * each.mean() / kinds) * (1 - laws.faults.item_missing)


def overdispersion(shop: SimulatedShop) -> float:
    """Return the variance of sales over their mean, as orders that come by chance have it: E[units²] / E[units] per order and category."""
    lines = Lines.of(shop.history, "category")
    _, order = np.unique(np.stack([lines.user, lines.leaf, lines.time]), axis=1, return_inverse=True)
    units = np.bincount(order.ravel(), lines.units)
    return float((units**2).mean() / units.mean())


def _newcomers(shop: SimulatedShop, cutoff: int, weeks: int) -> np.ndarray:
    """Return the expected orders of those who are still to come, in each week (w)."""
    law, time, growth = shop.parameters.people, shop._time, np.log(shop.parameters.people.growth)
    bought = _renewals(shop.parameters)
    out = np.zeros(weeks)
    for clock, share in enumerate(law.price_class_shares):
        ends = time.of_instants(cutoff + np.arange(weeks + 1) * 7 * DAY, np.full(weeks + 1, clock))
        whole = time.of_instants(np.array([shop.history.end]), np.array([clock]))[0]
        born = np.diff(np.expm1(growth * ends / whole) / np.expm1(growth)) * len(shop.people) * share
        for week in range(weeks):
            for earlier in range(week + 1):
                middle = ends[earlier] + (ends[earlier + 1] - ends[earlier]) * (np.arange(20) + 0.5) / 20
                until, since = (np.interp(np.maximum(end - middle, 0), _DAYS, bought) for end in (ends[week + 1], ends[week]))
                out[week] += born[earlier] * ((until - since).mean() + law.buys_at_once * (earlier == week))
    return out


@cache
def _renewals(laws: Parameters) -> np.ndarray:
    """Return the expected orders of somebody within so many shop days after her first visit, by drawing many."""
    rng, law, n = np.random.default_rng(1), laws.people, 40_000
    rate = rng.gamma(law.rate_shape, law.rate_mean / law.rate_shape, n)
    shape = np.array(law.gap_shapes)[rng.choice(len(law.gap_shapes), n, p=law.gap_shares)]
    left = rng.exponential(1, n) / rng.gamma(law.leaving_shape, 1 / law.leaving_scale_days, n)
    at, count, going = np.zeros(n), np.zeros(len(_DAYS)), np.arange(n)
    while len(going):
        at = at + rng.standard_gamma(shape[going]) / (shape[going] * rate[going])
        inside = (at < _DAYS[-1]) & (at < left[going])
        going, at = going[inside], at[inside]
        count += np.bincount(np.minimum(np.searchsorted(_DAYS, at), len(_DAYS) - 1), minlength=len(_DAYS))
    return np.cumsum(count) / n


def _units_per_line(shop: SimulatedShop) -> np.ndarray:
    """Return the expected quantity of each person's lines."""
    luck = shop.parameters.basket.quantity_spread_lines * np.random.default_rng(0).normal(0, 1, 4000)
    level = np.log(shop.people["quantity_level"].to_numpy())
    return np.concatenate([np.maximum(np.round(np.exp(part[:, None] + luck)), 1).mean(axis=1) for part in np.array_split(level, 16)])
