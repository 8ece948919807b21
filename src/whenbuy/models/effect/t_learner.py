"""The T-learner: a model of the outcome for each arm; the effect is the difference between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.models.effect.learned import ArmTrees, MetaLearner
from whenbuy.models.effect.trial import Trial, outcome_trees


@dataclass(frozen=True, slots=True)
class TLearner(MetaLearner):
    """A model for each arm (Künzel et al. 2019, "Metalearners", s. 2): free where arms differ in kind, noisy where they hardly differ."""

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "uplift t"

    def grown(self, trial: Trial) -> ArmTrees:
        """Return the effect that a trial teaches."""
        arms = (np.flatnonzero(trial.arm == arm) for arm in range(len(trial.offers) + 1))
        return ArmTrees(tuple(outcome_trees(trial, self.grow, rows) for rows in arms), len(trial.offers))


TYPES: Final[dict[str, type]] = {TLearner.__name__: TLearner}
"""What a stored model of this file may be made of."""
