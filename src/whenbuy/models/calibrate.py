"""Calibration: one slope and one offset per stretch of days, learned on weeks that the model has not seen.

In a stretch a model promises a cumulative hazard D; what comes true is compared with exp(offset) * D ** slope, which is a straight line on
the scale log(-log(1 - p)) (Platt 1999, with the link of the hazard instead of the logit). Every bin of the stretch is scaled alike, so the
curve stays one curve: no horizon is calibrated apart from the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic

import numpy as np

from whenbuy.core.arrays import DAY, Bools, Floats
from whenbuy.core.examples import Examples, Labels
from whenbuy.core.forecast import Classes, Forecast, Probability, TimeToEvent
from whenbuy.core.learner import F_co, Model, refuse_leak

_PRIOR: Final = 25.0
"""How strongly slope 1 and offset 0 are believed: about as much as so many rows say."""
_LEAST: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Calibration:
    """Slopes and offsets by stretch of days.

    Parameters
    ----------
    edges
        Where each stretch ends, in days, rising; the last one goes on for ever. A question with one horizon has one stretch.
    slope, offset
        For each stretch.
    """

    edges: tuple[float, ...]
    slope: tuple[float, ...]
    offset: tuple[float, ...]

    @classmethod
    def learn(cls, edges: Sequence[float], chance: Floats, came: Bools, seen: Bools) -> Calibration:
        """Return the calibration that outcomes teach.

        Parameters
        ----------
        edges
            Days at which chances were told (m), rising.
        chance
            P(event within each of them) (n x m).
        came
            Whether the event came within each (n x m).
        seen
            Whether the row was watched that long (n x m): others say nothing of that stretch, whether they came or not.
        """
        fallen = _hazard(chance)
        slope, offset = [], []
        for stretch in range(len(edges)):
            before = fallen[:, stretch - 1] if stretch else np.zeros(len(fallen))
            waiting = ~came[:, stretch - 1] if stretch else np.ones(len(fallen), bool)
            rows = waiting & seen[:, stretch]
            a, b = _line(np.maximum(fallen[rows, stretch] - before[rows], _LEAST), came[rows, stretch])
            offset.append(a)
            slope.append(b)
        return cls(tuple(map(float, edges)), tuple(slope), tuple(offset))

    def chances(self, chance: Floats) -> Floats:
        """Return calibrated chances told at the edges (n x m)."""
        fallen = _hazard(chance)
        return np.asarray(-np.expm1(-np.cumsum(self._scaled(np.diff(fallen, axis=1, prepend=0.0)), axis=1)))

    def apply(self, answer: Forecast) -> Forecast:
        """Return the calibrated forecast: a curve, or the chances of one horizon."""
        if isinstance(answer, Probability):
            return replace(answer, chance=self.chances(answer.chance[:, None])[:, 0])
        if isinstance(answer, Classes):
            return replace(answer, chance=self.chances(answer.chance.reshape(-1, 1)).reshape(answer.chance.shape))
        if not isinstance(answer, TimeToEvent):
            raise TypeError(type(answer).__name__)
        grid = answer.grid_days
        steps = np.diff(_hazard(1 - answer.survival), axis=1, prepend=0.0)
        stretch = np.minimum(np.searchsorted(self.edges, grid - 1e-9), len(self.edges) - 1)
        inside = np.flatnonzero(grid <= self.edges[-1] + 1e-9)
        whole = np.zeros((len(answer), len(self.edges)))
        for place in inside:
            whole[:, stretch[place]] += steps[:, place]
        factor = self._scaled(np.maximum(whole, _LEAST)) / np.maximum(whole, _LEAST)
        survival = np.exp(-np.cumsum(steps * factor[:, stretch], axis=1))
        return TimeToEvent.of(answer.keys, grid, survival, answer.mean_count, answer.model, prior=answer.prior, in_sample=answer.in_sample)

    def _scaled(self, fallen: Floats) -> Floats:
        return np.asarray(np.exp(np.array(self.offset) + np.array(self.slope) * np.log(np.maximum(fallen, _LEAST))))


@dataclass(frozen=True, slots=True, eq=False)
class CalibratedModel(Generic[F_co]):
    """A model and the calibration of what it says.

    ``calibrated_until`` is the end of the last label window on which the calibration was learned.
    """

    model: Model[F_co]
    calibration: Calibration
    calibrated_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it: the model's own."""
        return self.model.name

    @property
    def known_until(self) -> int:
        """The end of the last label window that the model or its calibration saw."""
        return max(self.model.known_until, self.calibrated_until)

    def predict(self, examples: Examples, *, in_sample: bool = False) -> F_co:
        """Return the calibrated answer for each key; raises as the model does."""
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        answer: Any = self.calibration.apply(self.model.predict(examples, in_sample=in_sample))
        found: F_co = answer
        return found


def outcomes(labels: Labels, cutoff: np.ndarray[Any, np.dtype[np.int64]], days: Sequence[float]) -> tuple[Bools, Bools]:
    """Return whether the event came within each number of days, and whether the row was watched that long (n x m each)."""
    watched = (labels.end - cutoff)[:, None] / DAY >= np.asarray(days)[None, :]
    return labels.observed[:, None] & (labels.value[:, None] < np.asarray(days)[None, :]), watched


def _hazard(chance: Floats) -> Floats:
    return np.asarray(-np.log1p(-np.clip(chance, 0.0, 1 - 1e-12)))


def _line(fallen: Floats, came: Bools) -> tuple[float, float]:
    """Return offset and slope of greatest likelihood under the prior that nothing is to be changed; (0, 1) where nobody says anything."""
    from scipy.optimize import minimize

    if not len(came):
        return 0.0, 1.0
    x = np.log(fallen)
    centre = float(np.average(x, weights=fallen)) if fallen.sum() > 0 else float(x.mean())

    def loss(at: Floats) -> tuple[float, Floats]:
        hazard = np.exp(np.minimum(at[0] + at[1] * (x - centre) + centre, 30.0))
        chance = np.maximum(-np.expm1(-hazard), 1e-300)
        slant = np.where(came, -hazard * np.exp(-hazard) / chance, hazard)
        value = np.where(came, -np.log(chance), hazard).sum() + 0.5 * _PRIOR * (at[0] ** 2 + (at[1] - 1) ** 2)
        return float(value), np.array([slant.sum() + _PRIOR * at[0], slant @ (x - centre) + _PRIOR * (at[1] - 1)])

    found = minimize(loss, np.array([0.0, 1.0]), jac=True, method="L-BFGS-B", bounds=[(-2.0, 2.0), (0.2, 3.0)])
    shift, slope = (float(part) for part in found.x)
    return shift + (1 - slope) * centre, slope


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Calibration, CalibratedModel)}
"""What a stored model of this file may be made of."""
