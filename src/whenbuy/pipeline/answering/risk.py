"""The risk queue: orders likely to come back, customers who live on offers, and accounts that may be machines, each with its reasons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, MISSING, Floats, Ints, Singles
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples, Table
from whenbuy.core.forecast import instants
from whenbuy.core.history import History
from whenbuy.models.whether.chance import LogisticChance, LogisticChanceModel
from whenbuy.pipeline.answering.orders import LEAST, QUESTION, Placed
from whenbuy.questions.asked import BOT

_RARE: Final = 1e-3
"""A customer stands out where chance, at the shop's share, brings so much about at most this often."""
_FEW: Final = 4
_PAUSE_S: Final = 5.0
_BUSY: Final = 200
_SCHEMA: Final[dict[str, Any]] = {
    "what": pl.String, "user_id": pl.String, "order_id": pl.String, "at": pl.Datetime("us", "UTC"), "chance": pl.Float64,
    "at_stake": pl.Float64, "reasons": pl.String,
}  # fmt: skip
_Row = tuple[str, str, str | None, Any, float | None, float, str]


@dataclass(frozen=True, slots=True, eq=False)
class Risk:
    """What to look at first.

    Parameters
    ----------
    frame
        ``what``: order, offers or machine; ``user_id``, ``order_id``, ``at``; ``chance``: of an order, that it still comes back within 30
        days of being placed; ``at_stake``: money: the chance times its worth, or what was ordered with offers; ``reasons``. The most at
        stake first.
    notes
        What could not be said, and why.
    """

    frame: pl.DataFrame
    notes: tuple[str, ...]


def risk(history: History, as_of: int | None = None, *, days: float = 14.0) -> Risk:
    """Return what to look at as of a moment (the log's end by default): orders of the last days, and all customers."""
    moment = history.end if as_of is None else min(as_of, history.end)
    known, notes, rows = history.cut(moment), [], list[_Row]()
    try:
        placed = Placed.of(known)
        rows += _orders(known, placed, moment - round(days * DAY))
        rows += _offers(known, placed)
    except NotEnoughDataError as error:
        notes.append(str(error))
    rows += _machines(known)
    frame = pl.DataFrame(rows, schema=_SCHEMA, orient="row").sort("at_stake", "user_id", descending=[True, False], maintain_order=True)
    return Risk(frame, tuple(notes))


def _orders(history: History, placed: Placed, since: int) -> Iterator[_Row]:
    """Yield the open orders placed lately, with the chance that each comes back."""
    open_ = np.flatnonzero((placed.time >= since) & (placed.refunded_at == MISSING))
    ripe = np.flatnonzero(placed.time < since)
    train = placed.examples(history, ripe)
    label = train.label(QUESTION)
    came = int((label.value[label.observed] > 0).sum())
    if came < LEAST or not len(open_):
        raise NotEnoughDataError(
            f"{came:,} orders came back, {len(open_):,} were placed lately.",
            f"Chances of orders are learned from {LEAST} refunds at least.", "Give a longer log, or look further back.",
        )  # fmt: skip
    model = LogisticChance(QUESTION, crossed=0).fit(train)
    asked = placed.examples(history, open_)
    chance = _still(model.predict(asked, in_sample=True).chance, history, placed, open_, ripe)
    usual = np.nanmedian(train.table.values, axis=0)
    reasons = _reasons(model, asked, usual)
    names = history.log.columns["order_id"].dictionary
    for place, row in enumerate(open_.tolist()):
        worth = 0.0 if np.isnan(placed.amount[row]) else float(placed.amount[row])
        order = None if names is None else names.names(np.array([placed.order[row]], np.int32))[0]
        at = instants(placed.time[row : row + 1])[0]
        yield "order", _user(history, placed.user[row]), order, at, float(chance[place]), float(chance[place]) * worth, reasons[place]


def _still(chance: Floats, history: History, placed: Placed, open_: Ints, ripe: Ints) -> Floats:
    """Return the chances given that an order has not come back so far: by then so large a share of those that do had come back."""
    back = placed.refunded_at[ripe]
    delays = np.sort((back - placed.time[ripe])[back != MISSING])
    came = np.searchsorted(delays, history.end - placed.time[open_], side="right") / max(len(delays), 1)
    return np.asarray(chance * (1 - came) / np.maximum(1 - chance * came, 1e-9))


def _reasons(model: LogisticChanceModel, asked: Examples, usual: Singles) -> list[str]:
    """Return what raises each chance, in words: by how much it falls when what is known is as usual instead."""
    values, names, chance = asked.table.values, asked.table.names, model.predict(asked, in_sample=True).chance
    groups = {"refunds": (1, 2), "coupons": (3, 4), "amount": (5,)}
    found: list[list[tuple[float, str]]] = [[] for _ in range(len(values))]
    for group, columns in groups.items():
        other = values.copy()
        other[:, columns] = usual[list(columns)]
        without = model.predict(replace(asked, table=Table(names, other)), in_sample=True).chance
        for row, points in enumerate(100 * (chance - without)):
            if points >= 1:
                found[row].append((float(points), _words(group, dict(zip(names, values[row].tolist(), strict=True)))))
    return ["; ".join(f"{words} (+{points:.0f} points)" for points, words in sorted(each, reverse=True)) for each in found]


def _words(group: str, of: dict[str, float]) -> str:
    if group == "refunds":
        return f"{of['refunds_before']:.0f} of {of['orders_before']:.0f} earlier orders came back"
    if group == "coupons":
        return "placed with a coupon" if of["coupon"] else "coupons on many earlier orders"
    return f"{of['amount_over_usual']:.1f} times her usual amount"


def _offers(history: History, placed: Placed) -> Iterator[_Row]:
    """Yield customers who order with offers, or send orders back, more often than chance at the shop's shares brings about."""
    from scipy.stats import binom

    n = len(history.log.users)
    orders = np.bincount(placed.user, minlength=n)
    worth = np.bincount(placed.user, np.nan_to_num(placed.amount) * placed.coupon, minlength=n)
    back = placed.refunded_at != MISSING
    found: dict[int, list[str]] = {}
    for flags, words in ((placed.coupon, "with an offer"), (back, "sent back")):
        count, share = np.bincount(placed.user[flags], minlength=n), float(flags.mean())
        odd = (orders >= _FEW) & (count > share * orders) & (binom.sf(count - 1, orders, share) < _RARE)
        for user in np.flatnonzero(odd).tolist():
            found.setdefault(user, []).append(f"{count[user]} of {orders[user]} orders {words}, {100 * share:.0f} % are usual")
    for user, reasons in found.items():
        last = int(placed.time[placed.user == user].max())
        yield "offers", _user(history, user), None, instants(np.array([last]))[0], None, float(worth[user]), "; ".join(reasons)


def _machines(history: History) -> Iterator[_Row]:
    """Yield accounts that were judged machines when the log was cleaned, or that look in an even rhythm and never buy."""
    log = history.log
    rows = int(log.offsets[-1])
    owner = np.repeat(np.arange(len(log.users)), np.diff(log.offsets))
    told: Ints = np.unique(owner[log.kind[:rows] == log.code(BOT)]) if BOT in log.kinds else np.empty(0, np.int64)
    bought = np.bincount(owner[log.kind[:rows] == log.code("purchase")], minlength=len(log.users))
    for user in np.flatnonzero(np.diff(log.offsets) >= _BUSY).tolist():
        own = slice(int(log.offsets[user]), int(log.offsets[user + 1]))
        pause = float(np.median(np.diff(np.sort(log.time[own])))) / 1e6
        judged = user in told
        if judged or (pause <= _PAUSE_S and not bought[user]):
            words = [f"{own.stop - own.start:,} events, half of them within {pause:.1f} s of the one before", "never bought"]
            words = [*(["judged a machine when the log was cleaned"] if judged else []), *(words if not bought[user] else words[:1])]
            yield "machine", _user(history, user), None, instants(log.time[own.stop - 1 : own.stop])[0], None, 0.0, "; ".join(words)


def _user(history: History, code: int) -> str:
    return str(history.log.users.ids[int(code)])
