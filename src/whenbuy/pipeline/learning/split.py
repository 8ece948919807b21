"""Splits without leakage: by cutoffs in time, rolling through time, and over users."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Bools, Floats, Instants, Ints
from whenbuy.core.clock import Clock
from whenbuy.core.errors import NotEnoughDataError, UsageError, WhenbuyError
from whenbuy.core.keys import Keys

Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = ("train", "valid", "test")


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Three parts of a history to learn from, to choose by and to be judged by.

    Parameters
    ----------
    train, valid, test
        The cutoffs of each part: local midnights, rising.
    until
        The instant at which labels of each part must be censored: make them from ``history.cut(until)``. A training window that crosses
        it is cut there and kept, not dropped; validation and test windows all close before theirs.
    shares
        Parts of the users, where the split is by users because time is short; none where it is by time.
    seed
        Where chance starts in a split by users.
    reason
        In words, why the split is by users; empty where it is by time.
    """

    train: Instants
    valid: Instants
    test: Instants
    until: tuple[int, int, int]
    shares: tuple[float, float, float] | None = None
    seed: int = 0
    reason: str = ""

    def __post_init__(self) -> None:
        if not (len(self.train) and len(self.valid) and len(self.test)):
            raise WhenbuyError("A split was made with an empty part.")
        if self.shares is None and (self.train.max() >= self.until[0] or self.until[0] > self.valid[0] or self.until[1] > self.test[0]):
            raise WhenbuyError("A split was made whose parts reach into each other.")

    def cutoffs(self, part: Part) -> Instants:
        """Return the cutoffs of one part."""
        return {"train": self.train, "valid": self.valid, "test": self.test}[part]

    def censored_at(self, part: Part) -> int:
        """Return the instant at which the labels of one part end."""
        return self.until[PARTS.index(part)]

    def rows(self, keys: Keys, part: Part) -> Bools:
        """Return which keys belong to a part (n): those at its cutoffs and, where the split is by users, of its users."""
        inside = np.isin(keys.cutoff, self.cutoffs(part))
        if self.shares is None:
            return inside
        edges = np.cumsum((0.0, *self.shares))
        place = PARTS.index(part)
        code, where = np.unique(keys.code, return_inverse=True)
        share = spread(keys.names.names(code.astype(np.int32)), self.seed)[where]
        last = np.inf if place == len(PARTS) - 1 else edges[place + 1]
        return np.asarray(inside & (share >= edges[place]) & (share < last))


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """One step of a rolling backtest: learn from what was known at the cutoff, forecast, compare with what came.

    Parameters
    ----------
    cutoff
        Where the forecast is made; labels for learning must be censored here.
    train
        The cutoffs to learn from, rising; the last ones have windows that are cut at ``cutoff``.
    """

    cutoff: int
    train: Instants


def time_split(
    first: int,
    end: int,
    horizon_days: float,
    clock: Clock,
    parts: Sequence[float] = (0.8, 0.1, 0.1),
    *,
    lateness_days: float = 0.0,
    every_days: int = 7,
    seed: int = 0,
) -> Split:
    """Return the split of a history by time; by users where fewer than three horizons fit.

    Validation and test take their share of the whole length but at least one horizon each, and all their windows are whole. Training has
    every cutoff before the first validation cutoff, with windows cut there; at least one of them is whole.

    Parameters
    ----------
    first
        The instant of the first event.
    end
        The end of the log.
    horizon_days
        The longest horizon asked about.
    clock
        The shop's clock; cutoffs are its midnights.
    parts
        Shares of training, validation and test, which sum to 1.
    lateness_days
        How late an event may come and still count: a window closes when this much time has passed as well.
    every_days
        Days between the cutoffs of a part.
    seed
        Where chance starts in a split by users.

    Raises
    ------
    NotEnoughDataError
        When not even one window closes.
    UsageError
        When the parts, the step or the horizon are impossible.
    """
    shares = _shares(parts)
    _require_sizes(horizon_days, lateness_days, every_days)
    reach_days = horizon_days + lateness_days
    start, last = clock.next_midnight(first), _last_ripe(first, end, reach_days, clock)
    test = _back_from(last, end - round(shares[2] * (end - first)), clock, every_days)
    valid_last = _whole_before(int(test[0]), reach_days, clock)
    valid = _back_from(valid_last, int(test[0]) - round(shares[1] * (end - first)), clock, every_days)
    train_last = _whole_before(int(valid[0]), reach_days, clock)
    if train_last < start:
        return _by_users(last, end, reach_days, (end - first) / DAY, shares, seed)
    train = _steps(train_last, start, int(valid[0]), clock, every_days)
    return Split(train, valid, test, (int(valid[0]), int(test[0]), end))


def rolling_origin(
    first: int, end: int, horizon_days: float, clock: Clock, steps: int, *, lateness_days: float = 0.0, every_days: int = 7
) -> tuple[Origin, ...]:
    """Return the last ``steps`` ripe cutoffs, the earliest first, each with the cutoffs that could be learned from when it came.

    A cutoff before which no window had closed is left out, so there may be fewer.

    Parameters
    ----------
    first, end, horizon_days, clock, lateness_days, every_days
        As for ``time_split``.
    steps
        How many forecasts to make.

    Raises
    ------
    NotEnoughDataError
        When no cutoff has both a window that closed before it and one that closed after it.
    """
    _require_sizes(horizon_days, lateness_days, every_days)
    if steps < 1:
        raise UsageError(f"A backtest of {steps} steps was asked for.", "It needs at least one.", "Ask for more.")
    reach_days = horizon_days + lateness_days
    start, last = clock.next_midnight(first), _last_ripe(first, end, reach_days, clock)
    found = []
    for cutoff in _steps(last, start, last + 1, clock, every_days)[-steps:].tolist():
        train_last = _whole_before(cutoff, reach_days, clock)
        if train_last >= start:
            found.append(Origin(cutoff, _steps(train_last, start, cutoff, clock, every_days)))
    if not found:
        raise NotEnoughDataError(
            f"The log holds {(end - first) / DAY:.1f} days; no cutoff in it has a closed window of {reach_days:g} days on both sides.",
            f"A backtest needs about {2 * reach_days + 2:g} days.",
            "Ask for a shorter horizon, or come back when the log is longer.",
        )
    return tuple(found)


def folds(users: pl.Series | Iterable[str], k: int, seed: int = 0) -> Ints:
    """Return the fold of each user, from 0 to k - 1 (n).

    It depends on the user's name and the seed alone: it stays when others come or go, or the order changes.

    Raises
    ------
    UsageError
        When there are fewer than two folds.
    """
    if k < 2:
        raise UsageError(f"{k} folds were asked for.", "Cross-validation needs at least 2.", "Ask for more.")
    return np.minimum((spread(users, seed) * k).astype(np.int64), k - 1)


def spread(users: pl.Series | Iterable[str], seed: int = 0) -> Floats:
    """Return a number in [0, 1) for each user (n), even and independent over users, made of the name and the seed alone."""
    key = seed.to_bytes(8, "little", signed=True)
    names = users.to_list() if isinstance(users, pl.Series) else users
    numbers = [
        int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest(), "little") for name in names
    ]
    return (np.array(numbers, np.uint64) >> np.uint64(11)).astype(np.float64) / 2.0**53


def _by_users(last: int, end: int, horizon_days: float, days: float, shares: tuple[float, float, float], seed: int) -> Split:
    cutoff = np.array([last], np.int64)
    reason = (
        f"The log holds {days:.1f} days, too few for three windows of {horizon_days:g} days one after the other. So the split is by users, "
        "all at the last cutoff whose window has closed: the scores say how well the model speaks of other people in the same weeks, not "
        "of later weeks."
    )
    return Split(cutoff, cutoff, cutoff, (end, end, end), shares, seed, reason)


def _last_ripe(first: int, end: int, horizon_days: float, clock: Clock) -> int:
    """Return the last local midnight after the first event whose window closes before the end."""
    if end - horizon_days * DAY > first and (last := _whole_before(end, horizon_days, clock)) >= clock.next_midnight(first):
        return last
    raise NotEnoughDataError(
        f"The log holds {max(0.0, (end - first) / DAY):.1f} days; no window of {horizon_days:g} days closes in it.",
        f"A window begins at a midnight after the first event, so at least {horizon_days + 1:g} days are needed.",
        "Ask for a shorter horizon, or come back when the log is longer.",
    )


def _whole_before(instant: int, horizon_days: float, clock: Clock) -> int:
    """Return the last local midnight whose window has ended at an instant."""
    return int(clock.midnight_before(np.array([instant - round(horizon_days * DAY)], np.int64))[0])


def _back_from(last: int, earliest: int, clock: Clock, every_days: int) -> Instants:
    """Return the local midnights from ``last`` back to an instant, in steps; always ``last`` itself."""
    return _steps(last, min(earliest, last), last + 1, clock, every_days)


def _steps(anchor: int, start: int, stop: int, clock: Clock, every_days: int) -> Instants:
    """Return the local midnights in [start, stop) that lie a multiple of some days from an anchor, which is one of them (rising)."""
    low, middle, high = clock.days(np.array([start, anchor, stop], np.int64)).tolist()
    behind, ahead = (middle - low) // every_days, (high - middle) // every_days
    found = clock.midnights(middle + every_days * np.arange(-behind, ahead + 1, dtype=np.int64))
    return found[(found >= start) & (found < stop)]


def _shares(parts: Sequence[float]) -> tuple[float, float, float]:
    if len(parts) != len(PARTS) or not all(0 < part < 1 for part in parts) or abs(sum(parts) - 1) > 1e-6:
        raise UsageError(f"The parts of a split are {list(parts)}.", "Three numbers above 0 that sum to 1 are needed.", "Use (.8, .1, .1).")
    train, valid, test = (float(part) for part in parts)
    return train, valid, test


def _require_sizes(horizon_days: float, lateness_days: float, every_days: int) -> None:
    if not (0 < horizon_days < np.inf and 0 <= lateness_days < np.inf) or every_days < 1:
        raise UsageError(
            f"The horizon of a split is {horizon_days} days, its lateness {lateness_days}, its step {every_days}.",
            "Horizon and step must be above 0, lateness at least 0.",
            "Ask for a horizon such as 28 and a step such as 7.",
        )
