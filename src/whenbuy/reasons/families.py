"""Families of features, as a merchant thinks of them, and what each says of a customer in words and in people's units."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from whenbuy.reasons.mixture import Part

TITLES: Final[Mapping[str, str]] = {
    "gap": "time since the last order",
    "often": "how often she orders",
    "weekday": "her days and times",
    "money": "what she spends",
    "things": "what she buys",
    "browsing": "looking around lately",
    "promotions": "promotions and messages",
    "service": "returns, reviews and questions",
    "known": "how long she is known",
    "season": "the date",
    "other": "other things she did",
    "sequence": "her latest events in their order",
    "unknown": "nothing is known of her",
}
"""What each family is called, in the order in which they are shown."""

NOUNS: Final[Mapping[str, str]] = {
    "view": "views", "click": "clicks", "search": "searches", "favourite": "favourites", "cart": "things put into the cart",
    "purchase": "orders", "refund": "returns", "review": "reviews", "shown": "messages shown", "opened": "messages opened",
    "clicked": "messages clicked", "redeemed": "offers redeemed", "subscribe": "subscriptions", "unsubscribe": "cancelled subscriptions",
    "enquiry": "questions",
}  # fmt: skip
"""What several events of a kind are called; other kinds keep their name."""

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ALIKE: Final = 0.15
"""Numbers that differ by less than this share are said to be alike."""
_OFTEN_ENOUGH: Final = 0.35
"""From this share of her orders on a weekday counts as hers."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A feature by which a person is told about a family.

    Parameters
    ----------
    role
        What it says: ``recency``, ``gap``, ``count``, ``amount``, ``tenure``, ``weekday``, ``number``.
    column
        The feature.
    of
        What is counted: a kind of event; the name of a number.
    days
        The length of its window, where it has one.
    """

    role: str
    column: str
    of: str = ""
    days: float = math.nan


@dataclass(frozen=True, slots=True)
class Family:
    """Features that a merchant thinks of together.

    Parameters
    ----------
    part
        What belongs to it; its name is one of ``TITLES``.
    shown
        The features by which it is told, the best ones first.
    """

    part: Part
    shown: tuple[Shown, ...] = ()

    @property
    def title(self) -> str:
        """What it is called."""
        return TITLES[self.part.name]

    def all(self, role: str) -> tuple[Shown, ...]:
        """Return the features of one role."""
        return tuple(one for one in self.shown if one.role == role)


@dataclass(frozen=True, slots=True)
class Said:
    """What a family says of one customer.

    Parameters
    ----------
    state
        How things stand, in a few words.
    detail
        The numbers behind it, in people's units; empty where there are none.
    feature
        The feature that is quoted; empty where there is none.
    now, usual
        Its value, and the typical customers' median; NaN for none.
    """

    state: str
    detail: str = ""
    feature: str = ""
    now: float = math.nan
    usual: float = math.nan


@dataclass(frozen=True, slots=True)
class Facts:
    """What words are made of: a customer's features, what they usually are, and the weekday (0: Monday) on which they were read."""

    now: Mapping[str, float]
    usual: Mapping[str, float]
    weekday: int


def say(family: Family, facts: Facts) -> Said:
    """Return what a family says of a customer: it depends on her values alone, not on what they are worth."""
    teller = _TELLERS.get(family.part.name)
    return (teller(family, facts) if teller else None) or _told(family, facts) or Said(family.title)


def _gap(family: Family, facts: Facts) -> Said | None:
    recency, gap = (_first(family.all(role), facts) for role in ("recency", "gap"))
    if recency is None:
        return None
    silence, usual = facts.now[recency.column], facts.usual[recency.column]
    if math.isnan(silence):
        return Said("no order yet", "", recency.column, silence, usual)
    every = math.nan if gap is None else facts.now[gap.column]
    if not every > 0:
        return Said("only one order so far", f"{span(silence)} ago", recency.column, silence, usual)
    between = span(every).removesuffix(" days") if span(silence).endswith(" days") else span(every)
    return Said(_waiting(silence / every), f"last order {span(silence)} ago, usually every {between}", recency.column, silence, usual)


def _waiting(gaps: float) -> str:
    """Return how long a silence is, counted in usual gaps."""
    for bound, words in (
        (0.25, "ordered just now"), (0.75, "usual gap not over yet"), (1.0, "usual gap nearly over"), (1.5, "usual gap just over"),
        (3.0, "silent for longer than usual"),
    ):  # fmt: skip
        if gaps < bound:
            return words
    return f"silent for {gaps:,.0f} usual gaps"


def _often(family: Family, facts: Facts) -> Said | None:
    counts = family.all("count")
    if not counts:
        return None
    count = counts[0]
    now, usual = facts.now[count.column], facts.usual[count.column]
    state = ("orders less often than most", "orders as often as most", "orders more often than most")[1 + compare(now, usual)]
    lately = min((one for one in counts if facts.usual[one.column] >= 1), key=lambda one: one.days, default=count)
    recent, typical = facts.now[lately.column], facts.usual[lately.column]
    if lately is count or compare(recent, typical) == compare(now, usual):
        return Said(state, _counted(count, now, usual), count.column, now, usual)
    state += (", less lately", ", lately like most", ", more lately")[1 + compare(recent, typical)]
    return Said(state, f"{_counted(count, now, usual)}; {_counted(lately, recent, typical)}", count.column, now, usual)


def _weekday(family: Family, facts: Facts) -> Said | None:
    columns = family.all("weekday")
    rates = [facts.now[one.column] for one in columns]
    if len(rates) != len(WEEKDAYS):
        return None
    if not sum(rates) > 0:
        return Said("no weekday of hers known")
    best = max(range(len(rates)), key=rates.__getitem__)
    share, name, days = rates[best] / sum(rates), WEEKDAYS[(facts.weekday + best) % 7], best
    feature, usual = columns[best].column, facts.usual[columns[best].column]
    if share < _OFTEN_ENOUGH:
        return Said("orders on any weekday", "", feature, rates[best], usual)
    when = ("today", "tomorrow")[days] if days < 2 else f"in {days} days"
    return Said(
        f"orders mostly on {name}s", f"{100 * share:.0f} % of her recent orders; the next one is {when}", feature, rates[best], usual
    )


def _money(family: Family, facts: Facts) -> Said | None:
    amount = _first(family.all("amount"), facts)
    if amount is None:
        return None
    if math.isnan(facts.now[amount.column]):
        return Said("no amount of hers known", "", amount.column, math.nan, facts.usual[amount.column])
    now, usual = facts.now[amount.column], facts.usual[amount.column]
    words = ("spends less per order than most", "spends as much per order as most", "spends more per order than most")
    return Said(words[1 + compare(now, usual)], f"{number(now)} an order, typical {number(usual)}", amount.column, now, usual)


def _known(family: Family, facts: Facts) -> Said | None:
    tenure = _first(family.all("tenure"), facts)
    if tenure is None or math.isnan(facts.now[tenure.column]):
        return None
    now, usual = facts.now[tenure.column], facts.usual[tenure.column]
    words = ("known for less long than most", "known for as long as most", "known for longer than most")[1 + compare(now, usual)]
    return Said(words, f"for {span(now)}, typical {span(usual)}", tenure.column, now, usual)


def _told(family: Family, facts: Facts) -> Said | None:
    """Return what is most unusual among the counts and numbers of a family."""
    found = [one for one in (*family.all("count"), *family.all("number")) if not math.isnan(facts.now[one.column])]
    if not found:
        return None
    one = max(found, key=lambda each: _strange(facts.now[each.column], facts.usual[each.column]))
    now, usual = facts.now[one.column], facts.usual[one.column]
    if one.role == "number":
        words = ("{} lower than most", "{} as usual", "{} higher than most")[1 + compare(now, usual)]
        return Said(words.format(one.of), f"{number(now)}, typical {number(usual)}", one.column, now, usual)
    noun = NOUNS.get(one.of, f"events “{one.of}”")
    words = (f"fewer {noun} than most", f"as many {noun} as most", f"more {noun} than most")[1 + compare(now, usual)]
    words = f"no {noun} lately" if now == 0 else words
    return Said(words, _counted(one, now, usual), one.column, now, usual)


def _counted(one: Shown, now: float, usual: float) -> str:
    noun = f" {NOUNS.get(one.of, one.of)}" if one.of == "purchase" else ""
    noun = noun.removesuffix("s") if now == 1 else noun
    within = "" if math.isnan(one.days) else f" in {one.days:g} days"
    return f"{number(now)}{noun}{within}, typical {number(usual)}"


def _first(found: Sequence[Shown], facts: Facts) -> Shown | None:
    """Return the first feature that is known of her; the first one where none is."""
    known = [one for one in found if not math.isnan(facts.now[one.column])]
    return next(iter([*known, *found]), None)


def _strange(now: float, usual: float) -> float:
    return abs(now - usual) / (1 + abs(usual)) if math.isfinite(usual) else 0.0


def compare(now: float, usual: float) -> int:
    """Return -1, 0 or 1: whether a number is smaller than usual, alike, or greater."""
    if math.isnan(now) or math.isnan(usual) or abs(now - usual) <= _ALIKE * max(abs(usual), 1e-9):
        return 0
    return 1 if now > usual else -1


def span(days: float) -> str:
    """Return a length of time as people say it."""
    if math.isnan(days):
        return "unknown"
    if days < 0.95:
        hours = round(24 * days)
        return "an hour" if hours == 1 else f"{hours} hours" if hours else "a moment"
    shown = f"{days:.1f}".removesuffix(".0") if days < 9.95 else f"{days:,.0f}"
    return "1 day" if shown == "1" else f"{shown} days"


def number(value: float) -> str:
    """Return a number with no more digits than a person reads."""
    if math.isnan(value):
        return "unknown"
    size = abs(value)
    return f"{value:,.0f}" if size >= 99.95 else f"{value:.3g}"


_TELLERS: Final[Mapping[str, Callable[[Family, Facts], Said | None]]] = {
    "gap": _gap, "often": _often, "weekday": _weekday, "money": _money, "known": _known,
}  # fmt: skip
