"""The best choice of at most one option per customer under shared limits: a multiple-choice knapsack, by prices (Lagrange multipliers).

Every limit gets a price. At given prices each customer takes the option with the highest gain less what it uses at those prices; the sum of
what is left, plus the limits at their prices, is never below what any allowed choice earns (Fisher 1981, s. 2). The lowest such bound is
searched with cutting planes (Kelley 1960) inside a box that moves (Marsten, Hogan and Blankenship 1975); the choice at its prices is
then made to fit, and what is left of the limits is used up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.kernel import kernel
from whenbuy.decide.gains import Options, Shorts
from whenbuy.decide.limits import Limits

ROUNDS: Final = 120
"""At most so many prices are tried."""
ENOUGH: Final = 1e-5
"""The search ends where the bound can fall by no more than this share."""
FEW: Final = 20_000
"""Up to so many options the choice is filled at other prices too: few customers do not even out."""
_FURTHER: Final = (0.0, 0.25, 0.5, 0.8, 1.25, 2.0, 4.0, 8.0)
"""The prices are multiplied by these then."""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What was chosen.

    Parameters
    ----------
    option
        Which option of each customer (n), counted over all options; -1 for nothing.
    profit
        The sum of the gains.
    bound
        No allowed choice earns more.
    price_of_money
        What one more unit of money would earn.
    prices
        What one more of each counted limit would earn (r).
    """

    option: Ints
    profit: float
    bound: float
    price_of_money: float
    prices: Floats

    @property
    def gap(self) -> float:
        """How far the profit lies below the bound, as a share of the bound."""
        return 0.0 if self.bound <= 0 else max(0.0, (self.bound - self.profit) / self.bound)


def choose(options: Options, limits: Limits) -> Choice:
    """Return the choice that earns most within the limits, with the bound that shows how much more any choice could earn at most."""
    dead = np.atleast_1d(limits.counted[limits.most < 1].any(axis=0))
    fits = (options.cost <= limits.money) & ~dead[options.pair]
    places, options = np.flatnonzero(fits), options.only(fits)  # what cannot be taken even alone would only loosen the bound
    problem = _Problem(options, limits)
    prices, bound = problem.prices()
    chosen = problem.filled(prices)
    if len(options.gain) <= FEW:
        tried = [chosen, *(problem.filled(prices * times) for times in _FURTHER)]
        chosen = max(tried, key=lambda one: _total(options.gain, one))
    profit = _total(options.gain, chosen)
    option = np.where(chosen >= 0, places[np.maximum(chosen, 0)], -1) if len(places) else chosen
    return Choice(option, profit, max(bound, profit), float(prices[0]), prices[1:])


def at_prices(options: Options, limits: Limits, price_of_money: float, prices: Floats) -> Ints:
    """Return what each customer would take at given prices (n), as ``Choice.option``; the limits themselves are not looked at."""
    return _Problem(options, limits).taken(np.concatenate([[price_of_money], prices]))[0]


def _total(gain: Floats, option: Ints) -> float:
    return float(gain[option[option >= 0]].sum())


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    options: Options
    limits: Limits

    @property
    def room(self) -> Floats:
        """Return the limits that bind at all, money first; money without a limit has room for everything."""
        money = self.limits.money if np.isfinite(self.limits.money) else float(self.options.cost.sum()) + 1.0
        return np.concatenate([[money], self.limits.most])

    def taken(self, prices: Floats) -> tuple[Ints, float, Floats]:
        """Return who takes what at these prices (n), the sum of what is left to them, and what is used (1 + r)."""
        one = self.options
        per_pair = prices[1:] @ self.limits.counted.astype(float)
        option, left, money, count = _take(one.start, one.pair, one.gain, one.cost, float(prices[0]), per_pair)
        return option, left, np.concatenate([[money], self.limits.counted.astype(float) @ count])

    def prices(self) -> tuple[Floats, float]:
        """Return the prices of the lowest bound that was found (1 + r), and the bound."""
        room = self.room
        best = np.zeros(len(room))
        _, left, used = self.taken(best)
        bound = left
        if (used <= room).all():
            return best, bound
        cuts = _Cuts.begun(room, used, bound, self.options)
        for _ in range(ROUNDS):
            tried, promised = cuts.lowest(best)
            if bound - promised <= ENOUGH * max(abs(bound), 1e-12):
                if not cuts.at_edge(tried, best):
                    break
                cuts.widen(4.0)
                continue
            _, left, used = self.taken(tried)
            value = left + float(tried @ room)
            cuts.add(tried, value, room - used)
            if value < bound - 0.1 * (bound - promised):
                cuts.widen(2.0 if cuts.at_edge(tried, best) else 1.0)
            else:
                cuts.widen(0.5)
            if value < bound:
                best, bound = tried, value
        return best, bound

    def filled(self, prices: Floats) -> Ints:
        """Return a choice that keeps all limits, made from the one at these prices."""
        one, room = self.options, self.room
        room[0] *= 1 - 1e-12  # sums in another order must not exceed the budget either
        per_pair = prices[1:] @ self.limits.counted.astype(float)
        regret = _regret(one.start, one.pair, one.gain, one.cost, prices[0], per_pair)
        order = np.argsort(-regret, kind="stable")  # who would lose most by another option comes first; the rest swings
        chosen, used = _fit(one.start, one.pair, one.gain, one.cost, prices[0], per_pair, self.limits.counted, room, order)
        for _ in range(4):
            better, loss = _upgrades(one.start, one.pair, one.gain, one.cost, prices[0], per_pair, chosen)
            order = np.argsort(loss, kind="stable")[: int(np.isfinite(loss).sum())]
            if not _upgrade(one.pair, one.cost, self.limits.counted, room, order, better, chosen, used):
                break
        return chosen


@dataclass(slots=True, eq=False)
class _Cuts:
    """Lines below the bound as a function of the prices, and the box in which the next prices are looked for."""

    scale: Floats
    box: float
    points: list[Floats]
    values: list[float]
    slopes: list[Floats]

    @classmethod
    def begun(cls, room: Floats, used: Floats, bound: float, options: Options) -> _Cuts:
        """Return the first line, at prices of nothing; a price is counted in what its limit's users earn with one unit of it."""
        n = max(len(options), 1)
        scale = bound / np.maximum(used, 1e-12 + used.max() / n)
        return cls(np.maximum(scale, 1e-12), 1.0, [np.zeros(len(room))], [bound], [room - used])

    def add(self, prices: Floats, value: float, slope: Floats) -> None:
        """Add the line that touches the bound at these prices."""
        self.points.append(prices)
        self.values.append(value)
        self.slopes.append(slope)

    def widen(self, times: float) -> None:
        """Change the size of the box."""
        self.box = float(np.clip(self.box * times, 1e-9, 1e9))

    def lowest(self, around: Floats) -> tuple[Floats, float]:
        """Return the prices in the box around some at which the lines allow the lowest bound, and that bound."""
        from scipy.optimize import linprog

        slopes, points, values = np.array(self.slopes), np.array(self.points), np.array(self.values)
        size = max(abs(values[0]), 1e-12)  # the program is solved in shares of the first bound and in scaled prices
        rows = np.hstack([slopes * self.scale / size, -np.ones((len(slopes), 1))])
        right = ((slopes * points).sum(axis=1) - values) / size
        middle = around / self.scale
        bounds = [(max(0.0, m - self.box), m + self.box) for m in middle] + [(None, None)]
        cost = np.zeros(len(middle) + 1)
        cost[-1] = 1.0
        found = linprog(cost, A_ub=rows, b_ub=right, bounds=bounds, method="highs")
        if found.x is None:  # numbers so far apart that the solver gives up: the search ends with the best prices it has
            return around, float("inf")
        return np.maximum(found.x[:-1], 0.0) * self.scale, float(found.x[-1]) * size

    def at_edge(self, tried: Floats, around: Floats) -> bool:
        """Return whether prices lie on the box's edge, so that a wider box could allow a lower bound."""
        if not np.isfinite(self.box) or self.box >= 1e9:
            return False
        off = np.abs(tried - around) / self.scale
        return bool((off >= self.box * (1 - 1e-6)).any())


@kernel
def _take(start: Ints, pair: Shorts, gain: Floats, cost: Floats, price: float, per_pair: Floats) -> tuple[Ints, float, float, Floats]:
    """Return each customer's best option at these prices (-1: none), what is left to all, the money, and the uses of pairs."""
    n = len(start) - 1
    option, left, money, count = np.empty(n, np.int64), 0.0, 0.0, np.zeros(len(per_pair))
    for u in range(n):
        best, where = 0.0, -1
        for i in range(start[u], start[u + 1]):
            value = gain[i] - price * cost[i] - per_pair[pair[i]]
            if value > best:
                best, where = value, i
        option[u] = where
        if where >= 0:
            left += best
            money += cost[where]
            count[pair[where]] += 1
    return option, left, money, count


@kernel
def _regret(start: Ints, pair: Shorts, gain: Floats, cost: Floats, price: float, per_pair: Floats) -> Floats:
    """Return what each customer would lose at these prices if her second best option, or nothing, took the place of the best (n)."""
    n = len(start) - 1
    regret = np.empty(n)
    for u in range(n):
        best, second = 0.0, -np.inf
        for i in range(start[u], start[u + 1]):
            value = gain[i] - price * cost[i] - per_pair[pair[i]]
            if value > best:
                best, second = value, best
            elif value > second:
                second = value
        regret[u] = best - second
    return regret


@kernel
def _fits(cost: float, pair: int, back_cost: float, back_pair: int, counted: Bools, room: Floats, used: Floats) -> bool:
    """Return whether an option fits into what is left when another one (pair -1: none) is given back."""
    if used[0] - back_cost + cost > room[0]:
        return False
    for r in range(counted.shape[0]):
        more = (1.0 if counted[r, pair] else 0.0) - (1.0 if back_pair >= 0 and counted[r, back_pair] else 0.0)
        if more > 0 and used[r + 1] + more > room[r + 1]:
            return False
    return True


@kernel
def _use(cost: float, pair: int, sign: float, counted: Bools, used: Floats) -> None:
    used[0] += sign * cost
    for r in range(counted.shape[0]):
        if counted[r, pair]:
            used[r + 1] += sign


@kernel
def _fit(
    start: Ints, pair: Shorts, gain: Floats, cost: Floats, price: float, per_pair: Floats, counted: Bools, room: Floats, order: Ints
) -> tuple[Ints, Floats]:
    """Return a choice in which customers take, in this order, what is best for them at these prices and still fits; and what it uses."""
    option, used = np.full(len(start) - 1, -1, np.int64), np.zeros(len(room))
    for u in order:
        best, where = 0.0, -1
        for i in range(start[u], start[u + 1]):
            value = gain[i] - price * cost[i] - per_pair[pair[i]]
            if value > best and _fits(cost[i], pair[i], 0.0, -1, counted, room, used):
                best, where = value, i
        if where >= 0:
            option[u] = where
            _use(cost[where], pair[where], 1.0, counted, used)
    return option, used


@kernel
def _upgrades(start: Ints, pair: Shorts, gain: Floats, cost: Floats, price: float, per_pair: Floats, option: Ints) -> tuple[Ints, Floats]:
    """Return the option of each customer that earns more than hers and loses least at these prices, and that loss (infinite: none)."""
    n = len(start) - 1
    better, loss = np.full(n, -1, np.int64), np.full(n, np.inf)
    for u in range(n):
        mine = option[u]
        now, kept = (0.0, 0.0) if mine < 0 else (gain[mine], gain[mine] - price * cost[mine] - per_pair[pair[mine]])
        for i in range(start[u], start[u + 1]):
            if gain[i] > now:
                lost = kept - (gain[i] - price * cost[i] - per_pair[pair[i]])
                if lost < loss[u]:
                    better[u], loss[u] = i, lost
    return better, loss


@kernel
def _upgrade(pair: Shorts, cost: Floats, counted: Bools, room: Floats, order: Ints, better: Ints, option: Ints, used: Floats) -> bool:
    """Take, in this order, what earns more and fits; change ``option`` and ``used``, and return whether anything changed."""
    changed = False
    for u in order:
        new, mine = better[u], option[u]
        back_cost, back_pair = (0.0, -1) if mine < 0 else (cost[mine], int(pair[mine]))
        if _fits(cost[new], pair[new], back_cost, back_pair, counted, room, used):
            if mine >= 0:
                _use(cost[mine], pair[mine], -1.0, counted, used)
            _use(cost[new], pair[new], 1.0, counted, used)
            option[u] = new
            changed = True
    return changed


def trace(options: Options, limits: Limits, choice: Choice, points: int = 24) -> pl.DataFrame:
    """Return what other budgets would earn, the other limits at their prices: budget, profit, contacts, rising in the budget."""
    problem, rows = _Problem(options, limits), []
    ratio = options.gain / np.maximum(options.cost, 1e-9)
    top = float(ratio.max(initial=0.0)) + 1.0
    steps = np.quantile(ratio, np.linspace(0, 1, points)) if len(ratio) else np.empty(0)
    for price in sorted({0.0, choice.price_of_money, top, *steps.tolist()}, reverse=True):
        option, _, used = problem.taken(np.concatenate([[price], choice.prices]))
        rows.append((float(used[0]), _total(options.gain, option), int((option >= 0).sum())))
    table = pl.DataFrame(rows, {"budget": pl.Float64, "profit": pl.Float64, "contacts": pl.Int64}, orient="row")
    return table.unique("budget", keep="last", maintain_order=True).sort("budget")
