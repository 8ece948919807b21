"""Scores with their intervals, and a model beside its floor: the one entry to all measures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Floats, Ints
from whenbuy.core.errors import NotFoundError, UsageError, WhenbuyError
from whenbuy.core.examples import Labels
from whenbuy.core.forecast import Amount, TimeToEvent
from whenbuy.core.outlook import Outlook
from whenbuy.evaluate.amount import amount_measures, mean_measures
from whenbuy.evaluate.bootstrap import draws, interval
from whenbuy.evaluate.measure import Better, Measure
from whenbuy.evaluate.when import curve_measures

Answer = Outlook | TimeToEvent | Amount
Truth = Labels | Mapping[str, Labels]
Verdict = Literal["better", "worse", "no clear difference", ""]
ORDERS: Final = "orders"
"""The question how many orders come: its labels are scored against the curves' mean count."""


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
        return self.frame()._repr_html_()


@dataclass(frozen=True, slots=True)
class Duel:
    """One score of two forecasts of the same rows.

    ``difference`` is ours minus the floor's (of a score that should be near its aim: of the distances to it), with its 95 % interval over
    resampled users. The verdict is "better" or "worse" only where that interval excludes 0, and empty where there is nothing to compare.
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
        """Return one row per score: name, ours, floor, difference, low, high, better, verdict, definition, note."""
        numbers = {part: _column(getattr(row, part) for row in self.rows) for part in ("ours", "floor", "difference", "low", "high")}
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
        return self.frame()._repr_html_()


def score(
    answer: Answer, truth: Truth, horizons: Sequence[float] = (), clusters: Ints | None = None, *, rounds: int = 1000, seed: int = 0
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
    rounds
        Resamples of the users for the intervals; a fifth of them for scores of ranks. 0 leaves the intervals out.
    seed
        Where chance starts.

    Raises
    ------
    UsageError
        When the labels do not belong to the answer, or a curve is scored without a horizon.
    """
    measures, users = _measures(answer, truth, horizons), _users(answer, clusters)
    found = draws(measures, users, rounds, np.random.default_rng(seed), slow_rounds=-(-rounds // 5))
    rows = tuple(
        Score(m.name, m.value(), *interval(drawn), m.better, m.aim, m.definition, m.note) for m, drawn in zip(measures, found, strict=True)
    )
    return Scores(_model(answer), len(answer), len(np.unique(users)), rows)


def compare(
    ours: Answer,
    floor: Answer,
    truth: Truth,
    horizons: Sequence[float] = (),
    clusters: Ints | None = None,
    *,
    rounds: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Return a forecast beside its floor: every score that both have, the difference and its paired bootstrap interval over users.

    Parameters
    ----------
    ours, floor
        Two forecasts of the same keys in the same order (n).
    truth, horizons, clusters, rounds, seed
        As for ``score``.

    Raises
    ------
    UsageError
        When the two were asked about different keys.
    """
    _require_same_keys(ours, floor)
    mine, users = _measures(ours, truth, horizons), _users(ours, clusters)
    other = {measure.name: measure for measure in _measures(floor, truth, horizons)}
    pairs = [(measure, other[measure.name]) for measure in mine if measure.name in other]
    both = [measure for pair in pairs for measure in pair]
    found = draws(both, users, rounds, np.random.default_rng(seed), slow_rounds=-(-rounds // 5))
    rows = tuple(_duel(a, b, found[2 * i], found[2 * i + 1]) for i, (a, b) in enumerate(pairs))
    return Comparison(_model(ours), _model(floor), len(ours), len(np.unique(users)), rows)


def _duel(ours: Measure, floor: Measure, our_draws: Floats, floor_draws: Floats) -> Duel:
    """Return one row of a comparison from draws that were made on the same resamples."""
    a, b = ours.value(), floor.value()
    verdict: Verdict = ""
    low = high = float("nan")
    if len(our_draws) and len(floor_draws) and ours.better != "context":
        low, high = interval(ours.badness(our_draws) - ours.badness(floor_draws))
        verdict = "better" if high < 0 else "worse" if low > 0 else "no clear difference"
    if ours.better == "higher":
        low, high = -high, -low
    gap = a - b if ours.better != "near" else abs(a - ours.aim) - abs(b - ours.aim)
    return Duel(ours.name, a, b, gap, low, high, ours.better, ours.aim, verdict, ours.definition, ours.note or floor.note)


def _measures(answer: Answer, truth: Truth, horizons: Sequence[float]) -> list[Measure]:
    if isinstance(answer, Outlook):
        if isinstance(truth, Labels):
            raise UsageError("An outlook was scored against the labels of one question.", "It needs a mapping from question to labels.")
        return _outlook(answer, truth, horizons or answer.horizons)
    if not isinstance(truth, Labels):
        raise UsageError(
            f"One forecast was scored against a mapping of labels ({', '.join(truth)}).", "It needs the labels of its question."
        )
    if isinstance(answer, TimeToEvent):
        return list(curve_measures(answer, truth, horizons))
    return list(amount_measures(answer, truth))


def _outlook(outlook: Outlook, truth: Mapping[str, Labels], horizons: Sequence[float]) -> list[Measure]:
    found: list[Measure] = []
    for question, labels in truth.items():
        answer = outlook.answers.get(question)
        if question == ORDERS:
            found += _counts(outlook.purchase, labels)
        elif isinstance(answer, TimeToEvent):
            beginning = "" if question == "purchase" else f"{question}_"
            found += [_renamed(measure, beginning) for measure in curve_measures(answer, labels, horizons)]
        elif isinstance(answer, Amount):
            found += amount_measures(answer, labels, f"{question}_")
    if not found:
        raise UsageError(
            f"The labels are about {', '.join(truth) or 'nothing'}, the outlook answers {', '.join(outlook.answers)}.",
            "They must have a question in common.",
            "Make the labels of a question that the outlook answers.",
        )
    return found


def _counts(curves: TimeToEvent, labels: Labels) -> tuple[Measure, ...]:
    """Return the measures of the expected number of orders within each label's window."""
    if len(labels) != len(curves):
        raise WhenbuyError(f"{len(curves)} curves were given {len(labels)} labels.")
    whole, window = np.flatnonzero(labels.observed), (labels.end - curves.keys.cutoff) / DAY
    expected = np.zeros(len(curves))
    for days in np.unique(window[whole]):
        rows = whole[window[whole] == days]
        expected[rows] = curves.take(rows).count_at(float(days))
    return mean_measures(labels.value, expected, whole, f"{ORDERS}_")


def _renamed(measure: Measure, beginning: str) -> Measure:
    return Measure(beginning + measure.name, measure.statistic, measure.better, measure.definition, measure.aim, measure.note)


def _users(answer: Answer, clusters: Ints | None) -> Ints:
    if clusters is not None and len(clusters) != len(answer):
        raise UsageError(
            f"{len(answer)} keys were given {len(clusters)} clusters.", "Every key needs one.", "Leave them out to take its user."
        )
    return answer.keys.code.astype(np.int64) if clusters is None else clusters


def _model(answer: Answer) -> str:
    return answer.purchase.model if isinstance(answer, Outlook) else answer.model


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
