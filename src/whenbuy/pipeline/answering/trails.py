"""What customers did and what befell them, as the law of leaving reads it: days with acts, troubles forgiven, and troubles since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Bools, Floats, Instants, Ints
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.history import History
from whenbuy.core.log import EventLog
from whenbuy.questions.activity import ACTS
from whenbuy.questions.asked import BOT

CAUSES: Final[Mapping[str, str]] = {
    "price": "price_raised", "delivery": "delivered_late", "stock": "out_of_stock", "service": "badly_served", "contact pressure": "shown",
}  # fmt: skip
"""What a shop can change, and the kind of event that tells of each."""
PRESSURE: Final = "contact pressure"
"""The cause whose events weigh as many as there were beyond FREE in the PRESSED_DAYS up to each: one a week is no pressure."""
PRESSED_DAYS: Final = 28
FREE: Final = 4
_WIDE: Final = 2.0**46


@dataclass(frozen=True, slots=True, eq=False)
class Trails:
    """What customers did and what befell them until a moment.

    A trouble is forgiven when she comes again on a later day. Those since then (and on the day of her last act) are listed one by one.

    Parameters
    ----------
    user
        Who, by name (n).
    last
        The instant of her last act (n).
    days, lived, silent
        Days with acts after the first one; days from the first to the last act; days since then (n each).
    causes
        What the troubles are put down to (c).
    forgiven
        How much of each weighed on her and did not drive her away (n x c).
    owner, cause, weight, after
        Of each trouble since her last act (m), by customer and time: whose, which, how much it weighs, and how many days after that act.
    """

    user: pl.Series
    last: Instants
    days: Floats
    lived: Floats
    silent: Floats
    causes: tuple[str, ...]
    forgiven: Floats
    owner: Ints
    cause: Ints
    weight: Floats
    after: Floats

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def of(cls, history: History, as_of: int, causes: Mapping[str, str] = CAUSES) -> Trails:
        """Return the trails of all people who did something before a moment.

        Raises
        ------
        NotEnoughDataError
            When nobody did.
        """
        log, clock = history.cut(as_of).log, history.clock
        told = {cause: kind for cause, kind in causes.items() if log.count(kind)}
        rows = int(log.offsets[-1])
        owner = np.repeat(np.arange(len(log.users)), np.diff(log.offsets))
        day = clock.days(log.time[:rows])
        act = _of_kinds(log, ACTS)[:rows]
        who = np.unique(owner[act & ~np.isin(owner, owner[_of_kinds(log, (BOT,))[:rows]])])
        if not len(who):
            raise NotEnoughDataError(
                f"Before {clock.show(as_of)} nobody did anything.", "Who is lost once did something.", "Ask as of a later date."
            )
        place = np.full(len(log.users), -1)
        place[who] = np.arange(len(who))
        known = act & (place[owner] >= 0)
        active = np.unique(np.stack([place[owner[known]], day[known]]), axis=1)
        count = np.bincount(active[0], minlength=len(who))
        first_day, last_day = active[1][np.cumsum(count) - count], active[1][np.cumsum(count) - 1]
        last = np.zeros(len(who), np.int64)
        np.maximum.at(last, place[owner[known]], log.time[:rows][known])
        forgiven, since = np.zeros((len(who), len(told))), [(np.empty(0, np.int64),) * 2 + (np.empty(0),) * 2]
        for number, (cause, kind) in enumerate(told.items()):
            found = np.flatnonzero(_of_kinds(log, (kind,))[:rows] & (place[owner] >= 0))
            mine = place[owner[found]]
            weight = _pressed(mine, log.time[found]) if cause == PRESSURE else np.ones(len(found))
            found, mine, weight = found[weight > 0], mine[weight > 0], weight[weight > 0]
            later = day[found] >= last_day[mine]
            forgiven[:, number] = np.bincount(mine[~later], weight[~later], minlength=len(who))
            after = np.maximum((log.time[found] - last[mine]) / DAY, 0.0)
            since.append((mine[later], np.full(int(later.sum()), number), weight[later], after[later]))
        whose, which, weight, after = (np.concatenate(parts) for parts in zip(*since, strict=True))
        order = np.lexsort((after, whose))
        days, lived = (count - 1).astype(np.float64), (last_day - first_day).astype(np.float64)
        return cls(
            log.users.ids.gather(who), last, days, lived, (as_of - last) / DAY, tuple(told), forgiven,
            whose[order].astype(np.int64), which[order].astype(np.int64), weight[order], after[order],
        )  # fmt: skip

    def take(self, rows: Ints) -> Trails:
        """Return the trails of some customers, in a new order."""
        place = np.full(len(self), -1)
        place[rows] = np.arange(len(rows))
        owner = place[self.owner]
        kept = np.flatnonzero(owner >= 0)
        kept = kept[np.argsort(owner[kept], kind="stable")]
        return Trails(
            self.user.gather(rows), self.last[rows], self.days[rows], self.lived[rows], self.silent[rows], self.causes, self.forgiven[rows],
            owner[kept], self.cause[kept], self.weight[kept], self.after[kept],
        )  # fmt: skip

    def silent_for(self, days: Floats) -> Trails:
        """Return the trails as they are after so many days without an act (n), with no further troubles than are known."""
        kept = self.after <= days[self.owner]
        return replace(self, silent=days, owner=self.owner[kept], cause=self.cause[kept], weight=self.weight[kept], after=self.after[kept])

    def rows_of(self, users: Sequence[str]) -> Ints:
        """Return the row of each user (n), -1 where nothing of her is known."""
        known = pl.DataFrame({"id": self.user}).with_row_index("row")
        found = pl.DataFrame({"id": list(users)}).join(known, on="id", how="left", maintain_order="left")["row"]
        return found.cast(pl.Int64).fill_null(-1).to_numpy()


def _of_kinds(log: EventLog, kinds: Sequence[str]) -> Bools:
    codes = [log.kinds.index(kind) for kind in kinds if kind in log.kinds]
    return np.isin(log.kind, np.array(codes, log.kind.dtype))


def _pressed(owner: Ints, time: Instants) -> Floats:
    """Return how many events beyond the free ones each one's owner had in the days up to each, itself among them (n)."""
    base = int(time.min(initial=0))
    moment = owner * _WIDE + (time - base)
    order = np.argsort(moment, kind="stable")
    since = np.searchsorted(moment[order], moment - PRESSED_DAYS * DAY, side="right")
    since = np.maximum(since, np.searchsorted(moment[order], owner * _WIDE, side="left"))
    until = np.empty(len(order), np.int64)
    until[order] = np.arange(len(order)) + 1
    return np.asarray(np.maximum(until - since - FREE, 0), np.float64)
