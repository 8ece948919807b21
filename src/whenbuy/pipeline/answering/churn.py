"""Who is lost, since when, and why: what the shop can change, and what it cannot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Bools, Floats, Ints
from whenbuy.core.clock import Clock
from whenbuy.core.errors import NotFoundError
from whenbuy.core.forecast import instants
from whenbuy.core.history import History
from whenbuy.pipeline.answering.leaving import Law, Pieces, excludes_zero, interval, learn
from whenbuy.pipeline.answering.trails import CAUSES, Trails
from whenbuy.pipeline.learning.split import spread

MOST: Final = 5_000
"""From so many customers, chosen by their names, the law of leaving is learned."""
OWN: Final = "nothing that the shop can change"
_LEAST: Final = 0.005
"""A reason below this chance rounds to nothing and is not shown."""
_CHUNK: Final = 5_000
_FAR: Final = 512.0
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "price": ("a price rise", "{} price rises"),
    "delivery": ("a late delivery", "{} late deliveries"),
    "stock": ("something out of stock", "{} times something out of stock"),
    "service": ("bad service", "{} times bad service"),
    "contact pressure": ("a message beyond one a week", "{} messages beyond one a week"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Churn:
    """Who is lost and why.

    Parameters
    ----------
    trails
        What was known of each customer (n).
    as_of
        The moment.
    chance
        P(she has left for good) (n).
    own
        The part of it that has nothing to do with what the shop does (n).
    parts, low, high
        The part of each cause, and its 80 % interval over members of the bootstrap (n x c).
    half_days
        So many days after her last act, if she stays silent, she is more likely lost than not (n); infinite where that never comes.
    law
        The law by which all this was told.
    """

    trails: Trails
    as_of: int
    chance: Floats
    own: Floats
    parts: Floats
    low: Floats
    high: Floats
    half_days: Floats
    law: Law
    clock: Clock

    def __len__(self) -> int:
        return len(self.trails)

    @property
    def shown(self) -> Bools:
        """Which reasons are shown (n x c).

        Those whose interval excludes zero and whose part does not round to nothing, of a customer whom all that the shop can change is
        likelier to have driven away than what it cannot.
        """
        likelier = self.parts.sum(axis=1) > self.own
        return np.asarray(excludes_zero(self.low, self.high) & (self.parts >= _LEAST) & likelier[:, None])

    def top(self) -> list[str | None]:
        """Return the largest reason shown of each customer, None where none is."""
        part = np.column_stack([np.where(self.shown, self.parts, -1.0), np.zeros(len(self))])
        named = (*self.trails.causes, None)
        return [named[place] for place in part.argmax(axis=1).tolist()]

    def frame(self) -> pl.DataFrame:
        """Return one row per customer, the likeliest lost first.

        ``user_id``; ``as_of``; ``p_lost``; ``last_seen``: her last act; ``lost_on``: the day from which, without an act, she is more likely
        lost than not (null where that never comes); ``reasons``: the reasons shown, in words; ``top_reason``; ``can_change``: how much of
        ``p_lost`` they make up; ``cannot_change``: how much has nothing to do with what the shop does.
        """
        far = np.isinf(self.half_days)
        lost_on = self.trails.last + np.where(far, 0, np.round(np.where(far, 0.0, self.half_days) * DAY)).astype(np.int64)
        days = instants(lost_on).dt.date()
        return pl.DataFrame(
            {
                "user_id": self.trails.user,
                "as_of": instants(np.full(len(self), self.as_of)),
                "p_lost": self.chance,
                "last_seen": instants(self.trails.last),
                "lost_on": days.set(pl.Series(far), None),
                "reasons": ["; ".join(self.words(row)) for row in range(len(self))],
                "top_reason": pl.Series(self.top(), dtype=pl.String),
                "can_change": np.where(self.shown, self.parts, 0.0).sum(axis=1),
                "cannot_change": self.own,
            }
        ).sort("p_lost", "user_id", descending=[True, False])

    def reasons(self) -> pl.DataFrame:
        """Return one row per customer and cause that weighed on her, shown or not.

        ``user_id``, ``cause``, ``can_change``, ``part`` (of ``p_lost``), ``low``, ``high`` (its 80 % interval; null for
        what the shop cannot change), ``shown``.
        """
        row, cause = np.nonzero(self.parts > 0)
        n = len(self)
        told = {
            "user_id": self.trails.user.gather(row), "cause": pl.Series(self.trails.causes, dtype=pl.String).gather(cause),
            "can_change": np.ones(len(row), bool), "part": self.parts[row, cause], "low": self.low[row, cause],
            "high": self.high[row, cause], "shown": self.shown[row, cause],
        }  # fmt: skip
        none = pl.Series([None] * n, dtype=pl.Float64)
        alone = {
            "user_id": self.trails.user, "cause": pl.Series([OWN]).gather(np.zeros(n, np.int64)), "can_change": np.zeros(n, bool),
            "part": self.own, "low": none, "high": none, "shown": self.own >= _LEAST,
        }  # fmt: skip
        return pl.concat([pl.DataFrame(told), pl.DataFrame(alone)]).sort("user_id", "part", descending=[False, True], maintain_order=True)

    def words(self, row: int) -> list[str]:
        """Return the reasons shown for one customer in words, the largest first, such as "a late delivery on 2024-05-03 (34 points)"."""
        start, stop = np.searchsorted(self.trails.owner, [row, row + 1])
        found = []
        for cause in np.argsort(-self.parts[row], kind="stable").tolist():
            if self.shown[row, cause]:
                after = self.trails.after[start:stop][self.trails.cause[start:stop] == cause]
                name, first = self.trails.causes[cause], int(self.trails.last[row]) + round(float(after[0]) * DAY)
                one, many = _WORDS.get(name, (name, "{} times " + name))
                said, when = one if len(after) == 1 else many.format(len(after)), "on" if len(after) == 1 else "from"
                found.append(f"{said} {when} {self.clock.show(first)[:10]} ({sized(100 * self.parts[row, cause])})")
        return found

    def __repr__(self) -> str:
        return f"Churn({len(self)} customers, {self.chance.sum():,.0f} of them lost)"


def churn(
    history: History,
    as_of: int | str | None = None,
    users: Iterable[str] | None = None,
    causes: Mapping[str, str] = CAUSES,
    *,
    seed: int = 0,
) -> Churn:
    """Return who is lost, since when, and why, as of a moment (the log's end by default).

    Parameters
    ----------
    history
        What was known.
    as_of
        The moment; nothing after it is read.
    users
        Who is asked about; everybody by default.
    causes
        What the shop can change, and the kind of event that tells of each.
    seed
        Where the bootstrap starts.

    Raises
    ------
    NotEnoughDataError
        When too few customers did anything.
    NotFoundError
        When somebody asked about did nothing before that moment.
    """
    moment = history.end if as_of is None else min(history.clock.instant(as_of), history.end)
    trails = Trails.of(history, moment, causes)
    law, members = learn(trails.take(_some(trails)), seed)
    if users is not None:
        named = list(dict.fromkeys(users))
        rows = trails.rows_of(named)
        if (rows < 0).any():
            raise NotFoundError(
                f"Nothing is known of {named[int(np.flatnonzero(rows < 0)[0])]!r} by {history.clock.show(moment)}.",
                "Who has done nothing cannot be lost.", "Check the id, or ask as of a later date.",
            )  # fmt: skip
        trails = trails.take(rows)
    parts = [_told(law, members, trails.take(np.arange(at, min(at + _CHUNK, len(trails))))) for at in range(0, len(trails), _CHUNK)]
    own, here, each, low, high, half = (np.concatenate(found) for found in zip(*parts, strict=True))
    return Churn(trails, moment, 1 - here, own, each, low, high, half, law, history.clock)


def sized(points: float) -> str:
    """Return probability points in words."""
    return "1 point" if f"{points:.0f}" == "1" else f"{points:.0f} points"


def _some(trails: Trails) -> Ints:
    return np.sort(np.argsort(spread(trails.user), kind="stable")[:MOST])


def _told(law: Law, members: tuple[Law, ...], trails: Trails) -> tuple[Floats, ...]:
    """Return for each customer: her own part, P(there), the parts of causes with their intervals, and the days until she is likely lost."""
    pieces = Pieces.of(trails)
    found, (low, high) = law.explain(pieces), interval(members, pieces)
    near, far = np.zeros(len(trails)), np.full(len(trails), _FAR)
    never = _lost(law, trails, far) < 0.5
    for _ in range(10):  # to half a day
        middle = (near + far) / 2
        lost = _lost(law, trails, middle) >= 0.5
        near, far = np.where(lost, near, middle), np.where(lost, middle, far)
    return found.own, found.here, found.causes, low, high, np.where(never, np.inf, far)


def _lost(law: Law, trails: Trails, days: Floats) -> Floats:
    return 1 - law.explain(Pieces.of(trails.silent_for(days))).here
