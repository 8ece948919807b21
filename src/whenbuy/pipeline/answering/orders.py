"""Orders that are likely to come back: what was known of each when it was placed, and what that says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, MISSING, Bools, Floats, Instants, Ints
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples, Labels, Table
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.log import ORDERS

RETURN_DAYS: Final = 30
"""An order counts as kept when so many days have passed without a refund."""
LEAST: Final = 30
"""From fewer refunded orders nothing is learned."""
QUESTION: Final = "returned"
NAMES: Final = ("orders_before", "refunds_before", "refund_share", "coupon", "coupon_share", "amount_over_usual")
_LENT: Final = 2.0
"""So many orders with the shop's share are lent to everybody's own share."""


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """The orders of a shop, by customer and time (n).

    Parameters
    ----------
    user, time, amount
        Whose, when, and its worth in the shop's money, NaN where that is unknown.
    order
        Its position among the order ids, -1 where it has none.
    refunded_at
        When the first line of it was refunded, MISSING where none was.
    coupon
        Whether it was placed with an offer.
    table
        What was known of it when it was placed.
    """

    user: Ints
    time: Instants
    amount: Floats
    order: Ints
    refunded_at: Instants
    coupon: Bools
    table: Table

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def of(cls, history: History) -> Placed:
        """Return the orders of a log; a refund belongs to the order that it names.

        Raises
        ------
        NotEnoughDataError
            When the log has no refunds, or its orders have no ids.
        """
        log = history.log
        if "order_id" not in log.columns or ORDERS not in log.columns or not log.count("refund"):
            lacking = "no refunds" if "order_id" in log.columns else "no order ids"
            raise NotEnoughDataError(
                f"The log has {lacking}.", "Orders likely to come back are told by earlier refunds that name their orders.",
                "Send events of the kind refund along, with order_id.",
            )  # fmt: skip
        rows = int(log.offsets[-1])
        owner, kind = np.repeat(np.arange(len(log.users)), np.diff(log.offsets)), log.kind[:rows]
        named = log.columns["order_id"].values[:rows].astype(np.int64)
        line = np.flatnonzero((kind == log.code("purchase")) & (named >= 0))
        line = line[np.lexsort((named[line], log.time[line], owner[line]))]
        head = np.concatenate([[True], np.diff(named[line]) != 0])[: len(line)]
        first, number = line[head], np.cumsum(head) - 1
        amount = np.zeros(len(first))
        if "amount" in log.columns:
            held = log.columns["amount"]
            worth = held.values[line]
            np.add.at(amount, number, np.where(worth == MISSING, 0, worth) / held.scale)
        amount[amount <= 0] = np.nan
        coupon = np.zeros(len(first), bool)
        if "offer_id" in log.columns:
            np.logical_or.at(coupon, number, log.columns["offer_id"].values[line] >= 0)
        back = np.flatnonzero((kind == log.code("refund")) & (named >= 0))
        at = np.full(int(named.max(initial=-1)) + 1, np.iinfo(np.int64).max)
        np.minimum.at(at, named[back], log.known_at[back])
        refunded = np.where(at[named[first]] == np.iinfo(np.int64).max, MISSING, at[named[first]])
        told = _known(owner[first], log.time[first], amount, refunded, coupon)
        return cls(owner[first], log.time[first], amount, named[first], refunded, coupon, Table(NAMES, told.astype(np.float32)))

    def examples(self, history: History, rows: Ints) -> Examples:
        """Return orders to learn from or to ask about: one key per order, at the instant at which it was placed."""
        keys = Keys("user", self.user[rows].astype(np.int32), self.time[rows], history.log.users)
        end = np.minimum(self.time[rows] + RETURN_DAYS * DAY, history.end)
        back = self.refunded_at[rows]
        label = Labels(((back != MISSING) & (back <= end)).astype(float), self.time[rows] + RETURN_DAYS * DAY <= history.end, end)
        table = self.table.take(rows)

        def silence(days: Floats, part: Ints) -> Table:
            del days
            return table.take(part)

        return Examples(keys, table, {QUESTION: label}, silence)


def _known(user: Ints, time: Instants, amount: Floats, refunded: Instants, coupon: Bools) -> Floats:
    """Return what was known of each order when it was placed (n x f): refunds count from the instant at which they came."""
    n = len(user)
    found = np.zeros((n, len(NAMES)))
    every = float(((refunded != MISSING).sum() + 1) / (n + 2))
    usual = float((coupon.sum() + 1) / (n + 2))
    for start, stop in _spans(user):
        part = slice(start, stop)
        count = np.arange(stop - start)
        back = np.sort(refunded[part][refunded[part] != MISSING])
        returns = np.searchsorted(back, time[part], side="left")
        coupons: Ints = np.cumsum(coupon[part]) - coupon[part]
        worth = np.where(np.isnan(amount[part]), 0.0, amount[part])
        mean = np.concatenate([[np.nan], np.cumsum(worth)[:-1] / np.maximum(count[1:], 1)])
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(mean > 0, amount[part] / mean, np.nan)
        shares = [(each + _LENT * base) / (count + _LENT) for each, base in ((returns, every), (coupons, usual))]
        found[part] = np.stack([count, returns, shares[0], coupon[part], shares[1], ratio], axis=1)
    return found


def _spans(user: Ints) -> Iterator[tuple[int, int]]:
    edges = np.concatenate([[0], np.flatnonzero(np.diff(user)) + 1, [len(user)]])
    return zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
