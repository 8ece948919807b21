"""The DR-learner: an outcome that is on average the effect, right where either the outcome or the propensity is, is learned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.models.effect.learned import EffectTrees, MetaLearner
from whenbuy.models.effect.trial import Trial, contrast, out_of_fold
from whenbuy.models.trees.boosting import Boosting


@dataclass(frozen=True, slots=True)
class DRLearner(MetaLearner):
    """The doubly robust learner (Kennedy 2023, "Towards optimal doubly robust estimation of heterogeneous causal effects", s. 3).

    Models of the outcome are made out of fold; the pseudo-outcome mu_a - mu_0 + (y - mu_A) (1[A = a] / e_a - 1[A = 0] / e_0) is regressed
    on the features. Its tails, where a propensity is small, are drawn in to five deviations.
    """

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "uplift dr"

    def grown(self, trial: Trial) -> EffectTrees:
        """Return the effect that a trial teaches."""
        grow = replace(self.grow, objective="l2")
        trees = [(grow.grow(trial.values, pseudo),) for pseudo in pseudo_outcomes(trial, self.grow, self.seed).T]
        return EffectTrees(tuple(trees), np.ones((len(trees), 1)))


def pseudo_outcomes(trial: Trial, grow: Boosting, seed: int, folds: int = 3) -> Floats:
    """Return for each row and offer a number whose mean, given the features, is the effect (n x m)."""
    fold = trial.folds(folds, seed)
    mean = [out_of_fold(trial, grow, fold, trial.arm == arm) for arm in range(len(trial.offers) + 1)]
    own = np.stack(mean, axis=1)[np.arange(len(trial)), trial.arm]
    found = np.empty((len(trial), len(trial.offers)))
    for offer in range(len(trial.offers)):
        pseudo = mean[offer + 1] - mean[0] + contrast(trial, offer + 1) * (trial.outcome - own)
        middle, spread = pseudo.mean(), 5 * pseudo.std()
        found[:, offer] = np.clip(pseudo, middle - spread, middle + spread)
    return found


TYPES: Final[dict[str, type]] = {DRLearner.__name__: DRLearner}
"""What a stored model of this file may be made of."""
