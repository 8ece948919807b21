"""What learners of effects learn: the effect, and how far it moves when only half of the customers had been there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints, Singles
from whenbuy.core.effect import Effect
from whenbuy.core.examples import Examples
from whenbuy.core.learner import refuse_leak
from whenbuy.models.effect.trial import GROW, Trial, contrast
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.when.boosted_curve import read_columns

Z80: Final = 1.2815515655446004
"""The normal quantile between whose two signs 80 % lie."""


class Uplift(Protocol):
    """A learned effect."""

    def uplift(self, values: Singles) -> Floats:
        """Return what each offer adds for each row of features (n x m)."""


class Grower(Protocol):
    """The settings of a way to learn an effect."""

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""

    @property
    def outcome(self) -> str:
        """The label that is learned."""

    @property
    def horizon_days(self) -> float:
        """The length over which it was counted."""

    @property
    def halves(self) -> int:
        """On how many random halves of the customers it is learned again."""

    @property
    def seed(self) -> int:
        """Draws the halves."""

    def grown(self, trial: Trial) -> Uplift:
        """Return the effect that a trial teaches."""


@dataclass(frozen=True, slots=True)
class MetaLearner(ABC):
    """The settings that all ways to learn an effect from a trial share, and how they fit.

    Parameters
    ----------
    outcome, horizon_days
        The label that is learned, and the length over which it was counted.
    grow
        How the trees of the outcome are grown; the objective follows the outcome.
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
    @abstractmethod
    def name(self) -> str:
        """The name under which reports speak of it."""

    @abstractmethod
    def grown(self, trial: Trial) -> Uplift:
        """Return the effect that a trial teaches."""

    def fit(self, train: Examples, valid: Examples | None = None) -> UpliftModel:
        """Return the effects that the examples teach; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When an arm has too few customers, or all outcomes are the same.
        """
        del valid
        return learned(self, train)


@dataclass(frozen=True, slots=True, eq=False)
class ArmTrees:
    """Forecasts of the outcome: by one model for each arm, or by one that is told the arm (the last columns are 0 and 1 per offer)."""

    arms: tuple[Trees, ...]
    offers: int

    def uplift(self, values: Singles) -> Floats:
        """Return what each offer adds for each row of features (n x m)."""
        if len(self.arms) > 1:
            base = self.arms[0].predict(values)
            return np.stack([trees.predict(values) - base for trees in self.arms[1:]], axis=1)
        arms = [np.hstack([values, arm_columns(np.full(len(values), arm), self.offers)]) for arm in range(self.offers + 1)]
        found = np.stack([self.arms[0].predict(each) for each in arms], axis=1)
        return np.asarray(found[:, 1:] - found[:, :1])


@dataclass(frozen=True, slots=True, eq=False)
class EffectTrees:
    """Forecasts of the effect itself: for each offer a weighted mean of trees (m tuples of as many, with their weights)."""

    offers: tuple[tuple[Trees, ...], ...]
    weights: Floats

    def uplift(self, values: Singles) -> Floats:
        """Return what each offer adds for each row of features (n x m)."""
        columns = [
            sum((w * trees.predict(values) for w, trees in zip(weights, group, strict=True)), np.zeros(len(values)))
            for group, weights in zip(self.offers, self.weights, strict=True)
        ]
        return np.stack(columns, axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class UpliftModel:
    """A fitted effect.

    Parameters
    ----------
    whole, halves
        The effect learned from all customers, and from random halves of them: how far those stray from the first is how far the first
        strays from the truth by chance (the random half-sample; Efron 1982, "The jackknife, the bootstrap and other resampling plans",
        s. 8.3). What a learner cannot express is not in it.
    mean, error
        The mean effect of each offer and its standard error (m each): the answer for strangers.
    """

    name: str
    outcome: str
    horizon_days: float
    offers: tuple[str, ...]
    columns: tuple[str, ...]
    known_until: int
    whole: Uplift
    halves: tuple[Uplift, ...]
    mean: Floats
    error: Floats

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Effect:
        """Return the effect of each offer on each key; a stranger's is the mean effect, marked ``prior``.

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        ColumnError
            When the table lacks a feature that the model reads.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        values = read_columns(examples.table, self.columns)
        stranger = np.asarray(np.isnan(values).all(axis=1))
        uplift = np.where(stranger[:, None], self.mean, self.whole.uplift(values))
        spread = self._spread(values, uplift, stranger)
        return Effect(
            examples.keys, self.offers, uplift, uplift - Z80 * spread, uplift + Z80 * spread, self.outcome, self.horizon_days, self.name,
            stranger, in_sample,
        )  # fmt: skip

    def _spread(self, values: Singles, uplift: Floats, stranger: Bools) -> Floats:
        if not self.halves:
            return np.broadcast_to(self.error, uplift.shape)
        squares = sum(((half.uplift(values) - uplift) ** 2 for half in self.halves), np.zeros(uplift.shape))
        return np.where(stranger[:, None], self.error, np.sqrt(squares / len(self.halves)))


def learned(learner: Grower, train: Examples) -> UpliftModel:
    """Return what a way to learn an effect makes of examples.

    Raises
    ------
    NotEnoughDataError
        When an arm has too few customers, or all outcomes are the same.
    """
    trial = Trial.of(train, learner.outcome)
    whole = learner.grown(trial)
    halves = []
    for draw in range(learner.halves):
        half = trial.take(trial.folds(2, learner.seed + 1 + draw) == 0)
        if np.bincount(half.arm, minlength=len(trial.offers) + 1).min() > 1:
            halves.append(learner.grown(half))
    mean, error = mean_effect(trial)
    return UpliftModel(
        learner.name,
        learner.outcome,
        learner.horizon_days,
        trial.offers,
        trial.columns,
        trial.known_until,
        whole,
        tuple(halves),
        mean,
        error,
    )


def mean_effect(trial: Trial) -> tuple[Floats, Floats]:
    """Return the mean effect of each offer, weighted by inverse propensities (Hájek 1971), and its standard error (m each)."""
    found = np.empty((2, len(trial.offers)))
    for offer in range(len(trial.offers)):
        weight = contrast(trial, offer + 1)
        parts = [(np.flatnonzero(weight * sign > 0), sign) for sign in (1.0, -1.0)]
        means, variances = [], []
        for rows, sign in parts:
            share = weight[rows] * sign / (weight[rows] * sign).sum()
            means.append(float(share @ trial.outcome[rows]))
            variances.append(float((share**2) @ (trial.outcome[rows] - means[-1]) ** 2))
        found[:, offer] = means[0] - means[1], np.sqrt(sum(variances))
    return found[0], found[1]


def arm_columns(arm: Ints, offers: int) -> Singles:
    """Return a column of 0 and 1 for each offer (n x m)."""
    return np.asarray(arm[:, None] == np.arange(1, offers + 1)[None, :], np.float32)


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (ArmTrees, EffectTrees, UpliftModel)}
"""What a stored model of this file may be made of."""
