"""What a plan has earned: those who were sent something against those held out, once the time to buy has passed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Bools, Floats
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.evaluate.adjusted import Difference, difference
from whenbuy.pipeline.deciding.kept import AUDIENCE, Kept
from whenbuy.pipeline.deciding.realised import amounts, costs, horizon_of, keys_of, orders

LEAST: Final = 10
"""Customers on either side without whom nothing is said."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a plan has earned.

    Parameters
    ----------
    id
        The plan.
    horizon_days
        Over how many days from the plan on orders were counted.
    table
        One row per measure: offer (null: all together), measure, sent, held_out (customers of each side), mean_sent, mean_held_out,
        difference, low, high (its 95 % interval, per customer).
    profit, low, high
        What all who were sent something brought beyond those held out, after costs, with its 95 % interval.
    cost
        What was spent.
    promised
        What the plan expected to earn with them.
    pulled_forward
        Orders that came early and were missing later.
    notes
        What the reader should know, in sentences.
    """

    id: str
    horizon_days: float
    table: pl.DataFrame
    profit: float
    low: float
    high: float
    cost: float
    promised: float
    pulled_forward: float
    notes: tuple[str, ...]


def outcome(history: History, plan: Kept, horizon_days: float | None = None) -> Outcome:
    """Return what a plan has earned.

    Compared are those who were sent something with those whom the plan would have sent something and who were held out by lot; in a
    pilot, those who drew an offer with those who drew nothing. What both did in as many days before the plan explains part of what they did
    after it (see ``difference``). Orders are counted over the short window, in which the offers are valid, and over the long one: what came
    early is missing later, so that only the long one counts.

    Parameters
    ----------
    history
        The shop, as it is known now.
    plan
        The plan.
    horizon_days
        How long orders are counted; as long as the plan's effects were, after its last day, by default.

    Raises
    ------
    ImmatureError
        When the time has not passed yet.
    NotEnoughDataError
        When there is nobody to compare with.
    """
    rows, about = plan.decisions, plan.about
    days = horizon_of(plan) if horizon_days is None else horizon_days
    keys = keys_of(history, plan)
    history.within(keys, days).require_ripe(f"The result of the plan {plan.id}")
    sent, held = _sides(rows)
    if min(sent.sum(), held.sum()) < LEAST:
        raise NotEnoughDataError(
            f"The plan {plan.id} sent something to {sent.sum():,} customers, and {held.sum():,} like them were held out.",
            f"At least {LEAST} on either side are needed to say what it earned.", "Hold out more (--hold-out 10%), or plan for more.",
        )  # fmt: skip
    short = min(days, float(about["days"]) + max(float(one["valid_days"]) for one in about["offers"].values()))
    measured = {
        f"orders in {short:g} days": orders(history, keys, short), f"orders in {days:g} days": orders(history, keys, days),
        f"amount in {days:g} days": amounts(history, keys, days),
    }  # fmt: skip
    earlier = before(history, keys, days)
    offers = [None, *sorted(set(rows["offer_id"].drop_nulls().to_list()))]
    found = {(offer, name): _compared(rows, sent, held, offer, values, earlier) for offer in offers for name, values in measured.items()}
    table = _table({key: one for key, one in found.items() if one is not None})
    early, late, amount = (found[None, name] for name in measured)
    assert early is not None and late is not None and amount is not None
    spent, how = costs(history, rows, about, days)
    cost = float(spent[sent].sum())
    n, margin = int(sent.sum()), float(about["margin"])
    values = [n * margin * each - cost for each in (amount.value, amount.low, amount.high)]
    pulled = n * max(0.0, early.value - max(late.value, 0.0))
    notes = [how, _verdict(values)]
    if about["policy"] == AUDIENCE:
        notes.append("What was paid for impressions is not in the log: each customer counts with what the plan expected to pay once.")
    if pulled > 0:
        notes.append(f"{pulled:,.1f} orders came early and were missing by day {days:g}.")
    promised = float(rows.filter(pl.Series(sent))["expected_gain"].sum())
    profit, low, high = values
    return Outcome(plan.id, days, table, profit, low, high, cost, promised, pulled, tuple(notes))


def _sides(rows: pl.DataFrame) -> tuple[Bools, Bools]:
    """Return who was sent something by the plan, and who like them was held out; in a pilot, who drew an offer and who drew nothing."""
    offered, drawn = rows["offer_id"].is_not_null().to_numpy(), rows["drawn"].to_numpy()
    held = rows["held_out"].to_numpy() & rows["intended_offer"].is_not_null().to_numpy()
    if (offered & ~drawn).any():
        return offered & ~drawn, held
    return offered & drawn, drawn & ~offered


def _compared(rows: pl.DataFrame, sent: Bools, held: Bools, offer: str | None, values: Floats, before: Floats) -> Difference | None:
    """Return the difference of one measure, for one offer or all; none where a side is too small."""
    if offer is not None:
        sent = sent & (rows["offer_id"] == offer).fill_null(False).to_numpy()
        if rows["intended_offer"].is_not_null().to_numpy()[held].any():  # held out by a plan: those who would have got this offer
            held = held & (rows["intended_offer"] == offer).fill_null(False).to_numpy()
    if min(sent.sum(), held.sum()) < LEAST:
        return None
    both = sent | held
    return difference(values[both], sent[both], before[both])


def before(history: History, keys: Keys, days: float) -> Floats:
    """Return the orders and the amount of as many days before the plan (n x 2)."""
    start = int(keys.cutoff.min()) - round(days * DAY)
    then = Keys(keys.entity, keys.code, np.full(len(keys), start, np.int64), keys.names)
    return np.stack([orders(history, then, days), amounts(history, then, days)], axis=1)


def _table(found: dict[tuple[str | None, str], Difference]) -> pl.DataFrame:
    rows = [
        (offer, name, one.treated, one.control, one.mean_treated, one.mean_control, one.value, one.low, one.high)
        for (offer, name), one in found.items()
    ]
    names = ["offer", "measure", "sent", "held_out", "mean_sent", "mean_held_out", "difference", "low", "high"]
    kinds = [pl.String, pl.String, pl.Int64, pl.Int64, *[pl.Float64] * 5]
    return pl.DataFrame(rows, dict(zip(names, kinds, strict=True)), orient="row")


def _verdict(profit: list[float]) -> str:
    value, low, high = profit
    if low > 0:
        return "It earned more than doing nothing: the whole interval lies above 0."
    if high < 0:
        return "It earned less than doing nothing: the whole interval lies below 0."
    return f"Whether it earned anything is not certain: the interval holds 0 ({low:,.0f} to {high:,.0f}, around {value:,.0f})."
