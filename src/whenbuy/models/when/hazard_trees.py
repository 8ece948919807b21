"""A boosted hazard: the chance to buy in a stretch of days, given silence until then, by trees that read the stretch too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Bools, Floats, Ints
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.learner import refuse_leak
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.when.boosted_curve import joined, log_odds, reach_days, read_columns, require_chances, spread, thinned


@dataclass(frozen=True, slots=True)
class BoostedHazard:
    """Discrete-time hazard by boosting: the stretches after a cutoff, in turn, as long as nothing came (Singer & Willett 1993).

    The stretches are about ten, short at first and long later. All that hold a purchase are learned from, of the others a random share k;
    with log k added to the score, what was sampled is as likely as it was (King & Zeng 2001, section 4.1). A stretch that the censoring cut
    is dropped, whether she bought in it or not. The trees read the stretch in column 0, so one walk through each tree gives all hazards.

    Parameters
    ----------
    grid_days
        The days at which the curves are given, rising.
    grow
        How the trees are grown.
    stretches
        About how many stretches, spread geometrically over the days of the grid.
    survivors
        The share of the stretches without a purchase that is learned from.
    max_rows
        Training rows above this number are left out by chance, before any stretch is made: it bounds the time.
    seed
        Chooses them.
    """

    grid_days: tuple[float, ...]
    grow: Boosting = Boosting(trees=300, learning_rate=0.05)
    stretches: int = 10
    survivors: float = 0.3
    max_rows: int = 150_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.stretches < 1 or not 0 < self.survivors <= 1 or self.max_rows < 1:
            raise UsageError(
                f"{self.stretches} stretches with {self.survivors} of the survivors of {self.max_rows} rows were asked for.",
                "At least one stretch, one row and a share above 0 are needed.",
                "Set stretches to about 10 and survivors to about .3.",
            )
        require_chances(self.grow)

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "boosted-hazard"

    def fit(self, train: Examples, valid: Examples | None = None) -> BoostedHazardModel:
        """Return the hazard that the training examples teach; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When nobody bought, or everybody did, in every stretch.
        """
        del valid
        train = thinned(train, self.max_rows, self.seed)
        ends = np.array(spread(self.grid_days, reach_days(train), self.stretches))
        row, stretch, bought = person_periods(train, ends)
        if not 0 < bought.sum() < len(bought):
            raise NotEnoughDataError(
                f"Of {len(bought):,} stretches of days, {int(bought.sum()):,} hold a purchase.",
                "The hazard needs some with a purchase and some without one.",
                "Learn from more cutoffs, or give a longer log.",
            )
        kept = np.flatnonzero(bought | (np.random.default_rng(self.seed).random(len(bought)) < self.survivors))
        row, stretch, bought = row[kept], stretch[kept], bought[kept]
        weight = np.ones(len(train)) if train.weight is None else train.weight
        events, all_rows = (np.bincount(stretch, weight[row] * part, len(ends)) for part in (bought, np.ones(len(row))))
        usual = log_odds((events + 0.5) / (all_rows + 1.0))
        values = np.hstack([ends[stretch, None].astype(np.float32), train.table.values[row]])
        trees = self.grow.grow(values, bought.astype(float), None if train.weight is None else weight[row], usual[stretch])
        return BoostedHazardModel(
            self.name,
            train.table.names,
            ends,
            usual + np.log(self.survivors),
            trees,
            np.array(self.grid_days, float),
            int(train.label("purchase").end.max()),
        )


@dataclass(frozen=True, slots=True, eq=False)
class BoostedHazardModel:
    """A fitted boosted hazard.

    Parameters
    ----------
    columns
        The features that the trees read behind the stretch.
    ends
        The day at which each stretch ends (s), rising; the first one begins at the cutoff.
    usual
        The log-odds of a purchase in each stretch, before any tree (s): the answer for strangers.
    trees
        What is added to them; column 0 is the end of the stretch.
    """

    name: str
    columns: tuple[str, ...]
    ends: Floats
    usual: Floats
    trees: Trees
    grid_days: Floats
    known_until: int

    def predict(self, examples: Examples, *, in_sample: bool = False) -> TimeToEvent:
        """Return the curve of each key; a stranger's is the usual one, marked ``prior``.

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        ColumnError
            When the table lacks a feature that the trees read.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        stranger = np.isnan(examples.table.column("event_recency_days"))
        score = self.trees.curves(read_columns(examples.table, self.columns), self.ends)
        score[stranger] = 0.0
        fallen = np.cumsum(np.logaddexp(0.0, score + self.usual), axis=1)
        curve = joined(fallen, self.ends, self.grid_days)
        return TimeToEvent.of(examples.keys, self.grid_days, np.exp(-curve), curve, self.name, prior=stranger, in_sample=in_sample)


def person_periods(train: Examples, ends: Floats) -> tuple[Ints, Ints, Bools]:
    """Return the row, the stretch and whether she bought in it, of every stretch that was watched whole and began in silence."""
    label = train.label("purchase")
    starts = np.concatenate([[0.0], ends[:-1]])
    watched = (label.end - train.keys.cutoff)[:, None] >= np.round(ends * DAY)
    row, stretch = np.nonzero(watched & (label.value[:, None] >= starts))
    return row, stretch, label.observed[row] & (label.value[row] < ends[stretch])


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (BoostedHazard, BoostedHazardModel)}
"""What a stored model of this file may be made of."""
