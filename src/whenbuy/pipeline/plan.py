"""The plan of a fit: what is learned from what, fixed before any model sees a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whenbuy.core.arrays import DAY, Instants
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples
from whenbuy.core.history import History
from whenbuy.core.question import Question
from whenbuy.features import Feature, Features, default_features
from whenbuy.pipeline.build import panel
from whenbuy.pipeline.grid import Grid
from whenbuy.pipeline.split import Split, time_split
from whenbuy.questions import NextAmount, NextPurchase, OrderCount

ROWS = 1_000_000
"""Examples above this number are thinned by leaving out users: it bounds the time and the memory of a fit."""
PARTS = (0.7, 0.1, 0.2)
"""Shares of the history: candidates learn from what comes before the last one and are compared on it, over several cutoffs where it is long
enough; one cutoff would be one week's weather."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is learned from what.

    Parameters
    ----------
    history
        What was known before ``end``.
    features, horizons, grid
        What the models read, and what they are asked.
    split
        The cutoffs to learn from and those to choose by.
    valid_days
        The length of the windows over which candidates are compared: the longest horizon, or what a short log allows.
    answers
        Which answers the history can teach.
    notes
        What the reader should know about this plan, in sentences.
    end
        Nothing that happened at or after this instant is learned from.
    seed
        Where chance starts.
    """

    history: History
    features: Features
    horizons: tuple[float, ...]
    grid: Grid
    split: Split
    valid_days: float
    answers: tuple[str, ...]
    notes: tuple[str, ...]
    end: int
    seed: int

    @property
    def questions(self) -> tuple[Question, ...]:
        """What the examples carry labels of."""
        longest = max(self.horizons)
        asked: tuple[Question, ...] = (NextPurchase(longest), OrderCount(self.valid_days))
        return (*asked, NextAmount(longest)) if "amount" in self.answers else asked

    def parts(self) -> tuple[Examples, Examples]:
        """Return the examples to learn from, and the later ones on which candidates are compared.

        Choosing needs two parts of the split, not three: what is chosen is judged by a backtest, which stands further back.
        """
        split = self.split
        if split.shares is not None:
            both = self._panel(self.history, split.train)
            learns = split.rows(both.keys, "train")
            return both.take(np.flatnonzero(learns)), both.take(np.flatnonzero(~learns))
        boundary = split.censored_at("valid")
        return self._panel(self.history.cut(boundary), self._weekly(boundary)), self._panel(self.history, split.test)

    def everything(self) -> Examples:
        """Return the examples of all cutoffs, up to the last moment that may be learned from."""
        return self._panel(self.history, self._weekly(self.end))

    def _weekly(self, end: int) -> Instants:
        """Return the local midnights every week back from an instant, which is one of them, to the first event (rising).

        A log of less than four weeks is stepped through faster.
        """
        clock = self.history.clock
        last, first = clock.days(np.array([end, self.history.log.start], np.int64)).tolist()
        return clock.midnights(np.arange(last, first, -min(7, max(1, (last - first) // 4)), dtype=np.int64)[::-1])

    def _panel(self, history: History, cutoffs: Instants) -> Examples:
        return panel(history, self.features, cutoffs, self.questions, most=ROWS, seed=self.seed)


def plan(
    history: History, as_of: int | str | None, horizons: tuple[float, ...], features: Features | None, further: Sequence[Feature], seed: int
) -> Plan:
    """Return the plan of a fit as of a moment (the end of the history, by default).

    Raises
    ------
    NotEnoughDataError
        When nobody bought before it, or the log is too short for a single step.
    """
    clock = history.clock
    moment = history.end if as_of is None else min(clock.instant(as_of), history.end)
    end = int(clock.midnight_before(np.array([moment], np.int64))[0])
    known = history.cut(end)
    if not known.log.count("purchase"):
        raise NotEnoughDataError(
            f"The log holds {len(known.log):,} events before {clock.show(end)} and no purchase among them.",
            "At least one purchase is needed to learn when the next one comes.",
            "Say which events are purchases with --kind NAME=purchase, or ask as of a later date.",
        )
    days = (end - known.log.start) / DAY
    grid = Grid.of(known, horizons)
    valid_days = float(max(1, min(max(horizons), np.floor(days / 3.5))))
    split = time_split(known.log.start, end, valid_days, clock, PARTS, lateness_days=history.lateness_days, seed=seed)
    notes = [split.reason] if split.reason else []
    if valid_days < max(horizons):
        notes.append(
            f"The log holds {days:.0f} days, too few to check a forecast of {max(horizons):g} days on later weeks: models were compared "
            f"over {valid_days:g} days, and the curves beyond that are carried on, not checked."
        )
    answers = ("purchase", "orders", "amount") if "amount" in known.log.columns else ("purchase", "orders")
    features = features or Features((*default_features(known.log).spec, *further))
    return Plan(known, features, horizons, grid, split, valid_days, answers, tuple(notes), end, seed)
