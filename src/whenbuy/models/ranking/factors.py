"""Implicit matrix factorisation: tastes and things in one small space."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from whenbuy.core.arrays import DAY, Codes, Floats, Singles
from whenbuy.core.errors import DependencyError, NotEnoughDataError, SettingsError
from whenbuy.core.examples import Examples
from whenbuy.core.ranking import Ranking, Shelf, Trails
from whenbuy.models.ranking.best import nearest
from whenbuy.models.ranking.reading import FIRST, age_days, answered, learned_from, require_first, seen_until, trails_of


@dataclass(frozen=True, slots=True)
class Factors:
    """Factors of the matrix of customers and things, by the library ``implicit``; only those of the things are kept.

    ``als``: weighted least squares (Hu, Koren and Volinsky 2008, "Collaborative filtering for implicit feedback datasets"). ``bpr``: pairs
    of a thing met and one not (Rendle et al. 2009). Whoever is asked is folded in by the least squares of the former (ibid., eq. 4), met in
    training or not, so one event is enough.

    Parameters
    ----------
    method
        ``als`` or ``bpr``.
    width
        How many numbers stand for a thing.
    confidence
        How much more a step counts than not having met a thing.
    ridge
        How strongly factors are drawn to 0.
    rounds
        Of learning.
    halflife_days
        A step counts half after so many days.
    seed
        Where chance starts.
    first
        How many things a list has.
    """

    method: Literal["als", "bpr"] = "als"
    width: int = 48
    confidence: float = 5.0
    ridge: float = 0.05
    rounds: int = 12
    halflife_days: float = 90.0
    seed: int = 0
    first: int = FIRST

    def __post_init__(self) -> None:
        require_first(self.name, self.first)
        if (
            self.method not in ("als", "bpr")
            or self.width < 1
            or self.rounds < 1
            or not min(self.confidence, self.ridge, self.halflife_days) > 0
        ):
            raise SettingsError(f"Factors were to be learned by {self}.", "The method is als or bpr, numbers lie above 0.", "Change them.")

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"factors-{self.method}"

    def fit(self, train: Examples, valid: Examples | None = None) -> FactorsModel:
        """Return the factors of the things.

        Raises
        ------
        NotEnoughDataError
            When fewer than two customers met something, or fewer than two things were met.
        DependencyError
            When the library implicit is not installed.
        """
        del valid
        trails = learned_from(train, self.name)
        moment = seen_until(trails)
        met = np.unique(trails.item)
        people = int((np.diff(trails.offsets) > 0).sum())
        if min(len(met), people) < 2:
            raise NotEnoughDataError(
                f"{people} customers met {len(met)} things.", "Tastes are told apart by two of each at least.", "Give a longer log."
            )
        speed = math.log(2.0) / self.halflife_days
        worth = trails.strength.astype(np.float64) * np.exp(-age_days(trails, moment) * speed)
        return FactorsModel(self, trails.shelf, met.astype(np.int32), self._learned(trails, met, worth), moment)

    def _learned(self, trails: Trails, met: Codes, worth: Floats) -> Singles:
        from scipy.sparse import csr_matrix

        try:
            from implicit.cpu import als, bpr
            from threadpoolctl import threadpool_limits
        except ImportError as error:
            raise DependencyError(
                "The library implicit is not installed.", "It learns the factors.", "Run `pip install implicit`."
            ) from error
        owner = np.repeat(np.arange(len(trails)), np.diff(trails.offsets))
        shape = len(trails), len(met)
        matrix = csr_matrix((worth.astype(np.float32), (owner, np.searchsorted(met, trails.item))), shape)
        matrix.sum_duplicates()
        chance = {
            "random_state": self.seed,
            "num_threads": 1,
            "factors": self.width,
            "regularization": self.ridge,
            "iterations": self.rounds,
        }
        learner: Any
        with threadpool_limits(1, "blas"):  # the library warns of more: its products are small
            if self.method == "als":
                learner = als.AlternatingLeastSquares(alpha=self.confidence, use_cg=True, **chance)
            else:
                learner = bpr.BayesianPersonalizedRanking(**(chance | {"iterations": 8 * self.rounds}))
            learner.fit(matrix, show_progress=False)
        return np.ascontiguousarray(learner.item_factors[:, : self.width], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class FactorsModel:
    """The factors of the things that were met: row i of ``factors`` stands for the thing ``met[i]``, rising."""

    settings: Factors
    shelf: Shelf
    met: Codes
    factors: Singles
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    def tastes(self, trails: Trails) -> Floats:
        """Return the factors of each key (n x width): its own least squares against those of the things."""
        settings, table = self.settings, self.factors.astype(np.float64)
        gram = table.T @ table + settings.ridge * np.eye(table.shape[1])
        speed, out = math.log(2.0) / settings.halflife_days, np.zeros((len(trails), table.shape[1]))
        place = np.searchsorted(self.met, trails.item)
        known = (place < len(self.met)) & (self.met[np.minimum(place, len(self.met) - 1)] == trails.item)
        days = np.maximum(np.repeat(trails.at, np.diff(trails.offsets)) - trails.time, 0) / DAY
        weight = settings.confidence * trails.strength * np.exp(-days * speed)
        for i in range(len(trails)):
            part = slice(int(trails.offsets[i]), int(trails.offsets[i + 1]))
            rows, count = table[place[part][known[part]]], weight[part][known[part]]
            if len(rows):
                out[i] = np.linalg.solve(gram + (rows * count[:, None]).T @ rows, ((1 + count)[:, None] * rows).sum(axis=0))
        return out

    def speak(self, examples: Examples) -> tuple[Codes, Floats]:
        """Return the things nearest to each key's taste (n x m each)."""
        trails = trails_of(examples, self.shelf)
        first = min(self.settings.first, len(self.met))
        item, score = np.full((len(trails), first), -1, np.int32), np.full((len(trails), first), np.nan)
        some = np.flatnonzero(np.diff(trails.offsets))
        found, worth = item[some], score[some]
        asked = self.tastes(trails.take(some)).astype(np.float32)
        nearest(asked, np.ascontiguousarray(self.factors.T), np.zeros(len(self.met), np.float32), found, worth)
        item[some], score[some] = np.where(found >= 0, self.met[np.maximum(found, 0)], -1), worth
        return item, score

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Ranking:
        """Return the ranking of each key."""
        return answered(self, examples, self.settings.first, in_sample=in_sample)


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Factors, FactorsModel)}
"""What a stored model of this file may be made of."""
