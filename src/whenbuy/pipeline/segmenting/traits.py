"""Traits: what is measured of each customer to divide and to describe them, and how it is said in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Codes, Floats
from whenbuy.core.examples import Table
from whenbuy.core.log import EventLog
from whenbuy.features import Count, Feature, Features, Frequency, Gaps, Orders, Over, Rate, Recency, Share, Sum, Tenure

CLEAR: Final = 0.12
"""A trait sets a segment apart where its customers' mean rank lies so far from the middle of everybody's (.5)."""
SURE: Final = 3.0
"""And so many standard errors of a mean rank."""
MOST: Final = 4
"""So many traits are said of one segment."""
_HALF: Final = 0.5


@dataclass(frozen=True, slots=True)
class Trait:
    """One thing by which people differ.

    Parameters
    ----------
    feature
        What measures it.
    much, little
        What is said of those who have much of it, and little; nothing is said where it is empty.
    short_much, short_little
        The same as part of a name.
    """

    feature: str
    much: str
    little: str
    short_much: str = ""
    short_little: str = ""


TRAITS: Final = (
    Trait("orders_84d", "buys often", "buys rarely", "frequent", "seldom"),
    Trait("recency_days", "has not bought for long", "bought lately", "long away", "recent"),
    Trait("mean_amount", "large baskets", "small baskets", "large baskets", "small baskets"),
    Trait("view_count_84d", "looks around a lot", "looks around little", "many visits", "few visits"),
    Trait("tenure_days", "a customer for long", "a customer for a short time", "long-standing", "newer"),
    Trait("uneven", "at uneven intervals", "at even intervals"),
    Trait("morning", "buys in the morning", ""),
    Trait("afternoon", "buys in the afternoon", ""),
    Trait("evening", "buys in the evening", ""),
    Trait("night", "buys at night", ""),
    Trait("weekend", "at weekends", "on working days"),
    Trait("redeemed_count_365d", "uses offers", ""),
)
"""All traits, in the order in which equals are said."""
_PARTS: Final = ("night", "morning", "afternoon", "evening")
_DIVIDES: Final = ("recency_days", "orders_84d", "orders_365d", "mean_amount", "view_count_84d")


def spec(log: EventLog) -> Features:
    """Return the features that the traits of a log are measured by."""
    kinds, amounts = log.seen(), "amount" in log.columns
    found: list[Feature] = [
        Recency("purchase", name="recency_days"), Tenure("purchase", name="tenure_days"), Frequency(), Orders("84d"), Orders("365d"),
        Gaps("mean", name="gap_mean_days"), Gaps("deviation", name="gap_deviation_days"),
        Over("gap_deviation_days", "gap_mean_days", name="uneven"),
    ]  # fmt: skip
    if amounts:
        found += [Rate(Sum("amount"), Orders(), name="mean_amount"), Sum("amount", window="365d", name="spend_365d")]
    found += [Count(kind, window) for kind, window in (("view", "84d"), ("redeemed", "365d")) if kind in kinds]
    found += [Share(("hour", part), name=part) for part in _PARTS]
    found += [Share(("weekday", day), name=day) for day in ("saturday", "sunday")]
    return Features(tuple(found))


def divided_by(table: Table) -> tuple[str, ...]:
    """Return the features of a table by which clusters are made: not those of habit, which say how somebody is, not how much."""
    return tuple(name for name in _DIVIDES if name in table.names)


def ranks(table: Table) -> dict[str, Floats]:
    """Return the rank of each row by each trait (n each), from 0 to 1, ties in the middle; NaN where it is not known."""
    found = {}
    for trait in TRAITS:
        if (values := _measured(table, trait.feature)) is not None:
            found[trait.feature] = _ranks(values)
    return found


def apart(rank: Mapping[str, Floats], rows: Bools) -> list[tuple[Trait, bool]]:
    """Return the traits that set some rows apart from all, the clearest first, each with whether they have much of it."""
    found = []
    for place, trait in enumerate(TRAITS):
        values = rank[trait.feature][rows] if trait.feature in rank else np.empty(0)
        values = values[np.isfinite(values)]
        if len(values) < max(2, _HALF * rows.sum()):
            continue
        far = float(values.mean()) - _HALF
        if abs(far) >= max(CLEAR, SURE / np.sqrt(12 * len(values))) and (trait.much if far > 0 else trait.little):
            found.append((-round(abs(far), 9), place, trait, far > 0))
    return [(trait, much) for _, _, trait, much in sorted(found, key=lambda one: one[:2])]


def described(rank: Mapping[str, Floats], table: Table, code: Codes, groups: int) -> list[tuple[str, str]]:
    """Return a short name and a description of each group (k), from what sets it apart; the same rows give the same words."""
    found = []
    for group in range(groups):
        rows = code == group
        if not rows.any():
            found.append(("nobody now", "nobody belongs here now"))
            continue
        said = apart(rank, rows)
        words = [trait.much if much else trait.little for trait, much in said][:MOST]
        short = [each for trait, much in said if (each := trait.short_much if much else trait.short_little)][:3]
        if np.isnan(table.column("recency_days")[rows]).mean() > _HALF:
            words, short = ["most have not bought yet", *(word for word in words if word.startswith("looks"))], ["no order yet"]
        found.append((", ".join(short) or "like everybody", ", ".join(words) or "nothing sets them apart"))
    return found


def unique(names: Sequence[str]) -> list[str]:
    """Return names that differ: one that comes again gets a number."""
    found: list[str] = []
    for name in names:
        number, tried = 1, name
        while tried in found:
            number += 1
            tried = f"{name} ({number})"
        found.append(tried)
    return found


def _measured(table: Table, name: str) -> Floats | None:
    if name == "weekend":
        return table.column("saturday") + table.column("sunday")
    return table.column(name) if name in table.names else None


def _ranks(values: Floats) -> Floats:
    """Return mid-ranks over what is known (n), as a share."""
    found = np.full(len(values), np.nan)
    known = np.flatnonzero(np.isfinite(values))
    if len(known):
        ordered = np.sort(values[known])
        low, high = (np.searchsorted(ordered, values[known], side=side) for side in ("left", "right"))
        found[known] = (low + high) / (2 * len(known))
    return found
