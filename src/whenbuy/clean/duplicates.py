"""Rules against rows that came twice: exact duplicates and double clicks. The row that was known first is kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from whenbuy.clean.draft import Draft, Finding, Touch, require_positive
from whenbuy.core.arrays import Bools, Codes, Instants, Ints, Kinds
from whenbuy.core.errors import SettingsError
from whenbuy.core.kernel import kernel
from whenbuy.core.log import ORDERS

_SECOND = 1_000_000
_SEED = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Takes out rows with the ``event_id`` of a row known earlier and, among rows without an id, those equal in every column.

    The instant at which a row became known is not compared: a row that is sent again comes later.
    """

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "duplicates"

    def find(self, draft: Draft) -> Finding:
        """Return the rows that came before."""
        rows = draft.rows()
        named = draft.codes("event_id", rows) >= 0
        found = (
            Touch(_same_id(draft, rows[named]), "an earlier row has the same event_id"),
            Touch(_same_row(draft, rows[~named]), "an earlier row is equal in every column"),
        )
        return Finding(tuple(touch for touch in found if len(touch.rows)))


@dataclass(frozen=True, slots=True)
class DoubleClicks:
    """Takes out events of the same user, kind and item within some seconds of one that is kept.

    Lines of a purchase count only where their order is the same too. Events without an item are left alone, and so are those of which
    only the day is known: there the same item twice is no slip of the finger.

    Parameters
    ----------
    seconds
        How near is too near.
    kinds
        The kinds of event that are looked at.
    """

    seconds: float = 2.0
    kinds: tuple[str, ...] = ("view", "click", "cart")

    def __post_init__(self) -> None:
        require_positive("seconds of double_clicks", self.seconds)
        if not self.kinds:
            raise SettingsError("The rule double_clicks was given no kind of event.", "It needs one or more.", "Leave the rule out.")

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "double_clicks"

    def find(self, draft: Draft) -> Finding:
        """Return the rows that follow one of their like too closely."""
        log = draft.log
        if "item_id" not in log.columns:
            return Finding()
        wanted = np.zeros(256, bool)
        wanted[[code for code in map(log.code, self.kinds) if code >= 0]] = True
        none = np.empty(0, np.int32)
        order = log.columns["order_id"].values.astype(np.int32, copy=False) if "order_id" in log.columns else none
        item = log.columns["item_id"].values.astype(np.int32, copy=False)
        by_time = np.empty(0, np.int64) if log.by_time is None else log.by_time
        eligible = wanted[log.kind] & draft.alive & (item >= 0)
        hits = _near(log.offsets, log.time, by_time, log.kind, log.code("purchase"), item, order, eligible, round(self.seconds * _SECOND))
        rows = np.flatnonzero(hits)
        rows = rows[draft.clock.midnight_before(log.time[rows]) != log.time[rows]]
        reason = f"the user did the same to the same item within {self.seconds:g} seconds"
        return Finding((Touch(rows, reason),) if len(rows) else ())


def _same_id(draft: Draft, rows: Ints) -> Ints:
    """Return the rows whose event_id was known before, by the instant at which they became known."""
    codes = draft.codes("event_id", rows)
    if not len(rows):
        return rows
    often = np.bincount(codes) > 1
    rows, codes = rows[often[codes]], codes[often[codes]]
    order = np.lexsort((rows, draft.log.known_at[rows], codes))
    again = codes[order][1:] == codes[order][:-1]
    return np.sort(rows[order][1:][again])


def _same_row(draft: Draft, rows: Ints) -> Ints:
    """Return the rows that equal an earlier one in every column; equal instants, then equal hashes, only say where to look."""
    log = draft.log
    names = [name for name in log.columns if name not in (ORDERS, "event_id")]
    rows = rows[_crowded(log.offsets, log.time, np.empty(0, np.int64) if log.by_time is None else log.by_time)[rows]]
    if not len(rows):
        return rows
    parts: list[Codes | Ints | Kinds] = [draft.owners(rows), log.kind[rows], log.time[rows]]
    parts += [log.columns[name].values[rows] for name in names]
    digest = np.full(len(rows), _SEED, np.uint64)
    for part in parts:
        _mix(digest, part)
    ordered = np.sort(digest)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return rows[:0]
    near = pl.Series(digest).is_in(pl.Series(twice).unique().implode()).to_numpy()
    like = pl.DataFrame({str(place): part[near] for place, part in enumerate(parts)})
    first = like.select(pl.struct(pl.all()).is_first_distinct()).to_series().to_numpy()
    return np.asarray(rows[near][~first])


@kernel
def _crowded(offsets: Ints, time: Instants, by_time: Ints) -> Bools:
    """Return which rows share their instant with another row of the same user, or of nobody."""
    found = np.zeros(len(time), np.bool_)
    for user in range(len(offsets)):
        stop = offsets[user + 1] if user + 1 < len(offsets) else len(time)
        for p in range(offsets[user] + 1, stop):
            one, other = (by_time[p - 1], by_time[p]) if len(by_time) else (p - 1, p)
            if time[one] == time[other]:
                found[one], found[other] = True, True
    return found


@kernel
def _mix(digest: npt.NDArray[np.uint64], values: Ints | Codes | Kinds) -> None:
    """Fold one column into the hash of each row (the finaliser of splitmix64, Steele et al. 2014)."""
    for i in range(len(digest)):
        z = digest[i] ^ np.uint64(np.int64(values[i]))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        digest[i] = (z ^ (z >> np.uint64(31))) + np.uint64(0x9E3779B97F4A7C15)


@kernel
def _near(
    offsets: Ints, time: Instants, by_time: Ints, kind: Kinds, purchase: int, item: Codes, order: Codes, eligible: Bools, reach: int,
) -> Bools:  # fmt: skip
    """Return which rows lie within ``reach`` of a kept row of the same user, kind and item that was known earlier.

    Rows are judged in the order in which they became known; their neighbours are sought in the order of time.
    """
    hit = np.zeros(len(time), np.bool_)
    place = np.zeros(len(by_time), np.int64)
    for p in range(len(by_time)):
        place[by_time[p]] = p
    for user in range(len(offsets) - 1):
        lo, hi = offsets[user], offsets[user + 1]
        for row in range(lo, hi):
            if not eligible[row]:
                continue
            at = place[row] if len(by_time) else row
            for step in (-1, 1):
                p = at + step
                while lo <= p < hi and not hit[row]:
                    other = by_time[p] if len(by_time) else p
                    if abs(time[row] - time[other]) > reach:
                        break
                    p += step
                    if other > row or not eligible[other] or hit[other] or kind[other] != kind[row] or item[other] != item[row]:
                        continue
                    hit[row] = kind[row] != purchase or (len(order) > 0 and order[row] >= 0 and order[other] == order[row])
    return hit
