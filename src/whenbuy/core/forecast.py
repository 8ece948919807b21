"""Forecasts: the answers that models give. Each checks itself when made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, Self

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Bools, Floats, Instants, Ints
from whenbuy.core.card import ROWS, card, percent
from whenbuy.core.errors import NotFoundError, WhenbuyError
from whenbuy.core.keys import Keys

TOLERANCE: Final = 1e-9
"""How far a curve may stray from its promise by rounding; beyond it the forecast is refused."""


class Forecast(Protocol):
    """What every answer has in common."""

    @property
    def keys(self) -> Keys:
        """Who was asked, and as of when."""

    @property
    def model(self) -> str:
        """The name of the model that answered."""

    def take(self, rows: slice | Ints) -> Self:
        """Return the answers for some of the keys."""

    def frame(self) -> pl.DataFrame:
        """Return the answers as a table, one row per key."""


@dataclass(frozen=True, slots=True, eq=False)
class TimeToEvent:
    """When the next event comes, and how many come: one curve per key on a shared grid of days.

    Parameters
    ----------
    keys
        Who was asked (n).
    grid_days
        Days after the cutoff at which the curves are known (g), rising, all above 0. At 0 survival is 1 and the count is 0.
    survival
        P(no event within d days) (n x g); never rises.
    mean_count
        Expected number of events within d days (n x g); never falls and is at least 1 - survival.
    model
        The name of the model that answered.
    prior
        True where nothing was known of the key, so that a prior answered (n); nowhere when absent.
    in_sample
        Whether the model had seen labels from after these cutoffs.

    Notes
    -----
    The hazard is constant between grid days; beyond the last one the last hazard continues (read it as extrapolated).
    """

    keys: Keys
    grid_days: Floats
    survival: Floats
    mean_count: Floats
    model: str
    prior: Bools | None = None
    in_sample: bool = False

    def __post_init__(self) -> None:
        shape = (len(self.keys), len(self.grid_days))
        if self.survival.shape != shape or self.mean_count.shape != shape:
            raise WhenbuyError(
                f"Curves of shape {self.survival.shape} and {self.mean_count.shape} were given for {shape} keys and grid days."
            )
        if not len(self.grid_days) or self.grid_days[0] <= 0 or (np.diff(self.grid_days) <= 0).any():
            raise WhenbuyError("The grid days of a forecast must rise and lie above 0.")
        if not shape[0]:
            return
        if not (np.isfinite(self.survival).all() and np.isfinite(self.mean_count).all()):
            raise WhenbuyError("A curve holds a value that is not a finite number.")
        if self.survival.min() < -TOLERANCE or self.survival.max() > 1 + TOLERANCE or (np.diff(self.survival) > TOLERANCE).any():
            raise WhenbuyError("A survival curve rises or leaves [0, 1].")
        if (np.diff(self.mean_count) < -TOLERANCE).any() or (self.mean_count < 1 - self.survival - TOLERANCE).any():
            raise WhenbuyError("A mean count falls, or lies below the probability of at least one event.")

    @classmethod
    def of(cls, keys: Keys, grid_days: Floats, survival: Floats, mean_count: Floats | None, model: str, **rest: Any) -> TimeToEvent:
        """Return a forecast whose curves were freed of rounding: clipped, made monotone, the count raised to 1 - survival."""
        tidy = np.minimum.accumulate(np.clip(survival, 0.0, 1.0), axis=1)
        count = 1 - tidy if mean_count is None else np.maximum.accumulate(np.maximum(mean_count, 1 - tidy), axis=1)
        return cls(keys, grid_days, tidy, count, model, **rest)

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: slice | Ints) -> TimeToEvent:
        """Return the curves of some of the keys."""
        prior = None if self.prior is None else self.prior[rows]
        return replace(self, keys=self.keys.take(rows), survival=self.survival[rows], mean_count=self.mean_count[rows], prior=prior)

    def survival_at(self, days: float | Floats) -> Floats:
        """Return P(no event within ``days``): (n) for one number, (n x d) for d numbers."""
        asked = np.atleast_1d(np.asarray(days, float))
        knots = np.concatenate([[0.0], self.grid_days])
        log_survival = np.hstack([np.zeros((len(self), 1)), np.log(np.maximum(self.survival, 1e-300))])
        found = np.exp(_interpolate(knots, log_survival, asked))
        return found[:, 0] if np.ndim(days) == 0 else found

    def probability(self, days: float | Floats) -> Floats:
        """Return P(event within ``days``): (n) for one number, (n x d) for d numbers."""
        return np.asarray(1.0 - self.survival_at(days))

    def count_at(self, days: float | Floats) -> Floats:
        """Return the expected number of events within ``days``: (n) for one number, (n x d) for d numbers."""
        asked = np.atleast_1d(np.asarray(days, float))
        knots = np.concatenate([[0.0], self.grid_days])
        found = _interpolate(knots, np.hstack([np.zeros((len(self), 1)), self.mean_count]), asked)
        return found[:, 0] if np.ndim(days) == 0 else found

    def quantile(self, level: float) -> Floats:
        """Return the days within which the event comes with probability ``level`` (n), NaN where that lies beyond the grid."""
        knots = np.concatenate([[0.0], self.grid_days])
        fallen = np.hstack([np.zeros((len(self), 1)), -np.log(np.maximum(self.survival, 1e-300))])
        wanted = -np.log1p(-level)
        place = (fallen < wanted).sum(axis=1)
        inside = place < len(knots)
        right = np.minimum(place, len(knots) - 1)
        rows = np.arange(len(self))
        low, high = fallen[rows, right - 1], fallen[rows, right]
        share = np.divide(wanted - low, high - low, out=np.zeros(len(self)), where=high > low)
        return np.where(inside, knots[right - 1] + share * (knots[right] - knots[right - 1]), np.nan)

    def after_silence(self, days: Floats) -> TimeToEvent:
        """Return the curves of those who stayed silent for ``days`` after the cutoff (n): S(d + t) / S(d).

        Silence is information; no model runs again. Expected counts are shifted the same way.
        """
        moved = replace(self.keys, cutoff=self.keys.cutoff + np.round(days * DAY).astype(np.int64))
        knots = np.concatenate([[0.0], self.grid_days])
        log_survival = np.hstack([np.zeros((len(self), 1)), np.log(np.maximum(self.survival, 1e-300))])
        count = np.hstack([np.zeros((len(self), 1)), self.mean_count])
        later = days[:, None] + np.concatenate([[0.0], self.grid_days])[None, :]
        survival, counted = _interpolate_rows(knots, log_survival, later), _interpolate_rows(knots, count, later)
        kept = np.exp(survival - survival[:, :1])[:, 1:]
        since = (counted - counted[:, :1])[:, 1:]
        return TimeToEvent.of(moved, self.grid_days, kept, since, self.model, prior=self.prior, in_sample=self.in_sample)

    def curve(self, user: str) -> TimeToEvent:
        """Return the forecast of one user alone.

        Raises
        ------
        NotFoundError
            When the user was not asked about.
        """
        rows = np.flatnonzero((self.keys.ids() == user).to_numpy())
        if not len(rows):
            raise NotFoundError(
                f"The user {user!r} is not in this forecast.", "It covers the users it was asked about.", "Name her in predict."
            )
        return self.take(rows[:1])

    def frame(self) -> pl.DataFrame:
        """Return one row per key and grid day: user_id, as_of, day, survival, probability, mean_count."""
        g = len(self.grid_days)
        return pl.DataFrame(
            {
                "user_id": self.keys.ids().gather(np.repeat(np.arange(len(self)), g)),
                "as_of": instants(np.repeat(self.keys.cutoff, g)),
                "day": np.tile(self.grid_days, len(self)),
                "survival": self.survival.ravel(),
                "probability": 1 - self.survival.ravel(),
                "mean_count": self.mean_count.ravel(),
            }
        )

    def plot(self) -> Any:
        """Return a chart of the curves: probability of the event within so many days (at most 20 keys are drawn)."""
        from whenbuy.core.chart.answers import curves

        return curves(self.take(slice(0, 20)).frame())

    def _repr_html_(self) -> str:
        some, n = self.take(slice(0, ROWS)), len(self)
        words = f"When the next event comes, by {self.model}: {_customers(n)}, curves over {self.grid_days[-1]:g} days."
        note = "Days by which it has come with a chance of 10 %, 50 % and 90 %; – lies beyond the curve."
        return card("TimeToEvent", words, summary(some), chart=some.plot() if n else None, note=note, rows=n)

    def __repr__(self) -> str:
        return f"TimeToEvent({len(self)} keys, {self.grid_days[-1]:g} days, model={self.model!r})"


@dataclass(frozen=True, slots=True, eq=False)
class Amount:
    """How much: the mean and some quantiles of an amount, given that it is spent.

    Parameters
    ----------
    keys
        Who was asked (n).
    mean
        Expected amount (n), in the shop's currency.
    levels
        Probabilities of the quantiles (q), rising.
    quantiles
        The amounts at those levels (n x q), never falling along a row.
    """

    keys: Keys
    mean: Floats
    levels: Floats
    quantiles: Floats
    model: str
    in_sample: bool = False

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.keys) or self.quantiles.shape != (len(self.keys), len(self.levels)):
            raise WhenbuyError("The parts of an amount forecast differ in length.")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.quantiles).all()):
            raise WhenbuyError("An amount forecast holds a value that is not a finite number.")
        if (np.diff(self.levels) <= 0).any() or (np.diff(self.quantiles, axis=1) < -TOLERANCE).any():
            raise WhenbuyError("The quantiles of an amount forecast fall.")

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: slice | Ints) -> Amount:
        """Return the amounts of some of the keys."""
        return replace(self, keys=self.keys.take(rows), mean=self.mean[rows], quantiles=self.quantiles[rows])

    def quantile(self, level: float) -> Floats:
        """Return the amount at one level (n), interpolated between the levels that the forecast holds."""
        return _interpolate(self.levels, self.quantiles, np.array([level]))[:, 0]

    def frame(self) -> pl.DataFrame:
        """Return one row per key: user_id, as_of, amount_mean and one column per level."""
        levels = {f"amount_p{100 * level:g}": self.quantiles[:, i] for i, level in enumerate(self.levels)}
        return pl.DataFrame({"user_id": self.keys.ids(), "as_of": instants(self.keys.cutoff), "amount_mean": self.mean} | levels)

    def plot(self) -> Any:
        """Return a chart of the amounts: the mean on the 80 % range (at most 20 keys are drawn)."""
        from whenbuy.core.chart.answers import ranges

        some = self.take(slice(0, 20))
        low, middle, high = (some.quantile(level) for level in (0.1, 0.5, 0.9))
        rows = pl.DataFrame({"user_id": some.keys.ids(), "low": low, "middle": middle, "high": high, "mean": some.mean})
        return ranges(rows, "amount: mean (dot), median (line) and 80 % range")

    def _repr_html_(self) -> str:
        some, n = self.take(slice(0, ROWS)), len(self)
        words = f"How much, by {self.model}: {_customers(n)}."
        return card("Amount", words, some.frame(), chart=some.plot() if n else None, rows=n)

    def __repr__(self) -> str:
        return f"Amount({len(self)} keys, model={self.model!r})"


@dataclass(frozen=True, slots=True, eq=False)
class Probability:
    """Whether something happens: one chance per key, such as that she redeems a coupon within the horizon of the question.

    Parameters
    ----------
    keys
        Who was asked (n).
    chance
        P(it happens) (n).
    prior
        True where nothing was known of the key, so that a prior answered (n); nowhere when absent.
    """

    keys: Keys
    chance: Floats
    model: str
    prior: Bools | None = None
    in_sample: bool = False

    def __post_init__(self) -> None:
        if self.chance.shape != (len(self.keys),):
            raise WhenbuyError(f"{len(self.keys)} keys were given chances of shape {self.chance.shape}.")
        if len(self.keys) and not (self.chance.min() >= 0 and self.chance.max() <= 1):
            raise WhenbuyError("A chance lies outside [0, 1] or is no number.")

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: slice | Ints) -> Probability:
        """Return the chances of some of the keys."""
        prior = None if self.prior is None else self.prior[rows]
        return replace(self, keys=self.keys.take(rows), chance=self.chance[rows], prior=prior)

    def frame(self) -> pl.DataFrame:
        """Return one row per key: user_id, as_of, probability."""
        return pl.DataFrame({"user_id": self.keys.ids(), "as_of": instants(self.keys.cutoff), "probability": self.chance})

    def plot(self) -> Any:
        """Return a chart of the chances (at most 20 keys are drawn)."""
        from whenbuy.core.chart.answers import chances

        return chances(self.take(slice(0, 20)).frame(), "chance")

    def _repr_html_(self) -> str:
        some, n = self.take(slice(0, ROWS)), len(self)
        words = f"Whether it happens, by {self.model}: {_customers(n)}, {self.chance.sum():,.4g} expected."
        return card("Probability", words, some.frame(), chart=some.plot() if n else None, rows=n)

    def __repr__(self) -> str:
        return f"Probability({len(self)} keys, model={self.model!r})"


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """Which classes of things she buys from within a horizon: one chance per key and class. Several can come true at once.

    Parameters
    ----------
    keys
        Who was asked (n).
    classes
        Names of the classes (k), such as product categories.
    chance
        P(buys at least one thing of the class within the horizon) (n x k).
    horizon_days
        The length asked about.
    prior
        True where nothing was known of the key, so that a prior answered (n); nowhere when absent.
    """

    keys: Keys
    classes: tuple[str, ...]
    chance: Floats
    horizon_days: float
    model: str
    prior: Bools | None = None
    in_sample: bool = False

    def __post_init__(self) -> None:
        if self.chance.shape != (len(self.keys), len(self.classes)):
            raise WhenbuyError(f"{len(self.keys)} keys and {len(self.classes)} classes were given chances of shape {self.chance.shape}.")
        if self.chance.size and not (self.chance.min() >= 0 and self.chance.max() <= 1):
            raise WhenbuyError("A chance lies outside [0, 1] or is no number.")

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: slice | Ints) -> Classes:
        """Return the chances of some of the keys."""
        prior = None if self.prior is None else self.prior[rows]
        return replace(self, keys=self.keys.take(rows), chance=self.chance[rows], prior=prior)

    def at_most(self, chance: Floats) -> Classes:
        """Return the same answer under a ceiling per key (n): who buys from a class buys."""
        return replace(self, chance=np.minimum(self.chance, chance[:, None]))

    def top(self, m: int = 3) -> Ints:
        """Return the positions of each key's likeliest classes, the likeliest first (n x m)."""
        return np.argsort(-self.chance, axis=1, kind="stable")[:, :m].astype(np.int64)

    def frame(self) -> pl.DataFrame:
        """Return one row per key and class: user_id, as_of, class, probability."""
        k = len(self.classes)
        rows = np.repeat(np.arange(len(self)), k)
        names = pl.Series(list(self.classes), dtype=pl.String).gather(np.tile(np.arange(k), len(self)))
        head = {"user_id": self.keys.ids().gather(rows), "as_of": instants(self.keys.cutoff[rows])}
        return pl.DataFrame(head | {"class": names, "probability": self.chance.ravel()})

    def plot(self) -> Any:
        """Return a chart of the chances per key and class (at most 20 keys and the 10 classes most bought among them)."""
        from whenbuy.core.chart.answers import classes

        some = self.take(slice(0, 20))
        best = np.argsort(-some.chance.sum(axis=0), kind="stable")[:10]
        shown = replace(some, classes=tuple(self.classes[k] for k in best), chance=some.chance[:, best])
        return classes(shown.frame(), f"chance to buy from a class within {self.horizon_days:g} days")

    def _repr_html_(self) -> str:
        some, n, k = self.take(slice(0, ROWS)), len(self), len(self.classes)
        words = f"From which of {k} classes she buys within {self.horizon_days:g} days, by {self.model}: {_customers(n)}."
        likeliest = [", ".join(f"{self.classes[c]} {percent(some.chance[row, c])}" for c in top) for row, top in enumerate(some.top())]
        rows = pl.DataFrame({"user_id": some.keys.ids(), "likeliest": pl.Series(likeliest, dtype=pl.String)})
        return card("Classes", words, rows, chart=some.plot() if n and k else None, rows=n)

    def __repr__(self) -> str:
        return f"Classes({len(self)} keys, {len(self.classes)} classes, model={self.model!r})"


def summary(curves: TimeToEvent) -> pl.DataFrame:
    """Return one row per key: the days by which the next event comes with probability .1, .5 and .9."""
    levels = {f"days_p{100 * level:.0f}": pl.Series(curves.quantile(level), nan_to_null=True) for level in (0.1, 0.5, 0.9)}
    return pl.DataFrame({"user_id": curves.keys.ids(), "as_of": instants(curves.keys.cutoff)} | levels)


def _customers(n: int) -> str:
    return f"{n:,} {'key' if n == 1 else 'keys'}"


def instants(values: Instants) -> pl.Series:
    """Return instants as a column of UTC date-times."""
    return pl.Series(np.ascontiguousarray(values), dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))


def _interpolate(knots: Floats, values: Floats, asked: Floats) -> Floats:
    """Return ``values`` (n x k) at the asked positions (d), straight between knots, the last slope continuing beyond them."""
    right = np.clip(np.searchsorted(knots, asked, side="left"), 1, max(len(knots) - 1, 1)) if len(knots) > 1 else np.zeros(len(asked), int)
    left = np.maximum(right - 1, 0)
    width = np.where(right > left, knots[right] - knots[left], 1.0)
    share = (asked - knots[left]) / width
    return np.asarray(values[:, left] + share * (values[:, right] - values[:, left]))


def _interpolate_rows(knots: Floats, values: Floats, asked: Floats) -> Floats:
    """Return ``values`` (n x k) at positions of each row's own (n x d)."""
    right = np.clip(np.searchsorted(knots, asked.ravel(), side="left"), 1, len(knots) - 1).reshape(asked.shape)
    rows = np.arange(len(values))[:, None]
    share = (asked - knots[right - 1]) / (knots[right] - knots[right - 1])
    return np.asarray(values[rows, right - 1] + share * (values[rows, right] - values[rows, right - 1]))
