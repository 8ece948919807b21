"""The X-learner: the effects on the treated and on those left alone, each imputed by the model of the other arm, are learned and joined."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints
from whenbuy.models.effect.learned import EffectTrees, MetaLearner
from whenbuy.models.effect.trial import Trial, outcome_trees
from whenbuy.models.trees.arrays import Trees


@dataclass(frozen=True, slots=True)
class XLearner(MetaLearner):
    """Imputed effects, joined by the propensity (Künzel et al. 2019, "Metalearners", s. 2.1): good where one arm is much larger."""

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "uplift x"

    def grown(self, trial: Trial) -> EffectTrees:
        """Return the effect that a trial teaches; the two imputed effects are joined by the arm's mean share among both."""
        offers, weights = [], []
        idle = np.flatnonzero(trial.arm == 0)
        alone = outcome_trees(trial, self.grow, idle)
        for arm in range(1, len(trial.offers) + 1):
            rows = np.flatnonzero(trial.arm == arm)
            treated = outcome_trees(trial, self.grow, rows)
            parts = (
                self._effect(trial, rows, trial.outcome[rows] - alone.predict(trial.values[rows])),
                self._effect(trial, idle, treated.predict(trial.values[idle]) - trial.outcome[idle]),
            )
            share = float(np.mean(trial.chance[:, arm] / np.maximum(trial.chance[:, arm] + trial.chance[:, 0], 1e-12)))
            offers.append(parts)
            weights.append((1 - share, share))
        return EffectTrees(tuple(offers), np.array(weights))

    def _effect(self, trial: Trial, rows: Ints, effect: Floats) -> Trees:
        return replace(self.grow, objective="l2").grow(trial.values[rows], effect)


TYPES: Final[dict[str, type]] = {XLearner.__name__: XLearner}
"""What a stored model of this file may be made of."""
