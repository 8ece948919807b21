"""Which questions the data can answer: what each one needs, and what there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, MISSING, Bools
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.history import History
from whenbuy.core.log import ORDERS
from whenbuy.pipeline.checking.parts import Grade, Readiness
from whenbuy.pipeline.learning.answers import ANSWERS, Answer
from whenbuy.pipeline.learning.split import time_split

MANY: Final = 1_000
"""Orders from which on an answer is ready: a chance of 30 % that is counted on 1,000 cases is known to ±3 points (1.96·√(.3·.7/1,000))."""
REPEATS: Final = 200
"""Customers with a second order: gaps of 200 people give a rate to ±14 % (1.96/√200), and each validation week still has some of them."""
REDEEMED: Final = 300
"""Redemptions: the trees of this answer put at least 300 rows into a leaf, and a share counted on 300 is known to ±11 % of itself."""
CLASS: Final = 100
"""Orders with a class: a rate counted on 100 is known to ±20 % of itself (1.96/√100)."""
WINDOWS: Final = 3.5
"""A log holds a forecast that can be checked where it is this many times as long as the longest horizon: one part to learn, one to choose
by and a half to spare, as a fit divides it."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What the questions need to know of a history.

    Parameters
    ----------
    customers
        Customers with an order.
    orders
        Orders of customers, each counted once.
    repeats
        Customers with two orders or more.
    priced, counted
        Orders whose amount, or quantity, is known.
    classed
        Purchases whose category is known.
    classes
        Categories that are bought.
    common
        Categories with at least ``CLASS`` purchases.
    redeemed, shown
        Events of those kinds.
    days
        Length of the log.
    longest
        The longest horizon asked about, in days.
    closes
        Whether a window closes in it, without which nothing can be learned.
    """

    customers: int
    orders: int
    repeats: int
    priced: int
    counted: int
    classed: int
    classes: int
    common: int
    redeemed: int
    shown: int
    days: float
    longest: float
    closes: bool

    @classmethod
    def of(cls, history: History, horizons: tuple[float, ...]) -> Counts:
        """Return the counts of a history."""
        log = history.log
        bought = log.kind[: log.offsets[-1]] == (log.code("purchase") if "purchase" in log.kinds else 255)
        heads = bought & (log.columns[ORDERS].values[: len(bought)] == 1) if ORDERS in log.columns else bought
        user = np.searchsorted(log.offsets, np.flatnonzero(heads), side="right") - 1
        per_user = np.bincount(user, minlength=len(log.users))
        classed = _known(history, "category", bought)
        codes = log.columns["category"].values[: len(bought)][classed] if classed.any() else np.empty(0, np.int32)
        per_class = np.bincount(codes)
        priced, counted = (int(_known(history, name, heads).sum()) for name in ("amount", "quantity"))
        return cls(
            int((per_user > 0).sum()), int(heads.sum()), int((per_user > 1).sum()), priced, counted,
            int(classed.sum()), int((per_class > 0).sum()), int((per_class >= CLASS).sum()), log.count("redeemed"), log.count("shown"),
            (log.end - log.start) / DAY, max(horizons), _closes(history),
        )  # fmt: skip


def _closes(history: History) -> bool:
    """Return whether a fit finds a window that closes in the log, were it as short as a day."""
    clock, log = history.clock, history.log
    end = int(clock.midnight_before(np.array([log.end], np.int64))[0])
    days = float(max(1, np.floor((end - log.start) / DAY / WINDOWS)))
    try:
        time_split(log.start, end, days, clock, lateness_days=history.lateness_days)
    except NotEnoughDataError:
        return False
    return True


def _known(history: History, name: str, rows: Bools) -> Bools:
    column = history.log.columns.get(name)
    if column is None:
        return np.zeros(len(rows), bool)
    values = column.values[: len(rows)]
    return np.asarray(rows & ((values != MISSING) if column.dictionary is None else (values >= 0)))


def judged(counts: Counts, history: History | None = None, table: Mapping[str, Answer] = ANSWERS) -> tuple[Readiness, ...]:
    """Return what each question that every fit asks needs and has, in a stated order; none can be answered where the first cannot.

    With a history, those of the table that are asked by name only follow.
    """
    found = tuple(rule(counts) for rule in RULES.values())
    if history is not None:
        found = (*found, *(_by_name(answer, history) for answer in table.values() if not answer.usual))
    first = found[0]
    if first.grade != "not possible":
        return found
    return tuple(replace(one, grade=first.grade, words=first.words, missing=first.missing) for one in found)


def _by_name(answer: Answer, history: History) -> Readiness:
    """Return the readiness of an answer that is learned only where it is asked for by name."""
    log = history.log
    if missing := answer.lacks(log):
        return Readiness(answer.name, answer.asks, "not possible", missing[0].lower() + missing[1:].rstrip("."), answer.needs)
    cases = sum(log.count(kind) for kind in answer.events)
    what = f"{' or '.join(answer.events)} events" if len(answer.events) < _FEW else "acts of customers"
    return _graded(answer.name, answer.asks, [_needs(REDEEMED, cases, what, "near the base rate for everybody")], f"{cases:,} {what}")


_FEW: Final = 3
"""So many kinds are no longer listed in a sentence."""


def _curve(counts: Counts, name: str) -> Readiness:
    asks = ANSWERS[name].asks
    needs = [
        _needs(MANY, counts.orders, "purchases", "wide intervals"),
        _needs(REPEATS, counts.repeats, "customers who bought twice", _PRIOR),
    ]
    days = np.ceil(WINDOWS * counts.longest)
    if counts.days < days:
        needs.append(f"needs {days:,.0f} days to be checked over {counts.longest:g} days, has {counts.days:,.0f}: checked over less")
    if not counts.orders:
        return Readiness(name, asks, "not possible", "no purchase of a known customer", "say which events are purchases under [kinds]")
    if not counts.closes:
        return Readiness(name, asks, "not possible", f"the log holds {counts.days:.1f} days: no window closes in it", "a longer log")
    return _graded(
        name, asks, needs, f"{counts.orders:,} purchases, {counts.repeats:,} customers who bought twice, {counts.days:,.0f} days"
    )


_PRIOR: Final = "rests on what is usual, less on the customer's own rhythm"


def _purchase(counts: Counts) -> Readiness:
    return _curve(counts, "purchase")


def _orders(counts: Counts) -> Readiness:
    return _curve(counts, "orders")


def _summed(counts: Counts, name: str, known: int, what: str, column: str) -> Readiness:
    asks = ANSWERS[name].asks
    if not known:
        return Readiness(name, asks, "not possible", f"no purchase has {what}", f"the column {column}")
    needs = [_needs(MANY, known, f"orders with {what}", "wide intervals")]
    if known < 0.9 * counts.orders:
        needs.append(f"{1 - known / counts.orders:.0%} of the orders have none: it speaks of the others")
    return _graded(name, asks, needs, f"{known:,} orders with {what}")


_PRICES: Final = "amount, or unit_price and quantity"


def _amount(counts: Counts) -> Readiness:
    return _summed(counts, "amount", counts.priced, "an amount", _PRICES)


def _spend(counts: Counts) -> Readiness:
    return _summed(counts, "spend", counts.priced, "an amount", _PRICES)


def _quantity(counts: Counts) -> Readiness:
    return _summed(counts, "quantity", counts.counted, "a quantity", "quantity")


def _redemption(counts: Counts) -> Readiness:
    asks = ANSWERS["redemption"].asks
    if not counts.redeemed:
        return Readiness(
            "redemption", asks, "not possible", "no event of kind redeemed", "events of kind shown and redeemed with an offer_id"
        )
    needs = [_needs(REDEEMED, counts.redeemed, "redemptions", "near the base rate for everybody")]
    if not counts.shown:
        needs.append("no event of kind shown: nobody knows who had an offer")
    return _graded("redemption", asks, needs, f"{counts.redeemed:,} redemptions")


def _classes(counts: Counts) -> Readiness:
    asks = ANSWERS["classes"].asks
    if counts.classes < 2:
        what = "no category" if not counts.classes else "only one category"
        return Readiness("classes", asks, "not possible", f"the purchases have {what}", "the column category with two values or more")
    needs = [_needs(MANY, counts.classed, "purchases with a category", "wide intervals")]
    if counts.common < 2:
        needs.append(f"needs two categories with {CLASS} purchases, has {counts.common}: rates are rough")
    if counts.classed < 0.5 * counts.orders:
        needs.append(f"only {counts.classed:,} purchases have one")
    return _graded("classes", asks, needs, f"{counts.classed:,} purchases in {counts.classes:,} categories")


def _needs(need: int, has: int, what: str, otherwise: str) -> str:
    return "" if has >= need else f"needs {need:,} {what}, has {has:,}: {otherwise}"


def _graded(name: str, asks: str, needs: list[str], has: str) -> Readiness:
    lacking = [need for need in needs if need]
    grade: Grade = "thin" if lacking else "ready"
    return Readiness(name, asks, grade, "; ".join(lacking) or has, "more data" if lacking else "")


RULES: Final[Mapping[str, Callable[[Counts], Readiness]]] = {
    "purchase": _purchase, "orders": _orders, "amount": _amount, "spend": _spend, "quantity": _quantity, "redemption": _redemption,
    "classes": _classes,
}  # fmt: skip
"""The rule of each answer that every fit learns."""
