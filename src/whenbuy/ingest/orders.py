"""Orders from lines: which line of a purchase is the first one of its order."""

from __future__ import annotations

import numpy as np

from whenbuy.core.arrays import Codes, Instants, Ints, Kinds
from whenbuy.core.kernel import kernel
from whenbuy.core.log import Column

_NO_ROWS: Ints = np.empty(0, np.int64)
_NO_CODES: Codes = np.empty(0, np.int32)


def orders(offsets: Ints, kind: Kinds, purchase: int, time: Instants, by_time: Ints | None, order_id: Column | None) -> Column | None:
    """Return 1 on the first line of each order and 0 on every other row (n); None where every purchase is an order of its own.

    Lines of one user with one order id are one order, wherever they stand; the first is the one that became known first. Purchases
    without an order id at one instant of one user are one order. Without a user, only an order id joins lines: nobody knows whether two
    strangers who bought at one instant were one.

    Parameters
    ----------
    offsets
        Row at which each user begins; the rows from ``offsets[-1]`` on have no user.
    kind, purchase
        Kind of each event (n), and the code of a purchase (-1 where there is none).
    time, by_time
        Instant of each event (n); rows of each user in the order of time, where some event came late.
    order_id
        The order of each line, where the data have it.
    """
    if purchase < 0:
        return None
    codes = _NO_CODES if order_id is None else np.asarray(order_id.values, np.int32)
    seen = np.full(0 if order_id is None or order_id.dictionary is None else len(order_id.dictionary), -1, np.int32)
    first = np.zeros(len(kind), np.uint8)  # a number costs eight times that: it is made only where it is kept
    edges = np.append(offsets, len(kind))
    joined = _mark_by_id(edges, kind, purchase, codes, seen, first)
    joined |= _mark_by_instant(edges, kind, purchase, time, _NO_ROWS if by_time is None else by_time, codes, first)
    return Column(first.astype(np.int64)) if joined else None


@kernel
def _mark_by_id(edges: Ints, kind: Kinds, purchase: int, codes: Codes, seen: Codes, first: Kinds) -> bool:
    """Mark the first line per (user, order id); return whether some line was not the first."""
    joined = False
    for user in range(len(edges) - 1 if len(codes) else 0):
        for row in range(edges[user], edges[user + 1]):
            code = codes[row]
            if kind[row] != purchase or code < 0:
                continue
            if seen[code] == user:
                joined = True
            else:
                seen[code] = user
                first[row] = 1
    return joined


@kernel
def _mark_by_instant(edges: Ints, kind: Kinds, purchase: int, time: Instants, by_time: Ints, codes: Codes, first: Kinds) -> bool:
    """Mark the first line per (user, instant) among those without an order id; return whether some line was not the first."""
    joined = False
    for user in range(len(edges) - 1):
        last = -1  # the line before, in the order of time
        for place in range(edges[user], edges[user + 1]):
            row = by_time[place] if len(by_time) else place
            if kind[row] != purchase or (len(codes) and codes[row] >= 0):
                continue
            if last >= 0 and time[row] == time[last] and user < len(edges) - 2:
                joined = True
            else:
                first[row] = 1
            last = row
    return joined
