"""A portrait: one customer in words, beside everybody else, from what was known before a moment."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from whenbuy.core.arrays import DAY, MISSING, Bools, Codes, Floats, Ints
from whenbuy.core.errors import NotFoundError
from whenbuy.core.history import History
from whenbuy.core.log import ORDERS, Column, EventLog
from whenbuy.core.outlook import Outlook
from whenbuy.core.segments import Segment
from whenbuy.features.local import PARTS, part_of
from whenbuy.reasons.families import span

MOST: Final = 5
"""So many interests are named."""
LIFT: Final = 1.5
"""What is an interest or a habit comes so many times as often with her as with everybody."""
_PULL: Final = 2.0
"""An interest is measured as if she had taken so many things more, as everybody does: one purchase makes no taste."""
_LEAST, _FEW = 2, 4
_RARE: Final = 0.05
"""A habit that everybody's habits bring about so seldom, or less, is one of her own."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """One customer in words.

    Parameters
    ----------
    user
        Her id.
    segment
        Where she belongs.
    tags
        Interests: what she takes more often than others, the clearest first.
    words
        What there is to say, by aspect: rhythm, spending, price, interests, channel, time, next.
    """

    user: str
    segment: Segment
    tags: tuple[str, ...]
    words: tuple[tuple[str, str], ...]

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"user_id": self.user, "segment": asdict(self.segment), "tags": list(self.tags), "words": dict(self.words)}


def portrait(history: History, user: str, segment: Segment, cutoff: int, outlook: Outlook | None = None) -> Portrait:
    """Return the portrait of one customer.

    Parameters
    ----------
    history
        The shop.
    user
        Who.
    segment
        Where she belongs.
    cutoff
        Only what was known before this instant counts.
    outlook
        What is forecast of her, where it is.

    Raises
    ------
    NotFoundError
        When the log does not know her by then.
    """
    log = history.cut(cutoff).log
    code = int(log.users.codes([user])[0])
    if code < 0 or log.offsets[code] == log.offsets[code + 1]:
        raise NotFoundError(
            f"Nothing is known of {user!r} by {history.clock.show(cutoff)}.", "A portrait needs her events.", "Check the id."
        )
    mine = np.zeros(len(log), bool)
    mine[log.offsets[code] : log.offsets[code + 1]] = True
    bought = log.kind == log.code("purchase")
    orders = bought & (log.columns[ORDERS].values == 1) if ORDERS in log.columns else bought
    tags = _interests(log, mine, bought if (bought & mine).any() else ~bought)
    said = (
        ("segment", f"{segment.name}: {segment.words}"),
        ("rhythm", _rhythm(log, mine & orders, history, cutoff)),
        ("spending", _spending(log, mine & bought, int((mine & orders).sum()))),
        ("price", _price(log, code, bought)),
        ("interests", ", ".join(tags)),
        ("channel", _channel(log, mine & orders, orders)),
        ("time", ", ".join(_times(history, log.time[mine & orders], log.time[orders]))),
        ("next", "" if outlook is None else _next(outlook)),
    )
    return Portrait(user, segment, tags, tuple((aspect, words) for aspect, words in said if words))


def _interests(log: EventLog, mine: Bools, taken: Bools) -> tuple[str, ...]:
    """Return what somebody takes more often than everybody, by what it adds to the difference between both."""
    held = next((log.columns[name] for name in ("category", "brand", "item_id") if _named(log, name)), None)
    if held is None or held.dictionary is None:
        return ()
    every = _counts(held, taken)
    own = _counts(held, mine & taken)
    expected = every / max(every.sum(), 1.0) * own.sum()
    lift = (own + _PULL) / (expected + _PULL)
    lifted = np.flatnonzero((own >= _LEAST) & (lift >= LIFT))
    order = lifted[np.argsort(-own[lifted] * np.log(lift[lifted]), kind="stable")][:MOST]
    return tuple(held.dictionary.names(order.astype(np.int32)).to_list())


def _rhythm(log: EventLog, orders: Bools, history: History, cutoff: int) -> str:
    days = np.unique(history.clock.days(log.time[orders]))
    if not len(days):
        return "no order yet"
    ago = max(0, int((cutoff - int(log.time[orders].max())) // DAY))
    last = f"the last order was {ago:,} {'day' if ago == 1 else 'days'} ago"
    if len(days) == 1:
        return f"ordered on one day; {last}"
    gaps = np.diff(days)
    uneven = float(gaps.std() / gaps.mean()) if len(gaps) >= _FEW else math.nan
    how = "" if math.isnan(uneven) else ", at even intervals" if uneven < 0.5 else ", at uneven intervals" if uneven > 1 else ""
    return f"orders every {span(float(gaps.mean()))} on average{how}; {last}"


def _spending(log: EventLog, lines: Bools, orders: int) -> str:
    if "amount" not in log.columns or not orders:
        return ""
    held = log.columns["amount"]
    values = held.values[lines]
    known = values[values != MISSING]
    return f"{known.sum() / held.scale / orders:,.2f} per order over {orders:,} orders" if len(known) else ""


def _price(log: EventLog, user: int, bought: Bools) -> str:
    """Return how her prices compare with what others pay for things of the same kind."""
    if "unit_price" not in log.columns or not _named(log, "category"):
        return ""
    price, kind = log.columns["unit_price"].values, log.columns["category"].values
    rows = np.flatnonzero(bought & (price > 0) & (kind >= 0))
    rows = rows[rows < log.offsets[-1]]
    worth = np.log(price[rows].astype(np.float64))
    usual = np.bincount(kind[rows], weights=worth) / np.maximum(np.bincount(kind[rows]), 1)
    owner = np.searchsorted(log.offsets, rows, side="right") - 1
    count = np.bincount(owner, minlength=len(log.users))
    level = np.bincount(owner, weights=worth - usual[kind[rows]], minlength=len(log.users)) / np.maximum(count, 1)
    if count[user] < _FEW:
        return ""
    share = float((level[count >= _FEW] < level[user]).mean())
    if 1 / 3 <= share <= 2 / 3:
        return "pays what most pay for things of the same kind"
    more = share > 2 / 3
    part = share if more else 1 - share
    return f"pays {'more' if more else 'less'} for things of the same kind than {100 * part:.0f} % of customers"


def _channel(log: EventLog, mine: Bools, orders: Bools) -> str:
    if not _named(log, "channel"):
        return ""
    held = log.columns["channel"]
    own, every = _counts(held, mine), _counts(held, orders)
    if own.sum() < _LEAST or held.dictionary is None or np.count_nonzero(every) < 2:
        return ""
    first = int(own.argmax())
    if 2 * own[first] <= own.sum():
        return ""
    name = held.dictionary.names(np.array([first], np.int32))[0]
    return f"mostly {name} ({100 * own[first] / own.sum():.0f} % of her orders, {100 * every[first] / every.sum():.0f} % of everybody's)"


def _times(history: History, own: Ints, every: Ints) -> Iterator[str]:
    """Yield the weekdays and parts of the day at which she orders more often than chance and everybody's habits would have it."""
    from scipy.stats import binom

    if len(own) < _FEW:
        return
    for part, names in PARTS.items():
        mine, all_ = (np.bincount(part_of(part, instants, history.clock), minlength=len(names)) for instants in (own, every))
        usual = all_ / max(all_.sum(), 1)
        chance = binom.sf(mine - 1, len(own), usual) * len(names)
        for place in np.flatnonzero((mine >= LIFT * usual * len(own)) & (chance < _RARE)).tolist():
            yield f"{names[place].capitalize() if part == 'weekday' else names[place]}s"


def _next(one: Outlook) -> str:
    frame = one.frame()
    chances = ", ".join(f"{100 * frame[f'p_purchase_{days:g}d'][0]:.0f} % within {days:g} days" for days in sorted(one.horizons))
    likely = frame["top_category"][0]
    return f"buys with {chances}" + (f"; most likely from {likely}" if likely else "")


def _counts(held: Column, rows: Bools) -> Floats:
    codes: Codes = np.asarray(held.values[rows], np.int32)
    size = 0 if held.dictionary is None else len(held.dictionary)
    return np.bincount(codes[codes >= 0], minlength=size).astype(np.float64)


def _named(log: EventLog, name: str) -> bool:
    return name in log.columns and log.columns[name].dictionary is not None and bool((log.columns[name].values >= 0).any())
