"""Scores with their intervals, and a model beside its floor: the one entry to all measures."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import polars as pl

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.card import card
from whenbuy.core.errors import NotFoundError, UsageError
from whenbuy.core.outlook import Outlook
from whenbuy.evaluate.answers import Answer, Truth, measures_of
from whenbuy.evaluate.bootstrap import draws, interval
from whenbuy.evaluate.measure import Better, Measure

Verdict = Literal["better", "worse", "no clear difference", ""]


@dataclass(frozen=True, slots=True)
class Score:
    """One score of one forecast, with its 95 % interval over resampled users; NaN where there is none, and ``note`` says why."""

    name: str
    value: float
    low: float
    high: float
    better: Better
    aim: float
    definition: str
    note: str


_SHOWN = 25
_NUMBERS = ("ours", "floor", "difference", "low", "high", "ours_low", "ours_high")
Row = TypeVar("Row", "Score", "Duel")


@dataclass(frozen=True, slots=True)
class Scores:
    """All scores of one forecast.

    Parameters
    ----------
    model
        The name of the model that answered.
    keys
        How many keys were scored.
    users
        How many users they belong to: what the intervals rest on.
    rows
        The scores.
    """

    model: str
    keys: int
    users: int
    rows: tuple[Score, ...]

    def __getitem__(self, name: str) -> float:
        """Return the value of one score.

        Raises
        ------
        NotFoundError
            When there is no score of that name.
        """
        return _named(self.rows, name).value

    def values(self) -> dict[str, tuple[float, float, float]]:
        """Return value, low and high of every score, by name."""
        return {row.name: (row.value, row.low, row.high) for row in self.rows}

    def frame(self) -> pl.DataFrame:
        """Return one row per score: name, value, low, high, better, definition, note; null where there is no value."""
        return pl.DataFrame(
            {
                "name": [row.name for row in self.rows],
                "value": _column(row.value for row in self.rows),
                "low": _column(row.low for row in self.rows),
                "high": _column(row.high for row in self.rows),
                "better": [_direction(row.better, row.aim) for row in self.rows],
                "definition": [row.definition for row in self.rows],
                "note": [row.note for row in self.rows],
            },
            schema_overrides=dict.fromkeys(("name", "better", "definition", "note"), pl.String),
        )

    def _repr_html_(self) -> str:
        words = f"{self.keys:,} forecasts by {self.model}, of {self.users:,} users; with 95 % intervals over users."
        return card("Scores", words, self.frame().select("name", "value", "low", "high", "better", "note"), most=_SHOWN)


@dataclass(frozen=True, slots=True)
class Duel:
    """One score of two forecasts of the same rows.

    ``difference`` is ours minus the floor's (of a score that should be near its aim: of the distances to it), with its 95 % interval over
    resampled users. The verdict is "better" or "worse" only where that interval excludes 0, and empty where there is nothing to compare.
    ``ours_low`` and ``ours_high`` are the 95 % interval of our own score.
    """

    name: str
    ours: float
    floor: float
    difference: float
    low: float
    high: float
    better: Better
    aim: float
    verdict: Verdict
    definition: str
    note: str
    ours_low: float = float("nan")
    ours_high: float = float("nan")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A forecast beside its floor, score by score."""

    model: str
    floor: str
    keys: int
    users: int
    rows: tuple[Duel, ...]

    def __getitem__(self, name: str) -> Duel:
        """Return one row.

        Raises
        ------
        NotFoundError
            When there is no score of that name.
        """
        return _named(self.rows, name)

    def frame(self) -> pl.DataFrame:
        """Return one row per score: name, ours, floor, difference, low, high, ours_low, ours_high, better, verdict, definition, note."""
        numbers = {part: _column(getattr(row, part) for row in self.rows) for part in _NUMBERS}
        return pl.DataFrame(
            {"name": [row.name for row in self.rows]}
            | numbers
            | {
                "better": [_direction(row.better, row.aim) for row in self.rows],
                "verdict": [row.verdict for row in self.rows],
                "definition": [row.definition for row in self.rows],
                "note": [row.note for row in self.rows],
            },
            schema_overrides=dict.fromkeys(("name", "better", "verdict", "definition", "note"), pl.String),
        )

    def _repr_html_(self) -> str:
        words = (
            f"{self.keys:,} forecasts by {self.model} beside {self.floor}, of {self.users:,} users; low to high: 95 % of the difference."
        )
        return card("Comparison", words, self.frame().select("name", "ours", "floor", "difference", "low", "high", "verdict"), most=_SHOWN)


def score(
    answer: Answer,
    truth: Truth,
    horizons: Sequence[float] = (),
    clusters: Ints | None = None,
    *,
    threshold: float = 0.5,
    names: Collection[str] = (),
    rounds: int = 1000,
    seed: int = 0,
) -> Scores:
    """Return the scores of a forecast against what came true.

    Parameters
    ----------
    answer
        An outlook or one forecast (n keys).
    truth
        The labels of the same keys: by question for an outlook (what it answers and ``truth`` names is scored; ``orders`` is scored
        against the curves' mean count).
    horizons
        Days at which the chance to buy is scored; those of the outlook by default.
    clusters
        The user of each key (n), for the bootstrap; the key's own entity by default.
    threshold
        The probability from which on a row counts as told, for accuracy, precision, recall and F1.
    names
        The names of the scores wanted; all by default.
    rounds
        Resamples of the users for the intervals; a fifth of them for scores of ranks. 0 leaves the intervals out.
    seed
        Where chance starts.

    Raises
    ------
    UsageError
        When the labels do not belong to the answer, or a curve is scored without a horizon.
    """
    measures, users = measures_of(answer, truth, horizons, threshold, names), users_of(answer, clusters)
    return Scores(model_of(answer), len(answer), len(np.unique(users)), scored(measures, users, rounds, seed))


def scored(measures: Sequence[Measure], users: Ints, rounds: int, seed: int = 0) -> tuple[Score, ...]:
    """Return measures of the same n rows with their values and intervals, by the bootstrap over users (n)."""
    found = draws(measures, users, rounds, np.random.default_rng(seed), slow_rounds=-(-rounds // 5))
    return tuple(
        Score(m.name, m.value(), *interval(drawn), m.better, m.aim, m.definition, m.note) for m, drawn in zip(measures, found, strict=True)
    )


def compare(
    ours: Answer,
    floor: Answer,
    truth: Truth,
    horizons: Sequence[float] = (),
    clusters: Ints | None = None,
    *,
    threshold: float = 0.5,
    names: Collection[str] = (),
    rounds: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Return a forecast beside its floor: every score that both have, the difference and its paired bootstrap interval over users.

    Parameters
    ----------
    ours, floor
        Two forecasts of the same keys in the same order (n).
    truth, horizons, clusters, threshold, names, rounds, seed
        As for ``score``.

    Raises
    ------
    UsageError
        When the two were asked about different keys.
    """
    _require_same_keys(ours, floor)
    users = users_of(ours, clusters)
    mine, theirs = (measures_of(answer, truth, horizons, threshold, names) for answer in (ours, floor))
    return Comparison(model_of(ours), model_of(floor), len(ours), len(np.unique(users)), duels(mine, theirs, users, rounds, seed))


def duels(ours: Sequence[Measure], floor: Sequence[Measure], users: Ints, rounds: int, seed: int = 0) -> tuple[Duel, ...]:
    """Return the measures that two sets have in common side by side, both drawn on the same resamples of the users (n)."""
    other = {measure.name: measure for measure in floor}
    pairs = [(measure, other[measure.name]) for measure in ours if measure.name in other]
    both = [measure for pair in pairs for measure in pair]
    found = draws(both, users, rounds, np.random.default_rng(seed), slow_rounds=-(-rounds // 5))
    return tuple(_duel(a, b, found[2 * i], found[2 * i + 1]) for i, (a, b) in enumerate(pairs))


def users_of(answer: Answer, clusters: Ints | None = None) -> Ints:
    """Return the user of each key (n), for the bootstrap: those given, else the keys' own entities.

    Raises
    ------
    UsageError
        When there are more or fewer clusters than keys.
    """
    if clusters is not None and len(clusters) != len(answer):
        raise UsageError(
            f"{len(answer)} keys were given {len(clusters)} clusters.", "Every key needs one.", "Leave them out to take its user."
        )
    return answer.keys.code.astype(np.int64) if clusters is None else clusters


def model_of(answer: Answer) -> str:
    """Return the name of the model that answered; of an outlook, that of its curve."""
    return answer.purchase.model if isinstance(answer, Outlook) else answer.model


def _duel(ours: Measure, floor: Measure, our_draws: Floats, floor_draws: Floats) -> Duel:
    """Return one row of a comparison from draws that were made on the same resamples."""
    a, b = ours.value(), floor.value()
    verdict: Verdict = ""
    low = high = float("nan")
    if len(our_draws) and len(floor_draws) and ours.better != "context":
        low, high = interval(ours.badness(our_draws) - ours.badness(floor_draws))
        verdict = "better" if high < 0 else "worse" if low > 0 else "no clear difference" if np.isfinite(high) else ""
    if ours.better == "higher":
        low, high = -high, -low
    gap = a - b if ours.better != "near" else abs(a - ours.aim) - abs(b - ours.aim)
    note = ours.note or floor.note
    return Duel(ours.name, a, b, gap, low, high, ours.better, ours.aim, verdict, ours.definition, note, *interval(our_draws))


def _require_same_keys(ours: Answer, floor: Answer) -> None:
    a, b = ours.keys, floor.keys
    if not (np.array_equal(a.code, b.code) and np.array_equal(a.cutoff, b.cutoff)):
        raise UsageError(
            f"Two forecasts of different keys were compared ({len(a)} and {len(b)}).",
            "Both must answer for the same users at the same cutoffs, in the same order.",
            "Predict both from the same examples.",
        )


def _named(rows: Sequence[Row], name: str) -> Row:
    for row in rows:
        if row.name == name:
            return row
    raise NotFoundError(f"There is no score {name!r}.", f"There are: {', '.join(row.name for row in rows)}.", "Name one of them.")


def _direction(better: Better, aim: float) -> str:
    return f"near {aim:g}" if better == "near" else "" if better == "context" else better


def _column(values: Iterable[float]) -> pl.Series:
    return pl.Series(list(values), dtype=pl.Float64, nan_to_null=True).fill_nan(None)
