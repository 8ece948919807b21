"""An explanation: what the forecasts of some customers rest on, in figures and in words that agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final, Literal, Protocol

import numpy as np
import polars as pl
from polars import selectors

from whenbuy.core.arrays import Bools, Ints
from whenbuy.core.errors import NotFoundError, WhenbuyError
from whenbuy.core.examples import Table
from whenbuy.core.forecast import instants
from whenbuy.core.keys import Keys
from whenbuy.core.text import label, printable
from whenbuy.reasons.events import Events
from whenbuy.reasons.families import TITLES, Facts, Family, Said, say
from whenbuy.reasons.shapley import Shares, absolute_mean
from whenbuy.reasons.sizes import decimals, percent, sized, something, unit

_SCHEMA: Final = {
    "user_id": pl.String, "row": pl.Int64, "reason": pl.String, "points": pl.Float64, "error": pl.Float64, "feature": pl.String,
    "now": pl.Float64, "usual": pl.Float64, "state": pl.String, "detail": pl.String,
}  # fmt: skip


class Further(Protocol):
    """What can be asked of the model behind an explanation."""

    def importance(self, by: Literal["reason", "feature"]) -> pl.DataFrame:
        """Return what the model leans on, over many customers."""

    def changes(self, row: int) -> pl.DataFrame:
        """Return what would change the forecast of one of the customers asked about."""

    def dependence(self, feature: str) -> pl.DataFrame:
        """Return the mean forecast by the value of one feature."""

    def events(self, row: int, latest: int) -> Events:
        """Return what each of the latest events of one of the customers asked about does to her forecast."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for a forecast: its family, what it adds, its standard error (both in probability points) and what it says."""

    family: str
    points: float
    error: float
    said: Said


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Why the model says what it says of some customers, beside typical customers of the same shop at the same moment.

    The reasons describe the model: what it makes of what it knows. They are not causes.

    Parameters
    ----------
    keys
        Who was asked about (n).
    horizon_days
        What is explained is the chance that she orders within so many days.
    families
        The groups of features between which a forecast is shared out (p).
    shares
        What each adds (n x p).
    table
        The features of each customer (n rows).
    usual
        The typical customers' median of each feature, NaN where none of them has it.
    weekday
        The weekday (0: Monday) on which each customer's features were read (n).
    prior
        True where nothing is known of her, so that what is usual for a newcomer answers (n).
    model
        The name of the model.
    further
        What else can be asked of it.
    """

    keys: Keys
    horizon_days: float
    families: tuple[Family, ...]
    shares: Shares
    table: Table
    usual: Mapping[str, float]
    weekday: Ints
    prior: Bools
    model: str
    further: Further

    def __post_init__(self) -> None:
        n, p = len(self.keys), len(self.families)
        if self.shares.size.shape != (n, p) or not len(self.table) == len(self.weekday) == len(self.prior) == n:
            raise WhenbuyError(f"An explanation of {n} customers and {p} reasons was made of parts of other sizes.")

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def base(self) -> float:
        """The mean forecast of the typical customers."""
        return self.shares.base

    def reasons(self, user: str) -> tuple[Reason, ...]:
        """Return every reason for the forecast of one customer, the largest first.

        Raises
        ------
        NotFoundError
            When she was not asked about.
        """
        return self._reasons(self._row(user))

    def frame(self) -> pl.DataFrame:
        """Return one row per customer and reason, the largest first.

        ``user_id``; ``as_of``; ``probability``: the forecast; ``base``: that of the typical customers; ``reason``; ``points``: what the
        reason adds, in probability points (base + sum of points / 100 = probability); ``error``: its standard error from sampling, in
        points; ``feature``: the number that is quoted, its value ``now`` and the ``usual`` one, the median of the typical customers;
        ``state``, ``detail``: the words.
        """
        rows: list[tuple[Any, ...]] = []
        for row, name in enumerate(self.keys.ids().to_list()):
            for one in self._reasons(row):
                said = one.said
                told = (said.feature, said.now, said.usual, said.state, said.detail)
                rows.append((name, row, TITLES[one.family], one.points, one.error, *told))
        made = pl.DataFrame(rows, schema=_SCHEMA, orient="row").with_columns(selectors.float().fill_nan(None))
        at = made["row"].to_numpy()
        as_of, chance = instants(self.keys.cutoff[at]).alias("as_of"), pl.Series("probability", self.shares.chance[at])
        return made.select("user_id", as_of, chance, pl.lit(self.base).alias("base"), pl.exclude("user_id", "row"))

    def why(self, user: str, top: int = 3) -> str:
        """Return the largest reasons for one customer in words, such as "usual gap nearly over: +14 points; no views lately: −3".

        Reasons that round to nothing are left out. Raises as ``reasons``.
        """
        row = self._row(user)
        spoken = self._spoken(row, top)
        if not spoken:
            return f"as most customers ({percent(float(self.shares.chance[row]))})"
        words = [f"{one.said.state}: {self._sized(row, one.points)}" for one in spoken]
        return "; ".join([f"{words[0]} {unit(self._sized(row, spoken[0].points))}", *words[1:]])

    def headline(self, user: str) -> str:
        """Return the forecast of one customer beside the typical one. Raises as ``reasons``."""
        within = f"within {self.horizon_days:g} {'day' if self.horizon_days == 1 else 'days'}"
        chance = percent(float(self.shares.chance[self._row(user)]))
        return f"Customer {label(user)}: {chance} to order {within}; typical is {percent(self.base)}."

    def sentence(self, user: str, top: int = 3) -> str:
        """Return the forecast of one customer and its largest reasons as sentences, with the numbers behind them. Raises as ``reasons``."""
        row, parts = self._row(user), [self.headline(user)]
        if self.prior[row]:
            return f"{parts[0]} Nothing is known of her: what is usual for a newcomer answers."
        spoken = self._spoken(row, top)
        for head, sign in (("For it speak", 1), ("Against it", -1)):
            told = [self._detailed(row, one) for one in spoken if one.points * sign > 0]
            parts += [f"{head}: {'; '.join(told)}."] if told else []
        return " ".join(parts if spoken else [*parts, "Nothing about her is far from usual."])

    def importance(self, by: Literal["reason", "feature"] = "reason") -> pl.DataFrame:
        """Return what the model leans on, the most important first.

        Of each reason (or feature): ``points``, the mean size of its Shapley value over the typical customers, in probability points
        (reasons only); ``logloss``: by how much the log-loss of forecasts rises when its values are swapped between customers (permutation
        importance: Breiman 2001; Fisher, Rudin and Dominici 2019); and the 95 % intervals of both over customers. ``in_sample`` says
        whether the model had learned from the weeks on which log-loss was measured: it then tells what the model uses, not what that
        would gain on new weeks. Null where no window has closed yet.
        """
        return self.further.importance(by)

    def what_would_change(self, user: str) -> pl.DataFrame:
        """Return the forecasts of one customer after things that can happen: ``change``, ``probability`` and ``points`` beside now.

        Each was made by appending the event to her history, or by letting days pass in silence, and asking the model again; the horizon
        runs from then on. Raises as ``reasons``.
        """
        return self.further.changes(self._row(user))

    def events(self, user: str, latest: int = 32) -> Events:
        """Return what each of the latest events of one customer does to her forecast.

        Each was made by leaving the event (all lines of an order) out of her history and asking the whole model again, the others staying
        where they are in time (occlusion: Zeiler and Fergus 2014). Raises as ``reasons``.

        Raises
        ------
        SettingsError
            When fewer than one event is asked about.
        """
        return self.further.events(self._row(user), latest)

    def dependence(self, feature: str) -> pl.DataFrame:
        """Return the mean forecast of customers by the value of one feature, all else as it is (partial dependence: Friedman 2001).

        ``value``: values that customers have; ``probability``: the mean; ``low``, ``high``: between these lie 80 % of the customers.

        Raises
        ------
        ColumnError
            When the model has no such feature.
        """
        return self.further.dependence(feature)

    def plot(self, user: str | None = None) -> Any:
        """Return a chart of the reasons for one customer; of the mean size of each reason where nobody is named. Raises as ``reasons``."""
        from whenbuy.core.chart import answers

        if user is None:
            mean = 100 * absolute_mean(self.shares.size[~self.prior])[0] if not self.prior.all() else np.zeros(len(self.families))
            bars = sorted(((family.title, float(size)) for family, size in zip(self.families, mean, strict=True)), key=lambda bar: -bar[1])
            title = f"What moves these forecasts, customers: {len(self)}"
        else:
            bars = [(one.said.state, one.points) for one in self.reasons(user)]
            title = f"Reasons for the forecast of {label(user)}"
        frame = pl.DataFrame([bar for bar in bars if bar[1]], schema={"reason": pl.String, "points": pl.Float64}, orient="row")
        return answers.reasons(frame, title, signed=user is not None)

    def _reasons(self, row: int) -> tuple[Reason, ...]:
        if self.prior[row]:
            points = 100 * (float(self.shares.chance[row]) - self.base)
            return (Reason("unknown", points, 0.0, Said(TITLES["unknown"])),)
        now = dict(zip(self.table.names, self.table.values[row].astype(np.float64).tolist(), strict=True))
        facts = Facts(now, self.usual, int(self.weekday[row]))
        found = [
            Reason(family.part.name, 100 * float(size), 100 * float(error), say(family, facts))
            for family, size, error in zip(self.families, self.shares.size[row], self.shares.error[row], strict=True)
        ]
        return tuple(sorted(found, key=lambda one: -abs(one.points)))

    def _spoken(self, row: int, top: int) -> list[Reason]:
        """Return the largest reasons that do not round to nothing."""
        return [one for one in self._reasons(row)[:top] if something(self._sized(row, one.points))]

    def _sized(self, row: int, points: float) -> str:
        return sized(points, decimals(self._reasons(row)[0].points))

    def _detailed(self, row: int, one: Reason) -> str:
        size = self._sized(row, one.points)
        numbers = f"{one.said.detail}; " if one.said.detail else ""
        return f"{one.said.state} ({numbers}{size} {unit(size)})"

    def _row(self, user: str) -> int:
        rows = np.flatnonzero((self.keys.ids() == user).to_numpy())
        if not len(rows):
            raise NotFoundError(
                f"The user {user!r} is not in this explanation.", "It covers the users it was asked about.", "Name her too."
            )
        return int(rows[0])

    def _repr_html_(self) -> str:
        lines = "".join(
            f"<tr><td>{escape(printable(name))}</td><td>{escape(percent(float(chance)))}</td><td>{escape(self.why(name))}</td></tr>"
            for name, chance in zip(self.keys.ids().to_list(), self.shares.chance, strict=True)
        )
        head = f"<tr><th>customer</th><th>orders within {self.horizon_days:g} days</th><th>why</th></tr>"
        return f"<table><thead>{head}</thead><tbody>{lines}</tbody></table>"

    def __repr__(self) -> str:
        return f"Explanation({len(self)} customers, {len(self.families)} reasons, base {percent(self.base)}, {self.horizon_days:g} days)"
