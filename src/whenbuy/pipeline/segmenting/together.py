"""What is bought together: pairs of things in the same order more often than chance would have them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Codes, Floats, Ints
from whenbuy.core.errors import ColumnError, EmptyError
from whenbuy.core.history import History
from whenbuy.core.log import ORDERS, EventLog

NAMES: Final = 3_000
"""Pairs are sought among so many things, the commonest."""
FALSE: Final = 0.05
"""The share of pairs that may be there by chance (false discovery rate)."""
BIG: Final = 200
"""Of an order with more different things only so many are read, the commonest: their pairs grow with the square."""


def together(history: History, as_of: int | str | None = None, of: str = "", support: float = 0.001, most: int = 200) -> pl.DataFrame:
    """Return pairs of things that are bought in one order more often than chance would have it, the clearest first.

    ``first``, ``second``; ``orders`` with both; ``support``: their share of all orders; ``confidence``: the share of the orders with the
    first that hold the second, ``back``: the other way round; ``lift``: over what independence would give; ``chi_square`` (one degree of
    freedom, Pearson); ``q``: the false discovery rate at which the pair is taken, at most ``FALSE``.

    Parameters
    ----------
    history
        The shop.
    as_of
        Only what was known before it counts (default: the log's end).
    of
        The column of names: ``category`` where the log has it, else ``item_id``, by default.
    support
        The least share of the orders that a pair is in; five orders at least.
    most
        How many pairs are returned.

    Raises
    ------
    ColumnError
        When the log has no such column.
    EmptyError
        When no order holds anything that has a name.

    Notes
    -----
    The tests are as many as there are pairs among the things that were compared, also those seen in no order together, so that what was
    looked for is paid for (Benjamini and Hochberg 1995).
    """
    log = history.log if as_of is None else history.cut(history.clock.instant(as_of)).log
    held = log.columns.get(of or ("category" if "category" in log.columns else "item_id"))
    if held is None or held.dictionary is None:
        raise ColumnError(
            f"The log has no names in {of or 'item_id'!r}.", "What is bought together needs names.", "Name a column with --of."
        )
    order, code, orders = _lines(log, np.asarray(held.values, np.int32))
    if not len(code):
        raise EmptyError("No order holds a thing with a name by then.", "Pairs are made of what orders hold.", "Ask as of a later date.")
    count = np.bincount(code, minlength=len(held.dictionary))
    least = max(5, int(np.ceil(support * orders)))
    kept = np.argsort(-count, kind="stable")[:NAMES]
    kept = kept[count[kept] >= least]
    first, second, both = _pairs(order, code, kept, len(held.dictionary), orders, least)
    tests = len(kept) * (len(kept) - 1) // 2
    return _table(held.dictionary.names(kept.astype(np.int32)), count[kept], (first, second, both), orders, tests, most)


def _lines(log: EventLog, code: Codes) -> tuple[Ints, Ints, int]:
    """Return the order and the thing of each line (each thing once per order), and the number of orders."""
    rows = np.flatnonzero(log.kind[: log.offsets[-1]] == log.code("purchase"))
    heads = log.columns[ORDERS].values[rows] == 1 if ORDERS in log.columns else np.ones(len(rows), bool)
    order = np.cumsum(heads) - 1
    named = (code[rows] >= 0) & (order >= 0)
    width = int(code.max(initial=0)) + 1
    pair = np.unique(order[named] * width + code[rows][named])
    return (pair // width).astype(np.int64), (pair % width).astype(np.int64), int(order.max(initial=-1)) + 1


def _pairs(order: Ints, code: Ints, kept: Ints, names: int, orders: int, least: int) -> tuple[Ints, Ints, Ints]:
    """Return the places in ``kept`` of pairs that enough orders hold (p each, the first before the second), and how many hold them."""
    from scipy.sparse import csr_array, triu

    place = np.full(names, -1, np.int64)
    place[kept] = np.arange(len(kept))
    lines = place[code] >= 0
    order, thing = order[lines], place[code[lines]]
    ranked = np.lexsort((thing, order))  # a small place is a common thing
    order, thing = order[ranked], thing[ranked]
    nth = np.arange(len(order)) - np.searchsorted(order, order)
    order, thing = order[nth < BIG], thing[nth < BIG]
    holds: Any = csr_array((np.ones(len(order), np.int32), (order, thing)), shape=(orders, len(kept)))
    found = triu(holds.T @ holds, k=1).tocoo()
    enough = found.data >= least
    return found.row[enough].astype(np.int64), found.col[enough].astype(np.int64), found.data[enough].astype(np.int64)


def _table(names: pl.Series, count: Ints, pairs: tuple[Ints, Ints, Ints], orders: int, tests: int, most: int) -> pl.DataFrame:
    first, second, both = pairs
    a, b, n = count[first].astype(np.float64), count[second].astype(np.float64), float(orders)
    lift = both * n / np.maximum(a * b, 1)
    chi = _chi_square(both.astype(np.float64), a, b, n)
    q = _false_discovery(chi, lift > 1, tests)
    listed = np.flatnonzero(q <= FALSE)
    listed = listed[np.lexsort((second[listed], first[listed], -chi[listed]))][:most]
    return pl.DataFrame(
        {
            "first": names.gather(first[listed]), "second": names.gather(second[listed]), "orders": both[listed],
            "support": both[listed] / n, "confidence": both[listed] / a[listed], "back": both[listed] / b[listed], "lift": lift[listed],
            "chi_square": chi[listed], "q": q[listed],
        }
    )  # fmt: skip


def _chi_square(both: Floats, a: Floats, b: Floats, n: float) -> Floats:
    """Return Pearson's statistic of the two-by-two tables: n (both·neither - a alone·b alone)² over the product of the margins."""
    cross = both * n - a * b
    margins = a * b * (n - a) * (n - b)
    return np.divide(n * cross**2, margins, out=np.zeros(len(both)), where=margins > 0)


def _false_discovery(chi: Floats, more: Any, tests: int) -> Floats:
    """Return the false discovery rate of each pair (Benjamini and Hochberg 1995); 1 for those that are together less than by chance."""
    from scipy.stats import chi2

    p = np.where(more, chi2.sf(chi, 1), 1.0)
    order = np.argsort(p, kind="stable")
    raised = p[order] * tests / np.arange(1, len(p) + 1)
    found = np.empty(len(p))
    found[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return found
