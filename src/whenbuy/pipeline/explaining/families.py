"""Which features a merchant thinks of together: read off how they were declared, whatever the shop's data are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final

from whenbuy.core.arrays import DAY
from whenbuy.features import (
    Calendar,
    Context,
    Count,
    Decayed,
    Feature,
    Features,
    Frequency,
    Gaps,
    Holiday,
    Offers,
    Orders,
    Over,
    Payday,
    Rate,
    Recency,
    Share,
    Sum,
    Tenure,
    Weekdays,
)  # fmt: skip
from whenbuy.features.builder import window_length
from whenbuy.reasons.families import TITLES, Family, Shown
from whenbuy.reasons.mixture import Part

BROWSING: Final = ("view", "click", "search", "favourite", "cart")
"""Kinds of event by which somebody looks around."""
_KINDS: Final = (
    ("browsing", BROWSING),
    ("promotions", ("shown", "opened", "clicked", "redeemed")),
    ("service", ("refund", "review", "subscribe", "unsubscribe", "enquiry")),
)
_COLUMNS: Final = {"dwell_s": "browsing", "rating": "service"}
_SEASON_DAYS: Final = 84.0
_LOCAL: Final = ("weekday", "hour")


@dataclass(frozen=True, slots=True)
class _Traits:
    """What a feature asks of the log, with what it is made of."""

    kinds: frozenset[str]
    columns: frozenset[str]
    filters: frozenset[str]


def families(features: Features, blocks: Sequence[str] = ()) -> tuple[Family, ...]:
    """Return the families of a spec's features, and one of the blocks that the model reads; each feature belongs to one of them."""
    looks = any(_traits(feature).kinds & set(BROWSING) for feature in features.spec)
    told = {feature.name: feature for feature in features.spec}
    columns: dict[str, list[str]] = {}
    shown: dict[str, list[Shown]] = {}
    for feature in features.spec:
        name = family_of(feature, told, looks=looks)
        columns.setdefault(name, []).extend(getattr(feature, "columns", (feature.name,)))
        shown.setdefault(name, []).extend(_shown(name, feature))
    found = [Family(Part(name, tuple(columns[name])), _ordered(shown[name])) for name in TITLES if name in columns]
    return (*found, Family(Part("sequence", (), tuple(blocks)))) if blocks else tuple(found)


def family_of(feature: Any, told: dict[str, Feature], *, looks: bool) -> str:
    """Return the name of the family of a feature.

    Parameters
    ----------
    feature
        The declared feature.
    told
        All features of the spec by name: one that is made of two others belongs where the first of them does.
    looks
        Whether the log tells of people who look around: then what any event says is said of that, else of orders.
    """
    if isinstance(feature, Over) and feature.top in told:
        return family_of(told[feature.top], told, looks=looks)
    traits = _traits(feature)
    return _of_the_day(feature, traits) or _of_kinds(traits) or _of_values(feature, traits) or _of_times(feature, looks=looks)


def _of_the_day(feature: object, traits: _Traits) -> str:
    if isinstance(feature, Calendar):
        return "weekday" if feature.part.startswith("weekday") else "season"
    if isinstance(feature, Payday | Holiday):
        return "season"
    if isinstance(feature, Offers):
        return "promotions"
    return "weekday" if isinstance(feature, Weekdays) or traits.filters & set(_LOCAL) else ""


def _of_kinds(traits: _Traits) -> str:
    for name, kinds in _KINDS:
        if traits.kinds & set(kinds):
            return name
    return "other" if traits.kinds - {"purchase"} else ""


def _of_values(feature: object, traits: _Traits) -> str:
    if traits.filters or isinstance(feature, Share | Context):
        return "things"
    special = [_COLUMNS[name] for name in sorted(traits.columns) if name in _COLUMNS]
    return special[0] if special else "money" if traits.columns else ""


def _of_times(feature: object, *, looks: bool) -> str:
    if isinstance(feature, Tenure):
        return "known"
    if isinstance(feature, Recency) or (isinstance(feature, Gaps) and feature.statistic != "number"):
        return "browsing" if looks and isinstance(feature, Recency) and feature.kind is None else "gap"
    if isinstance(feature, Count) and feature.kind is None:
        return "browsing" if looks else "often"
    return "often" if isinstance(feature, Orders | Count | Decayed | Frequency | Gaps | Rate) else "other"


def _traits(feature: object) -> _Traits:
    kinds, columns, filters = set(), set(), set()
    for name, value in _settings(feature):
        if name == "kind" and value is not None:
            kinds.add(value)
        elif name == "column" and value is not None:
            columns.add(value)
        elif name == "where" and value is not None:
            filters.add(value[0])
    return _Traits(frozenset(kinds), frozenset(columns), frozenset(filters))


def _settings(feature: object) -> Iterator[tuple[str, Any]]:
    """Yield the settings of a feature and of those that it is made of."""
    if not is_dataclass(feature) or isinstance(feature, type):
        return
    for field in fields(feature):
        value = getattr(feature, field.name)
        if is_dataclass(value):
            yield from _settings(value)
        else:
            yield field.name, value


def _shown(family: str, feature: Any) -> Iterator[Shown]:
    """Yield the features by which a person is told about a family."""
    if family == "gap":
        yield from _shown_gap(feature)
    elif family == "known" and isinstance(feature, Tenure):
        yield Shown("tenure", feature.name, feature.kind or "")
    elif family == "weekday" and isinstance(feature, Weekdays):
        yield from (Shown("weekday", name, "", getattr(feature.of, "halflife_days", 0.0)) for name in feature.columns)
    elif family == "money" and isinstance(feature, Rate) and isinstance(feature.top, Sum) and isinstance(feature.bottom, Orders):
        yield Shown("amount", feature.name, feature.top.column)
    elif isinstance(feature, Orders | Count) and feature.where is None:
        yield Shown("count", feature.name, getattr(feature, "kind", "purchase") or "events", _days(feature.window))
    elif family in ("things", "other") and not isinstance(feature, Recency | Context | Weekdays):
        yield Shown("number", feature.name, feature.name.replace("_", " "))


def _shown_gap(feature: Any) -> Iterator[Shown]:
    if isinstance(feature, Recency):
        yield Shown("recency", feature.name, feature.kind or "")
    elif isinstance(feature, Gaps) and feature.statistic == "mean":
        yield Shown("gap", feature.name, "day" if feature.once_a_day else "")


def _days(window: str | None) -> float:
    return math.nan if window is None else window_length(window) / DAY


def _ordered(shown: Sequence[Shown]) -> tuple[Shown, ...]:
    """Return the best ones first: what orders say, gaps between days, a window of about a season; weekdays of the longest memory alone."""
    longest = max((one.days for one in shown if one.role == "weekday"), default=0.0)
    kept = [one for one in shown if one.role != "weekday" or one.days == longest]
    return tuple(sorted(kept, key=_rank))


def _rank(one: Shown) -> float:
    if one.role == "count":
        return math.inf if math.isnan(one.days) else abs(math.log(one.days / _SEASON_DAYS))
    return 0.0 if one.of in ("purchase", "day", "amount") else 1.0 if one.role != "weekday" else 0.0
