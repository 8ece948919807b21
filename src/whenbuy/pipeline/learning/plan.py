"""The plan of a fit: what is learned from what, fixed before any model sees a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from whenbuy.core.arrays import DAY, Instants
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples
from whenbuy.core.history import History
from whenbuy.core.question import Question
from whenbuy.features import ByClass, Feature, Features, default_features, most_bought, rhythm_features
from whenbuy.pipeline.learning.build import panel
from whenbuy.pipeline.learning.grid import Grid
from whenbuy.pipeline.learning.split import Split, time_split
from whenbuy.questions import NextAmount, NextClasses, NextPurchase, OrderCount, Quantity, Redemption, Spend

ROWS = 1_000_000
"""Examples above this number are thinned by leaving out users: it bounds the time and the memory of a fit."""
CLASS_ROWS = 150_000
"""The same for the answer about classes, whose examples are larger."""
MANY = 30
"""Of more weekly cutoffs than this every other one may be enough: neighbouring weeks teach a curve nearly the same, at half the cost."""
CLASSES = "classes"
CLASS_WEEKS = 20
"""The answer about classes learns from so many of the latest weeks: earlier ones add nothing."""
TASTES = 45
"""So many classes are described to the models, those asked about and the most bought others: they tell a customer's taste."""
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
    classes
        The classes about which ``classes`` is asked.
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
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    end: int
    seed: int

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The answers, those together that learn from the same examples."""
        apart = ("purchase", CLASSES)
        alike = tuple(answer for answer in self.answers if answer not in apart)
        return tuple(group for group in (("purchase",), alike, (CLASSES,)) if group and set(group) <= set(self.answers))

    def alike(self, answers: Sequence[str]) -> tuple[str, ...]:
        """Return the answers whose candidates are tried on the same examples as those of some."""
        return tuple(answer for answer in self.answers if (answer == CLASSES) == (CLASSES in answers))

    @property
    def windows(self) -> dict[str, float]:
        """Over how many days the answers look that look over one window."""
        looks = {"spend": self.grid.shortest, "quantity": self.grid.shortest, CLASSES: self.grid.shortest, "redemption": self.grid.middle}
        return {answer: days for answer, days in looks.items() if answer in self.answers}

    @property
    def blocks(self) -> dict[str, ByClass]:
        """What the models read beside the table."""
        if CLASSES not in self.answers:
            return {}
        others = (name for name in most_bought(self.history.log, most=TASTES) if name not in self.classes)
        return {"interactions": ByClass((*self.classes, *others)[: max(TASTES, len(self.classes))])}

    def questions(self, answers: Sequence[str]) -> tuple[Question, ...]:
        """Return what examples for these answers carry labels of."""
        longest = max(self.horizons)
        if CLASSES in answers:
            return (NextPurchase(longest), NextClasses(self.grid.shortest, self.classes))
        shorter = [OrderCount(days, name=f"orders_{days:g}d") for days in self.grid.horizons if days < self.valid_days]
        asked: list[Question] = [NextPurchase(longest), OrderCount(self.valid_days), *shorter]
        if "amount" in answers:
            asked += [NextAmount(longest), Spend(self.grid.shortest)]
        if "quantity" in answers:
            asked.append(Quantity(self.grid.shortest))
        if "redemption" in answers:
            asked.append(Redemption(self.grid.middle))
        return tuple(asked)

    @property
    def examples(self) -> int:
        """About how many examples the candidates for the curve learn from."""
        split = self.split
        cutoffs = split.train if split.shares is not None else self._cutoffs(split.censored_at("valid"), ("purchase",), trial=True)
        return min(len(self.history.panel(cutoffs)), ROWS)

    def parts(self, answers: Sequence[str]) -> tuple[Examples, Examples]:
        """Return the examples to learn some answers from, and the later ones on which candidates are compared.

        Choosing needs two parts of the split, not three: what is chosen is judged by a backtest, which stands further back.
        """
        split = self.split
        if split.shares is not None:
            both = self._panel(self.history, split.train, answers)
            learns = split.rows(both.keys, "train")
            return both.take(np.flatnonzero(learns)), both.take(np.flatnonzero(~learns))
        boundary = split.censored_at("valid")
        train = self._panel(self.history.cut(boundary), self._cutoffs(boundary, answers, trial=True), answers)
        return train, self._panel(self.history, split.test, answers)

    def everything(self, answers: Sequence[str]) -> Examples:
        """Return the examples of all cutoffs for some answers, up to the last moment that may be learned from."""
        return self._panel(self.history, self._cutoffs(self.end, answers), answers)

    def _cutoffs(self, end: int, answers: Sequence[str], *, trial: bool = False) -> Instants:
        """Return the cutoffs to learn from, the latest one at an instant.

        Of many weeks every other one is enough to try candidates, and for the curve; chances of classes need the latest ones only.
        """
        cutoffs = self._weekly(end)
        if len(cutoffs) <= MANY:
            return cutoffs
        cutoffs = cutoffs[-CLASS_WEEKS:] if CLASSES in answers else cutoffs
        return cutoffs[(len(cutoffs) - 1) % 2 :: 2] if trial or "purchase" in answers else cutoffs

    def _weekly(self, end: int) -> Instants:
        """Return the local midnights every week back from an instant, which is one of them, to the first event (rising).

        A log of less than four weeks is stepped through faster.
        """
        clock = self.history.clock
        last, first = clock.days(np.array([end, self.history.log.start], np.int64)).tolist()
        return clock.midnights(np.arange(last, first, -min(7, max(1, (last - first) // 4)), dtype=np.int64)[::-1])

    def _panel(self, history: History, cutoffs: Instants, answers: Sequence[str]) -> Examples:
        classes = CLASSES in answers
        blocks, most = (self.blocks, CLASS_ROWS) if classes else ({}, ROWS)
        return panel(history, self.features, cutoffs, self.questions(answers), blocks, most=most, seed=self.seed)


def plan(
    history: History,
    as_of: int | str | None,
    horizons: tuple[float, ...],
    features: Features | None,
    further: Sequence[Feature],
    seed: int,
    classes: tuple[str, ...] = (),
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
    grid = replace(grid, horizons=tuple(sorted({min(length, valid_days) for length in grid.horizons})))
    classes = (classes or most_bought(known.log)) if "category" in known.log.columns else ()
    answers = ["purchase", "orders", *(("amount", "spend") if "amount" in known.log.columns else ())]
    answers += ["quantity"] if "quantity" in known.log.columns else []
    answers += ["redemption"] if known.log.count("redeemed") else []
    answers += [CLASSES] if len(classes) > 1 else []
    features = features or Features((*default_features(known.log).spec, *rhythm_features(known.log, known.clock), *further))
    made = Plan(
        known, features, horizons, grid, split, valid_days, tuple(answers), classes if len(classes) > 1 else (), tuple(notes), end, seed
    )
    return replace(made, grid=replace(grid, examples=made.examples))
