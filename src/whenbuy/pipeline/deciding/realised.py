"""What came of a plan at each customer: orders, amounts and costs, as the log tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Floats, Ints
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.pipeline.deciding.kept import Kept


def horizon_of(plan: Kept) -> float:
    """Return over how many days from a plan on its orders are counted: as long as its effects were, after its last day."""
    return float(plan.about["horizon_days"]) + float(plan.about["days"])


def keys_of(history: History, plan: Kept) -> Keys:
    """Return the customers of a plan, as of its instant (n)."""
    return history.keys(plan.decisions["user_id"].to_list(), int(plan.about["made_at"]))


def orders(history: History, keys: Keys, days: float) -> Floats:
    """Return how many orders each customer placed (n)."""
    return history.within(keys, days).orders("purchase").astype(float)


def amounts(history: History, keys: Keys, days: float) -> Floats:
    """Return the amount of what each customer bought (n)."""
    return history.within(keys, days).total("amount", "purchase")


def costs(history: History, rows: pl.DataFrame, about: Mapping[str, Any], days: float) -> tuple[Floats, str]:
    """Return what was spent on each customer (n), and how that is known.

    A contact costs what its channel says. A redemption costs what the offer says, its discount being taken from the mean order of those
    who were sent something. Where the log tells of no redemptions the costs are those that the plan expected.
    """
    sent = rows["offer_id"].is_not_null().to_numpy()
    log = history.log
    if "redeemed" not in log.kinds or "offer_id" not in log.columns:
        return rows["cost"].to_numpy(), "Redemptions are not in the log: the costs are those that the plan expected."
    contact = {name: float(one["cost"]) for name, one in about["channels"].items()}
    spent = np.array([contact.get(name, 0.0) for name in rows["channel"].fill_null("").to_list()])
    owner, offer = _redemptions(history, rows["user_id"], int(about["made_at"]), days)
    used = np.flatnonzero((offer == rows["offer_id"].gather(owner)).fill_null(False).to_numpy())
    mean = _mean_order(history, rows.filter(pl.Series(sent)), int(about["made_at"]), days)
    each = {name: float(one["cost"]) + float(one["discount"]) * mean for name, one in about["offers"].items()}
    np.add.at(spent, owner[used], [each[name] for name in offer.gather(used).to_list()])
    return spent, f"{len(used):,} redemptions were seen."


def _redemptions(history: History, users: pl.Series, made_at: int, days: float) -> tuple[Ints, pl.Series]:
    """Return who redeemed something within so many days of an instant, by position, and which offer (m each)."""
    log = history.log
    codes = log.users.codes(users)
    place = np.full(len(log.users) + 1, -1, np.int64)
    place[codes[codes >= 0]] = np.flatnonzero(codes >= 0)
    events = np.flatnonzero((log.kind == log.code("redeemed")) & (log.time >= made_at) & (log.time < made_at + round(days * DAY)))
    owner = place[np.searchsorted(log.offsets, events, side="right") - 1]
    events, owner = events[owner >= 0], owner[owner >= 0]
    column = log.columns["offer_id"]
    assert column.dictionary is not None
    return owner, column.dictionary.names(column.values[events].astype(np.int32))


def _mean_order(history: History, rows: pl.DataFrame, made_at: int, days: float) -> float:
    keys = history.keys(rows["user_id"].to_list(), made_at)
    placed = orders(history, keys, days).sum()
    return float(amounts(history, keys, days).sum() / placed) if placed else 0.0
