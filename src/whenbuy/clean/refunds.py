"""The rule that finds the purchase behind each refund."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.clean.draft import MONEY, Draft, Finding
from whenbuy.core.arrays import MISSING, Codes, Ints, Kinds
from whenbuy.core.kernel import kernel

REFUND_OF = "refund_of"
"""The column that says which purchase a refund gives back: its place among the rows of the same user, counted from 0; MISSING elsewhere."""

_UNKNOWN = 2**62


@dataclass(frozen=True, slots=True)
class Refunds:
    """Matches refunds with purchases; neither is changed: a refund is an event of its own and nets from its own ``known_at`` on.

    A refund belongs to the latest purchase of the same user that was known earlier, did not happen later, has the same order or else the
    same item, and of which at least that amount is left. A refund of an order may span its lines: then it points at the latest line with
    something left.
    """

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "refunds"

    def find(self, draft: Draft) -> Finding:
        """Return the purchase of each refund."""
        log = draft.log
        if log.code("purchase") < 0 or not log.columns.keys() & {"order_id", "item_id"} or not log.columns.keys() & set(MONEY):
            return Finding()
        refunds = draft.rows(("refund",))
        everything = np.arange(len(log))
        names = [draft.codes(name, everything) if len(refunds) else np.empty(0, np.int32) for name in ("order_id", "item_id")]
        amount = draft.numbers("amount", everything) if len(refunds) else np.empty(0, np.int64)
        kind = np.where(draft.alive, log.kind, 255).astype(np.uint8) if len(refunds) else log.kind
        touched = np.unique(draft.owners(refunds))
        kinds = log.code("purchase"), log.code("refund")
        found = _match(touched[touched >= 0], log.offsets, log.time, kind, *kinds, names[0], names[1], amount)
        matched = int(np.count_nonzero(found >= 0))
        link = np.where(found >= 0, draft.origin[found], -1) if matched else found
        facts = {"refunds matched to their purchase": matched, "refunds without a known purchase": len(refunds) - matched}
        return Finding(links={REFUND_OF: link}, facts=facts if len(refunds) else {})


@kernel
def _match(
    users: Codes, offsets: Ints, time: Ints, kind: Kinds, purchase: int, refund: int, order: Codes, item: Codes, amount: Ints,
) -> Ints:  # fmt: skip
    """Return the row of the purchase that each refund gives back (all rows), -1 where there is none."""
    found = np.full(len(time), -1, np.int64)
    left = np.empty(0, np.int64)
    for user in users:
        lo, hi = offsets[user], offsets[user + 1]
        if len(left) < hi - lo:
            left = np.empty(hi - lo, np.int64)
        for row in range(lo, hi):
            left[row - lo] = 0
            if kind[row] == purchase:
                left[row - lo] = _UNKNOWN if amount[row] == MISSING else amount[row]
            elif kind[row] == refund:
                found[row] = _line(lo, row, time, order, item, max(amount[row], 1), left)
                if found[row] < 0 and amount[row] > 0:
                    found[row] = _lines(lo, row, time, order, item, amount[row], left)
                elif found[row] >= 0:
                    rest = left[found[row] - lo]
                    left[found[row] - lo] = 0 if amount[row] == MISSING or rest == _UNKNOWN else rest - amount[row]
    return found


@kernel
def _fits(row: int, past: int, order: Codes, item: Codes) -> bool:
    """Return whether two rows belong to one order, and to one item where both name it."""
    same_order = order[row] >= 0 and order[past] == order[row]
    return bool(same_order and (item[row] < 0 or item[past] < 0 or item[past] == item[row]))


@kernel
def _line(lo: int, row: int, time: Ints, order: Codes, item: Codes, need: int, left: Ints) -> int:
    """Return the latest earlier line of the same order, or else of the same item, of which ``need`` is left; -1 where there is none."""
    by_item = -1
    for past in range(row - 1, lo - 1, -1):
        if left[past - lo] < need or time[past] > time[row]:
            continue
        if _fits(row, past, order, item):
            return past
        if by_item < 0 and item[row] >= 0 and item[past] == item[row]:
            by_item = past
            if order[row] < 0:
                break
    return by_item


@kernel
def _lines(lo: int, row: int, time: Ints, order: Codes, item: Codes, need: int, left: Ints) -> int:
    """Take ``need`` from the lines of the refund's order, the latest first; return the latest, -1 where all of them have less left."""
    total, latest = 0, -1
    for past in range(row - 1, lo - 1, -1):
        if left[past - lo] > 0 and time[past] <= time[row] and _fits(row, past, order, item):
            latest = past if latest < 0 else latest
            total = min(total + left[past - lo], _UNKNOWN)
    if total < need:
        return -1
    for past in range(latest, lo - 1, -1):
        if left[past - lo] > 0 and time[past] <= time[row] and _fits(row, past, order, item):
            part = min(need, left[past - lo])
            left[past - lo] -= part
            need -= part
    return latest
