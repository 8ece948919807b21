"""Error analysis: where and for whom the forecasts of a backtest were wrong, group by group and class by class."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Floats
from whenbuy.core.examples import Table
from whenbuy.core.forecast import Amount, Classes
from whenbuy.evaluate import weak_spots as sought
from whenbuy.evaluate.probability import logloss
from whenbuy.evaluate.slices import by_class, slices
from whenbuy.evaluate.weak_spots import WeakSpot
from whenbuy.pipeline.judging.backtest import Backtest
from whenbuy.pipeline.judging.segments import portrait, segments

LEAST: Final = 100
"""Forecasts in a group that is named, at least."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Groups in which one thing that is judged goes wrong.

    Parameters
    ----------
    of
        What is judged.
    expected, found
        What the two numbers of each group are, in words.
    spots
        The groups, where most goes wrong in sum first.
    """

    of: str
    expected: str
    found: str
    spots: tuple[WeakSpot, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ErrorAnalysis:
    """Where and for whom a forecast is wrong.

    Parameters
    ----------
    judged
        What is judged, each with the groups where it goes wrong: the chance of the middle horizon against what came; its log-loss against
        the floor's; the mean amount of the next order and the spend against what came.
    slices
        Our scores by segment, each beside those of everybody else (the columns of ``evaluate.slices``).
    classes
        The scores of each class (``class`` and the columns of a score), the most bought first; without rows where none are answered.
    """

    judged: tuple[Judged, ...]
    slices: pl.DataFrame
    classes: pl.DataFrame

    def frame(self) -> pl.DataFrame:
        """Return one row per group: ``of`` (what is judged), the columns of ``evaluate.weak_spots.frame``, and ``words``."""
        frames = []
        for one in self.judged:
            said = pl.Series("words", [spot.says(one.expected, one.found) for spot in one.spots], dtype=pl.String)
            frames.append(sought.frame(one.spots).select(pl.lit(one.of).alias("of"), pl.all(), said))
        return pl.concat(frames)

    def _repr_html_(self) -> str:
        return self.frame()._repr_html_()


def error_analysis(
    of: Backtest, *, names: Collection[str] = (), attributes: Sequence[str] = (), least: int = LEAST, rounds: int | None = None
) -> ErrorAnalysis:
    """Return where and for whom the forecasts of a backtest were wrong: by group in plain words, by segment and by class.

    Parameters
    ----------
    of
        The backtest; its seed starts chance.
    names
        The scores by segment; those of the headline by default, but for the calibration error: the bias says it better of few people.
    attributes
        Attributes of the users' profile by which people are told apart too.
    least
        The smallest number of forecasts in a group.
    rounds
        Resamples of the users; as many as the backtest had, by default.
    """
    rounds = of.rounds if rounds is None else rounds
    names = names or [name for name in of.headline if "ece" not in name]
    found = segments(of.trial.history, of.trial.keys, attributes)
    parts = slices(of.ours, of.labels, found, names, rounds=rounds, seed=of.seed)
    return ErrorAnalysis(_judged(of, least, rounds), parts, _by_class(of, rounds))


def _judged(of: Backtest, least: int, rounds: int) -> tuple[Judged, ...]:
    table, days = portrait(of.trial.history, of.trial.keys), sorted(of.ours.horizons)[len(of.ours.horizons) // 2]
    label = of.labels["purchase"]
    came = (label.observed & (label.value < days)).astype(float)
    chance, floor = (answer.purchase.probability(days) for answer in (of.ours, of.floor))
    judged = [
        (f"chance to buy within {days:g} days", "promised", "came", chance, came),
        (f"log-loss of {days:g} days against the floor's", "the floor's", "ours", logloss(came, floor), logloss(came, chance)),
    ]
    windows = {name: f"{words} within {of.ours.windows.get(name, 0):g} days" for name, words in (("spend", "spend"), ("quantity", "units"))}
    said = {"amount": "amount of the next order", **windows}
    for name, words in said.items():
        answer = of.ours.answers.get(name)
        if name in of.labels and isinstance(answer, Amount):
            amount = of.labels[name]
            judged.append((words, "promised", "came", answer.mean, np.where(amount.observed, amount.value, np.nan)))
    return tuple(_spots(of, table, *each, least, rounds) for each in judged)


def _spots(of: Backtest, table: Table, what: str, one: str, other: str, expected: Floats, found: Floats, least: int, rounds: int) -> Judged:
    groups = sought.weak_spots(table, expected, found, of.trial.users, least=least, rounds=rounds, seed=of.seed)
    return Judged(what, one, other, groups)


def _by_class(of: Backtest, rounds: int) -> pl.DataFrame:
    answer = of.ours.answers.get("classes")
    if "classes" in of.labels and isinstance(answer, Classes):
        return by_class(answer, of.labels["classes"], rounds=min(rounds, 200), seed=of.seed)
    return pl.DataFrame(schema={"class": pl.String})
