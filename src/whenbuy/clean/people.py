"""Rules about who is no customer: orders that were tests, and users that are machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl

from whenbuy.clean.draft import Addition, Draft, Finding, Touch, require_positive
from whenbuy.core.arrays import DAY, MISSING, Bools, Instants, Ints
from whenbuy.core.errors import SettingsError
from whenbuy.core.kernel import kernel

BOT = "bot"
"""The kind of the event that records the verdict that a user is a machine, known from its own instant on."""

USUAL_TEST: Final = r"(?i)^(test|qa|dummy)([-_ .:@/].*|\d*)$"
_HOUR = DAY // 24


def _patterns() -> dict[str, str]:
    return {"user_id": USUAL_TEST, "order_id": USUAL_TEST, "channel": USUAL_TEST}


@dataclass(frozen=True, slots=True)
class TestOrders:
    """Takes out events whose user, order, channel or text matches a stated pattern.

    Parameters
    ----------
    patterns
        Regular expression by column; a row is taken out when any of them is found.
    """

    patterns: Mapping[str, str] = field(default_factory=_patterns)
    __test__ = False

    def __post_init__(self) -> None:
        for column, pattern in self.patterns.items():
            try:
                pl.Series([""]).str.contains(pattern)
            except pl.exceptions.ComputeError as error:
                raise SettingsError(
                    f"The pattern {pattern!r} for {column!r} is not a regular expression ({error}).",
                    "The rule test_orders needs one per column.",
                    "Correct it.",
                ) from error

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "test_orders"

    def find(self, draft: Draft) -> Finding:
        """Return the events of tests."""
        found, seen = [], np.zeros(len(draft.log), bool)
        for column, pattern in self.patterns.items():
            hit = _matching(draft, column, pattern)
            rows = np.flatnonzero(hit & draft.alive & ~seen)
            seen[rows] = True
            if len(rows):
                found.append(Touch(rows, f"the {column} looks like a test ({pattern})"))
        return Finding(tuple(found))


@dataclass(frozen=True, slots=True)
class Bots:
    """Records that a user is a machine, by an event of kind ``bot`` at the instant at which that became plain; nothing is taken out.

    A machine makes more than ``per_hour`` events within an hour, one known after the other, or goes on for ``hours`` without a pause.
    Questions leave out users with a ``bot`` event known before the cutoff. A user is judged once.

    Parameters
    ----------
    per_hour
        The most events that a person makes in an hour.
    hours
        How long a person goes on at most, in hours.
    pause_minutes
        How long nothing must happen to count as a pause.
    kinds
        The kinds of event that are counted. Purchases are not among them: a basket has many lines.
    """

    per_hour: int = 600
    hours: float = 24.0
    pause_minutes: float = 30.0
    kinds: tuple[str, ...] = ("view", "click", "search", "favourite", "cart")

    def __post_init__(self) -> None:
        for what, value in (("per_hour", self.per_hour), ("hours", self.hours), ("pause_minutes", self.pause_minutes)):
            require_positive(f"{what} of bots", value)

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "bots"

    def find(self, draft: Draft) -> Finding:
        """Return one event per user who is a machine."""
        log = draft.log
        counted = np.zeros(256, bool)
        counted[[code for code in map(log.code, self.kinds) if code >= 0]] = True
        judged = (log.kind == log.code(BOT)) & draft.alive
        busy, endless = _verdicts(
            log.offsets, log.time, log.known_at, counted[log.kind] & draft.alive, judged, int(self.per_hour), _HOUR,
            round(self.hours * _HOUR), round(self.pause_minutes * _HOUR / 60),
        )  # fmt: skip
        only_endless = (endless != MISSING) & ((busy == MISSING) | (endless < busy))
        found = []
        for at, reason in (
            (np.where(only_endless, MISSING, busy), f"the user made more than {self.per_hour:,} events within an hour"),
            (np.where(only_endless, endless, MISSING), f"the user went on for {self.hours:g} hours without a pause"),
        ):
            users = np.flatnonzero(at != MISSING).astype(np.int32)
            if len(users):
                found.append(Addition(BOT, users, at[users], reason))
        return Finding(additions=tuple(found))


def fitting(names: pl.Series, pattern: str) -> Bools:
    """Return in which names a regular expression is found (n)."""
    return names.str.contains(pattern).to_numpy()


def _matching(draft: Draft, column: str, pattern: str) -> Bools:
    """Return which rows carry a name that matches (all rows of the draft)."""
    log = draft.log
    if column == "user_id":
        names, codes = log.users.ids, draft.owners(np.arange(len(log)))
    elif column in log.columns and (dictionary := log.columns[column].dictionary) is not None:
        names, codes = dictionary.ids, np.asarray(log.columns[column].values, np.int32)
    else:
        return np.zeros(len(log), bool)
    fits = fitting(names, pattern)
    if not fits.any():
        return np.zeros(len(log), bool)
    return np.append(fits, False)[codes]


@kernel
def _verdicts(
    offsets: Ints, time: Instants, known_at: Instants, counted: Bools, judged: Bools, most: int, hour: int, endless: int, pause: int,
) -> tuple[Instants, Instants]:  # fmt: skip
    """Return per user the first instant at which more than ``most`` events in a row lay within an hour, and at which a run lasted too long.

    Rows are taken in the order in which they became known, up to an earlier verdict.
    """
    users = len(offsets) - 1
    by_rate, by_run = np.full(users, MISSING, np.int64), np.full(users, MISSING, np.int64)
    for user in range(users):
        rows = np.empty(offsets[user + 1] - offsets[user], np.int64)
        count, judged_at = 0, np.int64(2**63 - 1)
        for row in range(offsets[user], offsets[user + 1]):
            if judged[row]:
                judged_at = min(judged_at, known_at[row])
            if counted[row]:
                rows[count] = row
                count += 1
        rows = rows[:count]
        busy, last = _first_busy(time, rows, most, hour), _first_endless(time, rows, endless, pause)
        if busy >= 0 and known_at[busy] < judged_at:
            by_rate[user] = known_at[busy]
        if last >= 0 and known_at[last] < judged_at:
            by_run[user] = known_at[last]
    return by_rate, by_run


@kernel
def _first_busy(time: Instants, rows: Ints, most: int, hour: int) -> int:
    """Return the first row at which more than ``most`` rows in a row lie within an hour, -1 where there is none.

    The window reaches back to the first row from which on all times lie within an hour: two monotone queues carry its earliest and
    latest time, so late events are judged rightly at O(1) per event.
    """
    if len(rows) <= most:
        return -1
    low, high = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    first, low_head, low_tail, high_head, high_tail = 0, 0, 0, 0, 0
    for place in range(len(rows)):
        at = time[rows[place]]
        while low_tail > low_head and time[rows[low[low_tail - 1]]] >= at:
            low_tail -= 1
        while high_tail > high_head and time[rows[high[high_tail - 1]]] <= at:
            high_tail -= 1
        low[low_tail], high[high_tail] = place, place
        low_tail, high_tail = low_tail + 1, high_tail + 1
        while time[rows[high[high_head]]] - time[rows[low[low_head]]] >= hour:
            first += 1
            low_head += low[low_head] < first
            high_head += high[high_head] < first
        if place + 1 - first > most:
            return int(rows[place])
    return -1


@kernel
def _first_endless(time: Instants, rows: Ints, endless: int, pause: int) -> int:
    """Return the first row at which a run without a pause lasts ``endless``, -1 where there is none; a late event never breaks a run."""
    start, last = np.int64(0), np.int64(0)
    for place in range(len(rows)):
        at = time[rows[place]]
        if place == 0 or at - last > pause:
            start, last = at, at
        last = max(last, at)
        if last - start >= endless:
            return int(rows[place])
    return -1
