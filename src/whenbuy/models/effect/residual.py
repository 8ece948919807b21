"""The residual learner: what is left of the outcome after its forecast is explained by what is left of what was sent.

y - m(x) = sum over the offers of (D_a - E[D_a | x]) τ_a(x) + noise (Robinson 1988; Nie and Wager 2021, "Quasi-oracle estimation of
heterogeneous treatment effects", s. 2). Here τ_a(x) = V(m(x)) z θ_a with modifiers z and V the variance of the outcome: m (1 - m) for
yes and no, m for counts and amounts. So an effect is first of all a share of what would come anyway. The ridge is solved in closed form,
weighted by 1 / V, its strength chosen on folds of customers; halves of the customers give the intervals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints, Singles
from whenbuy.core.examples import Examples
from whenbuy.models.effect.learned import UpliftModel, mean_effect
from whenbuy.models.effect.modifiers import Modifiers
from whenbuy.models.effect.trial import Trial, outcome_trees
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.boosting import Boosting

GROUPS: Final = 20
"""Parts of the customers: folds for the ridge, and halves of them for the intervals."""
FOLDS: Final = 5
_SHARED: Final = tuple(np.geomspace(1.0, 1e6, 9).tolist())
_OWN: Final = (1.0, 3.0, 10.0, 100.0, 1e4)
_NUMBERS: Final = (1.0, 10.0, 100.0)
_FREE: Final = 1e-3
"""Penalty of the mean effect of all offers."""
_LEAST: Final = 1e-4


@dataclass(frozen=True, slots=True)
class ResidualLearner:
    """A ridge on residuals, relative to what comes anyway.

    Parameters
    ----------
    outcome, horizon_days
        The label that is learned, and the length over which it was counted.
    grow
        How the forecast of the outcome is grown; the objective follows the outcome.
    folds
        The forecast of a training row is grown on the other folds.
    numbers
        How many features that are numbers may modify the effect, at most: those that matter most to the outcome.
    halves
        On how many random halves of the customers it is learned again, for the intervals.
    seed
        Draws folds and halves.
    """

    outcome: str = "orders"
    horizon_days: float = 28.0
    grow: Boosting = Boosting(trees=150, learning_rate=0.05, leaves=8, min_leaf=50, feature_fraction=0.4)
    folds: int = 3
    numbers: int = 12
    halves: int = 20
    seed: int = 0

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "uplift residual"

    def fit(self, train: Examples, valid: Examples | None = None) -> UpliftModel:
        """Return the effects that the examples teach; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When an arm has too few customers, or all outcomes are the same.
        """
        del valid
        trial = Trial.of(train, self.outcome)
        scaled = self.grown(trial)
        halves = tuple(replace(scaled, effects=part, halves=np.empty((0, *part.shape))) for part in scaled.halves)
        mean, error = mean_effect(trial)
        return UpliftModel(
            self.name, self.outcome, self.horizon_days, trial.offers, trial.columns, trial.known_until,
            replace(scaled, halves=np.empty((0, *scaled.effects.shape))), halves, mean, error,
        )  # fmt: skip

    def grown(self, trial: Trial) -> Scaled:
        """Return the effect that a trial teaches, and those that halves of its customers teach."""
        fold = trial.folds(self.folds, self.seed)
        forecast = np.empty(len(trial))
        for part in range(self.folds):
            forecast[fold == part] = outcome_trees(trial, self.grow, fold != part).predict(trial.values[fold == part])
        trees = outcome_trees(trial, self.grow, np.arange(len(trial)))
        modifiers = Modifiers.of(trial.values, trees.importance(), self.numbers)
        z, size = modifiers.read(trial.values), variance(trial, forecast)
        sent = received(trial) - expected(trial)
        kinds = np.append(False, modifiers.names)
        sums = Sums.of(z, sent, size, trial.outcome - forecast, trial.folds(GROUPS, self.seed + 1), kinds)
        theta, halves = sums.solve(self.halves, self.seed)
        return Scaled(trees, modifiers, theta, halves, trial.kind == "binary")


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """An effect that is a share of what would come anyway.

    Parameters
    ----------
    forecast
        The outcome, whatever is sent.
    modifiers
        How the features are read.
    effects, halves
        θ of each offer (m x 1 + f), and those that halves of the customers teach (h x m x 1 + f).
    chance
        Whether the outcome is yes or no.
    """

    forecast: Trees
    modifiers: Modifiers
    effects: Floats
    halves: Floats
    chance: bool

    def uplift(self, values: Singles) -> Floats:
        """Return what each offer adds for each row of features (n x m)."""
        size, z = self.scale(values)
        return size[:, None] * weighed(z, self.effects)

    def scale(self, values: Singles) -> tuple[Floats, Floats]:
        """Return the variance function at each row's forecast (n), and its modifiers (n x 1 + f)."""
        mean = self.forecast.predict(values)
        return np.maximum(mean * (1 - mean) if self.chance else mean, _LEAST), self.modifiers.read(values)


@dataclass(frozen=True, slots=True)
class Ridge:
    """How strongly θ is drawn towards none.

    Parameters
    ----------
    shared
        Penalty of what all offers have in common.
    own
        That of what one offer has of its own is so many times as high.
    numbers
        That of modifiers that are numbers is so many times as high as that of yes and no.
    """

    shared: float
    own: float
    numbers: float


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What a ridge needs of the rows, summed by part of the customers: G = X'X and b = X'y (k x mp x mp, k x mp).

    Parameters
    ----------
    offers
        Their number m.
    names
        Which of the p modifiers are yes and no.
    """

    gram: Floats
    moment: Floats
    offers: int
    names: Bools

    @classmethod
    def of(cls, z: Floats, sent: Floats, size: Floats, left: Floats, group: Ints, names: Bools) -> Sums:
        """Return the sums: X = √V (D_a - E D_a) z side by side for all offers, y = (y - m) / √V."""
        p, m = z.shape[1], sent.shape[1]
        k = int(group.max(initial=0)) + 1
        gram, moment = np.zeros((k, m * p, m * p)), np.zeros((k, m * p))
        root = np.sqrt(size)
        for part in range(k):
            rows = np.flatnonzero(group == part)
            x = (sent[rows] * root[rows, None])[:, :, None] * z[rows, None, :]
            x, y = x.reshape(len(rows), m * p), left[rows] / root[rows]
            gram[part], moment[part] = x.T @ x, x.T @ y
        return cls(gram, moment, m, names)

    def solve(self, halves: int, seed: int) -> tuple[Floats, Floats]:
        """Return θ of each offer (m x p) under the ridge that forecasts left-out parts best, and that of random halves (h x m x p)."""
        ridge, parts = self._ridge(), len(self.moment)
        rng = np.random.default_rng([seed, parts])
        chosen = [np.sort(rng.permutation(parts)[: parts // 2]) for _ in range(halves)] if parts > 1 else []
        weaker = replace(ridge, shared=ridge.shared / 2)
        found = [self._theta(self.gram[rows].sum(axis=0), self.moment[rows].sum(axis=0), weaker) for rows in chosen]
        whole = self._theta(self.gram.sum(axis=0), self.moment.sum(axis=0), ridge)
        return whole, np.array(found).reshape(len(found), *whole.shape)

    def _ridge(self) -> Ridge:
        """Return the best ridge, one of its numbers after the other, twice."""
        fold = np.arange(len(self.moment)) % FOLDS
        outs = [(self.gram[fold == k].sum(axis=0), self.moment[fold == k].sum(axis=0)) for k in range(FOLDS) if (fold == k).any()]
        whole = sum(g for g, _ in outs), sum(b for _, b in outs)

        def loss(ridge: Ridge) -> float:
            total = 0.0
            for g, b in outs:
                theta = self._theta(whole[0] - g, whole[1] - b, ridge).ravel()
                total += float(theta @ g @ theta - 2 * theta @ b)
            return total

        best = Ridge(_SHARED[len(_SHARED) // 2], 10.0, 10.0)
        for _ in range(2):
            best = min((replace(best, shared=value) for value in _SHARED), key=loss)
            if self.offers > 1:
                best = min((replace(best, own=value) for value in _OWN), key=loss)
            best = min((replace(best, numbers=value) for value in _NUMBERS), key=loss)
        return best

    def _theta(self, gram: Floats, moment: Floats, ridge: Ridge) -> Floats:
        """Return θ_a = φ + δ_a with a ridge on φ and on each δ_a: over the offers the precision is own I - own² / (shared + m own) J."""
        m, p = self.offers, len(moment) // self.offers
        own = ridge.own * ridge.shared
        precision = own * np.eye(m) - own**2 / (ridge.shared + m * own) * np.ones((m, m))
        weight = np.where(self.names, 1.0, ridge.numbers)
        penalty = np.kron(precision, np.diag(weight))
        first = np.arange(m) * p
        penalty[first[:, None], first] = own * np.eye(m) - own**2 / (_FREE + m * own) * np.ones((m, m))
        return np.asarray(np.linalg.solve(gram + penalty, moment).reshape(m, p))


def weighed(z: Floats, effects: Floats) -> Floats:
    """Return z θ_a of each row and offer (n x m), summed row by row: a product of matrices would depend on how many rows there are."""
    return np.stack([(z * theta).sum(axis=1) for theta in effects], axis=1)


def received(trial: Trial) -> Floats:
    """Return how much of each offer reached each row (n x m)."""
    return np.asarray((trial.arm[:, None] == np.arange(1, len(trial.offers) + 1)[None, :]) * trial.dose[:, None], np.float64)


def expected(trial: Trial) -> Floats:
    """Return how much of each offer was to reach each row, by what was known (n x m)."""
    return np.asarray(trial.chance[:, 1:] * trial.usual[:, None])


def variance(trial: Trial, forecast: Floats) -> Floats:
    """Return the variance function at the forecast of each row (n)."""
    return np.maximum(forecast * (1 - forecast) if trial.kind == "binary" else forecast, _LEAST)


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (ResidualLearner, Scaled)}
"""What a stored model of this file may be made of."""
