"""The S-learner: one model forecasts the outcome and is told what was sent; the effect is the difference between two of its answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.models.effect.learned import ArmTrees, MetaLearner, arm_columns
from whenbuy.models.effect.trial import Trial, outcome_trees


@dataclass(frozen=True, slots=True)
class SLearner(MetaLearner):
    """One model for all arms (Künzel et al. 2019, "Metalearners", s. 2): steady where effects are small, and drawn towards none."""

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "uplift s"

    def grown(self, trial: Trial) -> ArmTrees:
        """Return the effect that a trial teaches."""
        told = np.hstack([trial.values, arm_columns(trial.arm, len(trial.offers))])
        return ArmTrees((outcome_trees(trial, self.grow, np.arange(len(trial)), told),), len(trial.offers))


TYPES: Final[dict[str, type]] = {SLearner.__name__: SLearner}
"""What a stored model of this file may be made of."""
