"""What a learner of effects sees: who was sent what with which probability, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints, Singles
from whenbuy.core.effect import EXPOSURE, Exposure
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.boosting import Boosting

LEAST: Final = 30
"""Rows of an arm without which its effect is not learned."""
GROW: Final = Boosting("l2", trees=120, learning_rate=0.04, leaves=6, min_leaf=60, feature_fraction=0.5, l2=10.0)
"""Effects are small beside what differs anyway: few leaves, many rows in each."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Rows of a trial, by lot or not.

    Parameters
    ----------
    columns, values
        Features as of the moment of sending (f; n x f, NaN where missing).
    offers
        Names of the offers (m).
    arm
        0 for nothing, else 1 + position of the offer (n).
    chance
        P(arm | features) (n x m + 1).
    dose, usual
        As in Exposure (n each).
    outcome
        What came of it (n).
    group
        Whose row it is (n): rows of one person are never on both sides of a fold.
    known_until
        The end of the last window that was watched.
    opened
        As in Exposure (n), absent where that is not logged.
    """

    columns: tuple[str, ...]
    values: Singles
    offers: tuple[str, ...]
    arm: Ints
    chance: Floats
    dose: Floats
    usual: Floats
    outcome: Floats
    group: Ints
    known_until: int
    opened: Floats | None = None

    @classmethod
    def of(cls, train: Examples, question: str) -> Trial:
        """Return the trial that examples with a block of exposures hold; rows that were not watched to the end are left out.

        Raises
        ------
        NotEnoughDataError
            When an arm has fewer than LEAST rows, or all outcomes are the same.
        """
        sent, label = train.block(EXPOSURE, Exposure), train.label(question)
        rows = np.flatnonzero(label.observed)
        one = np.ones(len(train))
        trial = cls(
            train.table.names, np.ascontiguousarray(train.table.values[rows]), sent.offers, sent.arm[rows], sent.propensity[rows],
            (one if sent.dose is None else sent.dose)[rows], (one if sent.usual is None else sent.usual)[rows],
            np.asarray(label.value[rows], float), train.keys.code[rows].astype(np.int64), int(label.end.max(initial=0)),
            None if sent.opened is None else sent.opened[rows],
        )  # fmt: skip
        trial._require()
        return trial

    def _require(self) -> None:
        count = np.bincount(self.arm, minlength=len(self.offers) + 1)
        if count.min() < LEAST:
            few = int(count.argmin())
            what = "nothing" if few == 0 else f"the offer {self.offers[few - 1]!r}"
            raise NotEnoughDataError(
                f"{count[few]} customers were sent {what}.", f"The effect of an arm needs at least {LEAST} of them.",
                "Keep a hold-out, send it to more customers by lot, or leave the offer out.",
            )  # fmt: skip
        if not np.ptp(self.outcome):
            raise NotEnoughDataError(
                f"All {len(self)} outcomes of the trial are {self.outcome[0]:g}.", "An effect is a difference of outcomes.",
                "Wait until some of the customers have bought, or ask about a longer horizon.",
            )  # fmt: skip

    def __len__(self) -> int:
        return len(self.outcome)

    def take(self, rows: Ints | Bools) -> Trial:
        """Return some of the rows."""
        parts = {
            name: getattr(self, name)[rows] for name in ("values", "arm", "chance", "dose", "usual", "outcome", "group")
        }  # fmt: skip
        return replace(self, **parts, opened=None if self.opened is None else self.opened[rows])

    @property
    def kind(self) -> Literal["binary", "poisson", "l2"]:
        """How the outcome is learned: yes or no, a count, any number."""
        if np.isin(self.outcome, (0.0, 1.0)).all():
            return "binary"
        return "poisson" if self.outcome.min() >= 0 and not (self.outcome % 1).any() else "l2"

    def folds(self, k: int, seed: int) -> Ints:
        """Return the fold of each row (n): all rows of a person are in one."""
        who, place = np.unique(self.group, return_inverse=True)
        return np.random.default_rng(seed).permutation(np.arange(len(who)) % k)[place]


def outcome_trees(trial: Trial, grow: Boosting, rows: Ints | Bools, values: Singles | None = None) -> Trees:
    """Return trees that forecast the outcome from the features, or from other values of these rows."""
    told = trial.values[rows] if values is None else values
    return replace(grow, objective=trial.kind).grow(told, trial.outcome[rows])


def out_of_fold(trial: Trial, grow: Boosting, fold: Ints, rows: Bools) -> Floats:
    """Return the outcome that trees grown on the chosen rows of the other folds forecast for every row (n)."""
    found = np.empty(len(trial))
    for part in range(int(fold.max()) + 1):
        here = fold == part
        found[here] = outcome_trees(trial, grow, rows & ~here).predict(trial.values[here])
    return found


def contrast(trial: Trial, arm: int) -> Floats:
    """Return inverse propensity weights of an arm against "none" (n): 1 / e_a for its rows, -1 / e_0 for those of "none", 0 elsewhere."""
    weight = np.zeros(len(trial))
    for which, sign in ((arm, 1.0), (0, -1.0)):
        rows = trial.arm == which
        weight[rows] = sign / np.maximum(trial.chance[rows, which], 1e-6)
    return weight
