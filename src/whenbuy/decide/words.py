"""Why each customer gets what she gets, and what the reader of a plan should know: in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.decision import Decisions

if TYPE_CHECKING:
    from whenbuy.decide.campaign import Campaign
    from whenbuy.decide.guards import Bounds, Reachable
    from whenbuy.decide.knapsack import Choice

QUADRANTS: Final = ("persuadable", "sure thing", "lost cause", "sleeping dog")
"""Where a customer stands. Persuadable: some offer earns more than it costs. Sleeping dog: every offer would lower her orders. Of the
others, who
buys anyway with a chance of one half or more is a sure thing, the rest are lost causes."""
PERSUADABLE, SURE, LOST, SLEEPING = range(4)

WHY: Final = (
    "best", "lot", "lot, nothing", "held out", "no consent", "rests", "dearer", *(f"{name}, nothing" for name in QUADRANTS),
)  # fmt: skip
"""Why a customer gets what she gets, in short."""
BEST, LOT, LOT_NOTHING, HELD, NO_CONSENT, RESTS, DEARER, FIRST_QUADRANT = range(8)

_NOTHING: Final = (
    "", "", "Drawn by lot to get nothing: others get an offer by lot, and both are compared.",
    "Held out by lot: what the plan earns is measured against those who get nothing.",
    "Has agreed to no channel on which an offer may be sent.",
    "No message is allowed on any day of the plan: contacted too lately, or no offer runs.",
    "An offer would earn something, but the budget earns more with others.",
    "An offer would earn something.",
    "Buys anyway: what an offer costs is more than it adds.",
    "Hardly buys, and no offer changes that enough to pay for itself.",
    "Every offer would lower her orders.",
)  # fmt: skip


def reasons(pair: Ints, worth: Floats, cost: Floats, extra: Floats, why: Ints) -> pl.Series:
    """Return why each customer gets what she gets, in a sentence (n).

    Parameters
    ----------
    pair
        What is sent (n), -1 for nothing.
    worth, cost
        What the additional orders earn, and what is spent (n each).
    extra
        Orders that would not have come otherwise (n).
    why
        A position in ``WHY`` (n).
    """
    table = pl.DataFrame({"why": why, "sent": pair >= 0, "worth": worth, "cost": cost, "extra": extra})
    number = pl.format("{}", pl.col("extra").round(3))
    money = (pl.format("{}", pl.col(name).round(2)) for name in ("worth", "cost"))
    adds = pl.format("Adds {} orders worth {}, for {}.", number, *money)
    lot = pl.format("Drawn by lot, to learn from. {}", adds)
    nothing = pl.Series(list(_NOTHING), dtype=pl.String).gather(table["why"])
    said = pl.when("sent").then(pl.when(pl.col("why") == LOT).then(lot).otherwise(adds)).otherwise(nothing)
    return table.select(said.alias("reason"))["reason"]


def notes(
    campaign: Campaign, decisions: Decisions, reachable: Reachable, choice: Choice, low: Bounds, quadrant: Ints, lot_cost: float
) -> tuple[str, ...]:
    """Return what the reader of a plan should know."""
    found = [_empty(campaign, decisions, reachable, quadrant)] if not decisions.sent.any() else [low.words]
    if campaign.ended:
        found.append(f"Not sent, for they do not run on any day of the plan: {', '.join(campaign.ended)}.")
    silent = [one.name for place, one in enumerate(campaign.channels) if not reachable.consent[:, place].any()]
    if silent:
        found.append(f"Nobody has agreed to {', '.join(silent)}: nothing is sent there.")
    if lot_cost > 0:
        found.append(f"{lot_cost:,.2f} of the cost is spent on those who are drawn by lot.")
    if choice.price_of_money > 0:
        found.append(f"One more unit of budget would earn {choice.price_of_money:,.2f}.")
    if not decisions.held_out.any() and decisions.sent.any():
        found.append("Nobody is held out: what this plan earns cannot be measured.")
    return tuple(each for each in found if each)


def _empty(campaign: Campaign, decisions: Decisions, reachable: Reachable, quadrant: Ints) -> str:
    """Return why nobody is contacted."""
    if not reachable.consent.any():
        return "Nobody is contacted: no customer has agreed to any channel, or nothing says so."
    if campaign.budget.money == 0 or campaign.budget.contacts == 0:
        return "Nobody is contacted: the budget is 0."
    if campaign.guards.cap == 0:
        return "Nobody is contacted: the cap of contacts is 0."
    if decisions.held_out.all():
        return "Nobody is contacted: everybody is held out."
    count = np.bincount(quadrant, minlength=4)
    if not count[PERSUADABLE]:
        return (
            f"Nobody is contacted: no offer earns what it costs at anybody. {count[SURE]:,} customers buy anyway, {count[LOST]:,} hardly "
            f"buy, and with {count[SLEEPING]:,} every offer would lower the orders."
        )
    return "Nobody is contacted: what would earn something does not fit into the budget, or may not be sent."
