"""The forecast of series: how many units, orders or visits come in each of the next days or weeks, and within what bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.card import ROWS, card
from whenbuy.core.errors import NotFoundError, UsageError, WhenbuyError
from whenbuy.core.forecast import TOLERANCE, instants
from whenbuy.core.keys import Keys

LEVELS: Final = (0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)
"""Levels at which series are told: bounds of the 80 % and 90 % ranges, and what stock needs."""
NAMED: Final = {"item": "item_id", "category": "category", "campaign": "offer_id", "shop": "shop", "user": "user_id"}
"""The column of a table that holds the names of each entity."""
_DRAWN: Final = 6


@dataclass(frozen=True, slots=True, eq=False)
class SeriesForecast:
    """How much comes in each of the next steps (days or weeks of the shop), one series per key.

    Parameters
    ----------
    keys
        Items, categories, campaigns or the shop (n), all at one cutoff.
    step_days
        Length of a step: 1 or 7 days.
    start
        The shop-local day on which the first step begins, in days since 1970-01-01. Steps follow each other without a gap.
    mean
        Expected amount in each step (n x h), never below 0.
    levels
        Probabilities of the quantiles (q), rising.
    quantiles
        The amounts of each step at those levels (n x h x q), never below 0, never falling along the levels.
    models
        The name of the model that answered for each key (n).
    prior
        True where the series said nothing, so that what is usual answered (n); nowhere when absent.
    measure
        What is counted: ``demand`` (units), ``orders``, ``visits``, ``clicks`` …
    sums
        Quantiles of what comes in the first k steps together, for k = 1 … h (n x h x q): what stock needs, since quantiles of steps do
        not add up. None where the model does not tell.
    past
        The last known steps before the start (n x p), NaN before a series began; for the picture. None where not kept.
    """

    keys: Keys
    step_days: int
    start: int
    mean: Floats
    levels: Floats
    quantiles: Floats
    models: tuple[str, ...]
    prior: Bools | None = None
    measure: str = "demand"
    sums: Floats | None = None
    past: Floats | None = None

    def __post_init__(self) -> None:
        n = len(self.keys)
        if self.mean.ndim != 2 or len(self.mean) != n or not self.mean.shape[1] or len(self.models) != n:
            raise WhenbuyError(f"Means of shape {self.mean.shape} and {len(self.models)} model names were given for {n} series.")
        if self.step_days not in (1, 7):
            raise WhenbuyError(f"Steps of {self.step_days} days were given; a step is a day or a week.")
        if not len(self.levels) or (np.diff(self.levels) <= 0).any() or self.levels[0] <= 0 or self.levels[-1] >= 1:
            raise WhenbuyError("The levels of a series forecast must rise and lie between 0 and 1.")
        for part in (self.quantiles, *(() if self.sums is None else (self.sums,))):
            _require_quantiles(part, (*self.mean.shape, len(self.levels)))
        if not np.isfinite(self.mean).all() or self.mean.min(initial=0.0) < -TOLERANCE:
            raise WhenbuyError("A mean of a series forecast is below 0 or no finite number.")
        if (self.prior is not None and len(self.prior) != n) or (self.past is not None and len(self.past) != n):
            raise WhenbuyError("The parts of a series forecast differ in length.")

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def horizon(self) -> int:
        """How many steps it tells (h)."""
        return int(self.mean.shape[1])

    @property
    def horizon_days(self) -> int:
        """How many days it tells."""
        return self.horizon * self.step_days

    @property
    def model(self) -> str:
        """The names of the models that answered, the commonest first."""
        names, count = np.unique(np.array(self.models, dtype=object).astype(str), return_counts=True)
        return ", ".join(names[np.argsort(-count, kind="stable")].tolist())

    def days(self) -> Ints:
        """Return the shop-local day on which each step begins (h), in days since 1970-01-01."""
        return self.start + self.step_days * np.arange(self.horizon, dtype=np.int64)

    def quantile(self, level: float) -> Floats:
        """Return the amount of each step at one level (n x h), straight between the levels that the forecast holds.

        Raises
        ------
        UsageError
            When the level lies outside those held.
        """
        return _at(self.levels, self.quantiles, level)

    def sum_quantile(self, level: float) -> Floats:
        """Return what comes in the first k steps together at one level (n x h, k = 1 … h).

        Raises
        ------
        UsageError
            When the level lies outside those held, or the forecast does not tell sums.
        """
        if self.sums is None:
            raise UsageError("This forecast does not tell sums of steps.", "Quantiles of steps do not add up.", "Ask for each step.")
        return _at(self.levels, self.sums, level)

    def chance_above(self, amount: Floats, steps: int) -> Floats:
        """Return the chance that the first steps together bring more than an amount of each key (n), told between the outermost levels.

        Raises
        ------
        UsageError
            When the forecast does not tell sums, or not so many steps.
        """
        if self.sums is None or not 1 <= steps <= self.horizon:
            raise UsageError(
                f"The sum of {steps} steps was asked for.", f"{self.horizon} are told, with sums or without.", "Ask for these."
            )
        held = self.sums[:, steps - 1]
        below = (held <= amount[:, None]).sum(axis=1)
        left, right = np.clip(below - 1, 0, len(self.levels) - 1), np.clip(below, 0, len(self.levels) - 1)
        rows = np.arange(len(self))
        low, high = held[rows, left], held[rows, right]
        share = np.divide(amount - low, high - low, out=np.zeros(len(self)), where=high > low)
        at = self.levels[left] + np.clip(share, 0.0, 1.0) * (self.levels[right] - self.levels[left])
        return np.asarray(np.where(below == 0, 1 - self.levels[0], np.where(below == len(self.levels), 1 - self.levels[-1], 1 - at)))

    def take(self, rows: slice | Ints) -> SeriesForecast:
        """Return the forecasts of some of the keys."""
        where = np.arange(len(self))[rows]
        sums, past = (None if part is None else part[where] for part in (self.sums, self.past))
        prior = None if self.prior is None else self.prior[where]
        return replace(
            self, keys=self.keys.take(where), mean=self.mean[where], quantiles=self.quantiles[where],
            models=tuple(self.models[i] for i in where), prior=prior, sums=sums, past=past,
        )  # fmt: skip

    def of(self, name: str) -> SeriesForecast:
        """Return the forecast of one item, category or campaign alone.

        Raises
        ------
        NotFoundError
            When it was not asked about.
        """
        rows = np.flatnonzero((self.keys.ids() == name).to_numpy())
        if not len(rows):
            raise NotFoundError(
                f"The {self.keys.entity} {name!r} is not in this forecast.", f"It covers {len(self):,} of them.", "Name it when you ask."
            )
        return self.take(rows[:1])

    def frame(self) -> pl.DataFrame:
        """Return one row per key and step: name, as_of, step (from 1), begins (date), measure, mean, p5 … p99, model, prior."""
        n, h = self.mean.shape
        row = np.repeat(np.arange(n), h)
        levels = {f"p{100 * level:g}": self.quantiles[:, :, i].ravel() for i, level in enumerate(self.levels)}
        prior = np.zeros(n, bool) if self.prior is None else self.prior
        return pl.DataFrame(
            {
                NAMED[self.keys.entity]: self.keys.ids().gather(row),
                "as_of": instants(self.keys.cutoff[row]),
                "step": np.tile(np.arange(1, h + 1), n),
                "begins": dates(np.tile(self.days(), n)),
                "measure": pl.repeat(self.measure, n * h, dtype=pl.String, eager=True),
                "mean": self.mean.ravel(),
            }
            | levels
            | {"model": pl.Series(self.models, dtype=pl.String).gather(row), "prior": prior[row]}
        )

    def totals(self) -> pl.DataFrame:
        """Return one row per key, over all steps: name, as_of, days, mean, low and high (80 %; null without sums), model, prior."""
        none = pl.Series([None] * len(self), dtype=pl.Float64)
        low, high = (none if self.sums is None else pl.Series(self.sum_quantile(level)[:, -1]) for level in (0.1, 0.9))
        return pl.DataFrame(
            {
                NAMED[self.keys.entity]: self.keys.ids(),
                "as_of": instants(self.keys.cutoff),
                "days": np.full(len(self), self.horizon_days),
                "mean": self.mean.sum(axis=1),
                "low": low,
                "high": high,
                "model": pl.Series(self.models, dtype=pl.String),
                "prior": np.zeros(len(self), bool) if self.prior is None else self.prior,
            }
        )

    def points(self) -> pl.DataFrame:
        """Return what a picture needs: name, day (date), value (what was), mean, low, high (80 %), inner_low, inner_high (50 %)."""
        names, days = self.keys.ids(), self.days()
        ahead = {part: self.quantile(level).ravel() for part, level in _BOUNDS.items()}
        rows = np.repeat(np.arange(len(self)), self.horizon)
        told = pl.DataFrame({"name": names.gather(rows), "day": dates(np.tile(days, len(self))), "mean": self.mean.ravel()} | ahead)
        if self.past is None:
            return told.with_columns(value=pl.lit(None, pl.Float64))
        p = self.past.shape[1]
        before = self.start - self.step_days * np.arange(p, 0, -1, dtype=np.int64)
        rows = np.repeat(np.arange(len(self)), p)
        value = pl.Series(self.past.ravel(), dtype=pl.Float64, nan_to_null=True)
        known = pl.DataFrame({"name": names.gather(rows), "day": dates(np.tile(before, len(self))), "value": value})
        return pl.concat([known.drop_nulls("value"), told], how="diagonal")

    def plot(self) -> Any:
        """Return a fan chart: what was, what is expected, and its 50 % and 80 % ranges (the six largest series are drawn)."""
        from whenbuy.core.chart.answers import fans

        largest = np.sort(np.argsort(-self.mean.sum(axis=1), kind="stable")[:_DRAWN])
        step = "day" if self.step_days == 1 else "week"
        return fans(self.take(largest).points(), f"{self.measure} per {step}")

    def _repr_html_(self) -> str:
        n = len(self)
        words = f"{self.measure.capitalize()} of {n:,} {self.keys.entity} series over {self.horizon_days} days, by {self.model}."
        note = "Totals over these days; low and high bound the middle 80 %."
        return card("SeriesForecast", words, self.take(slice(0, ROWS)).totals(), chart=self.plot() if n else None, note=note, rows=n)

    def __repr__(self) -> str:
        unit = "days" if self.step_days == 1 else "weeks"
        return f"SeriesForecast({len(self)} {self.keys.entity} series, {self.horizon} {unit}, {self.measure})"


_BOUNDS: Final = {"low": 0.1, "inner_low": 0.25, "inner_high": 0.75, "high": 0.9}


def dates(days: Ints) -> pl.Series:
    """Return days since 1970-01-01 as a column of dates."""
    return pl.Series(np.asarray(days), dtype=pl.Int32).cast(pl.Date)


def _require_quantiles(part: Floats, shape: tuple[int, ...]) -> None:
    if part.shape != shape:
        raise WhenbuyError(f"Quantiles of shape {part.shape} were given for {shape} series, steps and levels.")
    if not np.isfinite(part).all() or part.min(initial=0.0) < -TOLERANCE:
        raise WhenbuyError("A quantile of a series forecast is below 0 or no finite number.")
    if (np.diff(part, axis=2) < -TOLERANCE).any():
        raise WhenbuyError("The quantiles of a series forecast fall.")


def _at(levels: Floats, values: Floats, level: float) -> Floats:
    """Return values (n x h x q) at one level (n x h)."""
    if not levels[0] <= level <= levels[-1]:
        raise UsageError(f"The level {level:g} was asked for.", f"Levels {levels[0]:g} to {levels[-1]:g} are held.", "Ask for one between.")
    right = int(np.clip(np.searchsorted(levels, level), 1, max(len(levels) - 1, 1))) if len(levels) > 1 else 0
    left = max(right - 1, 0)
    share = (level - levels[left]) / (levels[right] - levels[left]) if right > left else 0.0
    return np.asarray(values[:, :, left] + share * (values[:, :, right] - values[:, :, left]))
