"""The T-learner: a model of the outcome for each arm; the effect is the difference between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.examples import Examples
from whenbuy.models.effect.learned import ArmTrees, UpliftModel, learned
from whenbuy.models.effect.trial import GROW, Trial, outcome_trees
from whenbuy.models.trees.boosting import Boosting


@dataclass(frozen=True, slots=True)
class TLearner:
    """A model for each arm (Künzel et al. 2019, "Metalearners", s. 2): free where arms differ in kind, noisy where they hardly differ.

    Parameters
    ----------
    outcome, horizon_days
        The label that is learned, and the length over which it was counted.
    grow
        How the trees are grown; the objective follows the outcome.
    halves
        On how many random halves of the customers it is learned again, for the intervals.
    seed
        Draws the halves.
    """

    outcome: str = "orders"
    horizon_days: float = 28.0
    grow: Boosting = GROW
    halves: int = 8
    seed: int = 0

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "uplift t"

    def fit(self, train: Examples, valid: Examples | None = None) -> UpliftModel:
        """Return the effects that the examples teach; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When an arm has too few customers, or all outcomes are the same.
        """
        del valid
        return learned(self, train)

    def grown(self, trial: Trial) -> ArmTrees:
        """Return the effect that a trial teaches."""
        arms = (np.flatnonzero(trial.arm == arm) for arm in range(len(trial.offers) + 1))
        return ArmTrees(tuple(outcome_trees(trial, self.grow, rows) for rows in arms), len(trial.offers))


TYPES: Final[dict[str, type]] = {TLearner.__name__: TLearner}
"""What a stored model of this file may be made of."""
