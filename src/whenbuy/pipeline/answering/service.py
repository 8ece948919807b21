"""The service queue: who asks now, whether she is about to buy, what she probably needs, what to show whoever answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Ints
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.forecast import instants
from whenbuy.core.history import History
from whenbuy.core.log import ORDERS, EventLog
from whenbuy.core.outlook import Outlook
from whenbuy.decide.queue import queue
from whenbuy.pipeline.answering.churn import Churn
from whenbuy.pipeline.answering.trails import CAUSES

OPEN_DAYS: Final = 2.0
"""An enquiry is open for so long, unless an event of the kind answered came after it."""
ANSWERED: Final = "answered"
LEAVES: Final = 0.01
"""Where the log does not say what bad service costs: the chance that an hour of waiting drives somebody away."""
_DAY_HOURS: Final = 24.0
_LATELY_DAYS: Final = 30
_TROUBLES: Final[Mapping[str, str]] = {kind: cause for cause, kind in CAUSES.items() if cause != "contact pressure"}
_NEEDS: Final[Mapping[str, str]] = {
    "delivered_late": "where her parcel is", "out_of_stock": "what takes the place of what is out of stock",
    "price_raised": "why the price rose", "badly_served": "that somebody solves what was not solved",
}  # fmt: skip


def service(history: History, outlook: Outlook, churn: Churn | None = None, *, minutes: float = 10.0) -> pl.DataFrame:
    """Return the open enquiries as of an outlook's moment, in the order in which to answer them.

    One row per customer: ``user_id``; ``asked_at``; ``waited_hours``; ``topic``: what she asks about, as the log says; ``p_purchase``: the
    chance that she buys within the shortest horizon; ``value``: what she is expected to bring within a year; ``need``: what she probably
    wants to know, from what befell her lately; ``show``: what the person who answers should see; ``saved``: money that an answer now saves
    against one an hour later (``whenbuy.decide.queue``, by the minute of work).

    Parameters
    ----------
    history
        The shop.
    outlook
        What is forecast of those who may ask.
    churn
        What bad service costs, where the log tells; an unanswered day is taken to do as much harm as being served badly.
    minutes
        How long an answer takes.

    Raises
    ------
    NotEnoughDataError
        When the log has no events of the kind enquiry.
    """
    moment = int(outlook.keys.cutoff.max())
    log = history.cut(moment).log
    if not log.count("enquiry"):
        raise NotEnoughDataError(
            "The log has no event of the kind enquiry.", "A service queue is made of enquiries.",
            "Send them along as they come, with a column topic where you have it.",
        )  # fmt: skip
    asked, rows = _open(log, outlook, moment)
    waited = (moment - log.time[rows]) / (DAY / _DAY_HOURS)
    frame = outlook.take(asked).frame()
    value = frame["clv"].fill_null(0.0).to_numpy()
    worth = value if value.any() else frame["expected_orders"].to_numpy()
    order = queue(pl.Series(np.arange(len(rows))), worth, np.full(len(rows), _leaves(churn)), waited, np.full(len(rows), minutes))
    near = min(outlook.horizons)
    told = [_told(log, int(row), moment) for row in rows]
    made = pl.DataFrame(
        {
            "user_id": frame["user_id"], "asked_at": instants(log.time[rows]), "waited_hours": waited,
            "topic": [_name(log, "topic", int(row)).strip() or None for row in rows],
            "p_purchase": frame[f"p_purchase_{near:g}d"], "value": worth, "need": [need for need, _ in told],
            "show": [show for _, show in told],
        },
        schema_overrides={"topic": pl.String, "need": pl.String, "show": pl.String},
    )  # fmt: skip
    return made[order["enquiry"].to_list()].with_columns(saved=order["saved_per_hour"])


def _open(log: EventLog, outlook: Outlook, moment: int) -> tuple[Ints, Ints]:
    """Return who waits for an answer, as rows of the outlook, and her last enquiry, as a row of the log (n each)."""
    asked, rows = [], []
    answered = log.code(ANSWERED) if ANSWERED in log.kinds else -1
    for place, code in enumerate(outlook.keys.code.tolist()):
        if code < 0:
            continue
        own = slice(int(log.offsets[code]), int(log.offsets[code + 1]))
        mine = np.flatnonzero(log.kind[own] == log.code("enquiry")) + own.start
        if not len(mine) or moment - log.time[mine[-1]] > OPEN_DAYS * DAY:
            continue
        if answered >= 0 and (log.kind[mine[-1] : own.stop] == answered).any():
            continue
        asked.append(place)
        rows.append(int(mine[-1]))
    return np.array(asked, np.int64), np.array(rows, np.int64)


def _leaves(churn: Churn | None) -> float:
    """Return P(she leaves within an hour of waiting)."""
    if churn is None or "service" not in churn.trails.causes:
        return LEAVES
    harm = max(float(churn.law.harm[churn.trails.causes.index("service")]), 0.0)
    return float(-np.expm1(-harm / _DAY_HOURS))


def _told(log: EventLog, row: int, moment: int) -> tuple[str, str]:
    """Return what somebody who asks probably needs, and what to show whoever answers."""
    user = int(np.searchsorted(log.offsets, row, side="right")) - 1
    own = slice(int(log.offsets[user]), int(log.offsets[user + 1]))
    lately = np.flatnonzero(log.time[own] >= moment - _LATELY_DAYS * DAY) + own.start
    troubles = [place for place in lately if log.kinds[log.kind[place]] in _TROUBLES]
    need = _NEEDS[log.kinds[log.kind[troubles[-1]]]] if troubles else ""
    shown = [f"{log.kinds[log.kind[place]].replace('_', ' ')} on {_day(log, int(place))}" for place in troubles[::-1][:3]]
    bought = np.flatnonzero(log.kind[own] == log.code("purchase")) + own.start
    if len(bought):
        lines = bought[log.time[bought] == log.time[bought[-1]]]
        heads = int((log.columns[ORDERS].values[bought] == 1).sum()) if ORDERS in log.columns else len(bought)
        shown.append(
            f"last order {_name(log, 'order_id', int(lines[0]))}on {_day(log, int(lines[0]))}: {_names(log, lines)} ({heads} orders in all)"
        )
        need = need or ("about her last order" if moment - log.time[lines[0]] < _LATELY_DAYS * DAY else "")
    looked = np.flatnonzero(log.kind[own] == log.code("view")) + own.start
    if len(looked) and (not len(bought) or log.time[looked[-1]] > log.time[bought[-1]]):
        shown.append(f"looked at {_names(log, looked[-3:])} on {_day(log, int(looked[-1]))}")
        need = need or "help with what she is looking at"
    return need, "; ".join(shown)


def _day(log: EventLog, row: int) -> str:
    return str(instants(log.time[row : row + 1])[0])[:10]


def _name(log: EventLog, column: str, row: int) -> str:
    held = log.columns.get(column)
    if held is None or held.dictionary is None or held.values[row] < 0:
        return ""
    return f"{held.dictionary.names(held.values[row : row + 1].astype(np.int32))[0]} "


def _names(log: EventLog, rows: Ints) -> str:
    found = [_name(log, "item_id", int(row)).strip() or _name(log, "category", int(row)).strip() for row in rows]
    return ", ".join(dict.fromkeys(name for name in found if name)) or "something"
