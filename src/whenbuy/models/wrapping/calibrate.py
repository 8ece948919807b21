"""Calibration of the hazard, learned on weeks that the model has not seen: along a line, or along any rising curve.

Within a stretch of days a model promises a cumulative hazard D. ``Calibration`` compares what comes true with exp(offset) * D ** slope, a
straight line on the scale log(-log(1 - p)): Platt's logistic calibration (Platt 1999) with the link of the hazard in the place of the
logit. ``Isotonic`` takes the rising curve that fits best, whatever its shape (Zadrozny & Elkan 2002). Either way every bin of a stretch is
scaled alike and no hazard falls below 0, so the curve stays one curve: no horizon is calibrated apart from the others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, Self

import numpy as np

from whenbuy.core.arrays import DAY, Bools, Floats, Ints
from whenbuy.core.examples import Examples, Labels
from whenbuy.core.forecast import Classes, Forecast, Probability, TimeToEvent
from whenbuy.core.learner import F_co, Model, can_learn_on, refuse_known, refuse_leak, require_ripe

_PRIOR: Final = 25.0
"""How strongly slope 1 and offset 0 are believed: about as much as so many rows say."""
_LEAST: Final = 1e-12
_AGAIN: Final = 1_000
"""Outcomes from which a stretch is calibrated again, at least."""


class Correction(ABC):
    """How chances are corrected: by stretch of days, as a function of the cumulative hazard that was promised there."""

    __slots__ = ()
    edges: tuple[float, ...]

    @classmethod
    @abstractmethod
    def learn(cls, edges: Sequence[float], chance: Floats, came: Bools, seen: Bools) -> Self:
        """Return the correction that outcomes teach.

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

    @abstractmethod
    def again(self, chance: Floats, came: Bools, seen: Bools) -> Self:
        """Return the correction that further outcomes teach, a stretch with too few of them as it is; parameters as for ``learn``."""

    @abstractmethod
    def scaled(self, fallen: Floats) -> Floats:
        """Return the corrected cumulative hazard of each stretch (n x m) from the promised one; rises with it."""

    def chances(self, chance: Floats) -> Floats:
        """Return corrected chances told at the edges (n x m)."""
        fallen = _hazard(chance)
        return np.asarray(-np.expm1(-np.cumsum(self.scaled(np.diff(fallen, axis=1, prepend=0.0)), axis=1)))

    def apply(self, answer: Forecast) -> Forecast:
        """Return the corrected forecast: a curve, or the chances of one horizon."""
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
        factor = self.scaled(np.maximum(whole, _LEAST)) / np.maximum(whole, _LEAST)
        survival = np.exp(-np.cumsum(steps * factor[:, stretch], axis=1))
        return TimeToEvent.of(answer.keys, grid, survival, answer.mean_count, answer.model, prior=answer.prior, in_sample=answer.in_sample)


@dataclass(frozen=True, slots=True)
class Calibration(Correction):
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
    def learn(cls, edges: Sequence[float], chance: Floats, came: Bools, seen: Bools) -> Self:
        """Return the slopes and offsets of greatest likelihood; the parameters are those of ``Correction.learn``."""
        lines = [_line(fallen, happened) for fallen, happened in _stretches(chance, came, seen)]
        return cls(tuple(map(float, edges)), tuple(slope for _, slope in lines), tuple(offset for offset, _ in lines))

    def again(self, chance: Floats, came: Bools, seen: Bools) -> Self:
        """Return the slopes and offsets that further outcomes teach; a stretch with fewer than 1,000 of them stays as it is."""
        new = self.learn(self.edges, chance, came, seen)
        enough = _enough(chance, came, seen)
        slope, offset = (
            tuple(b if some else a for a, b, some in zip(old, found, enough, strict=True))
            for old, found in ((self.slope, new.slope), (self.offset, new.offset))
        )
        return type(self)(self.edges, slope, offset)

    def scaled(self, fallen: Floats) -> Floats:
        """Return the corrected cumulative hazard of each stretch (n x m) from the promised one."""
        return np.asarray(np.exp(np.array(self.offset) + np.array(self.slope) * np.log(np.maximum(fallen, _LEAST))))


@dataclass(frozen=True, slots=True, eq=False)
class Isotonic(Correction):
    """Rising curves by stretch of days: what a promised hazard became.

    Parameters
    ----------
    edges
        Where each stretch ends, in days, rising; the last one goes on for ever.
    promised, came
        For each stretch the knots of its curve, rising: a promised cumulative hazard and what it became. Straight in between, in proportion
        beyond the first and the last knot; no knots where nothing is corrected.
    """

    edges: tuple[float, ...]
    promised: tuple[Floats, ...]
    came: tuple[Floats, ...]

    @classmethod
    def learn(cls, edges: Sequence[float], chance: Floats, came: Bools, seen: Bools) -> Self:
        """Return the rising curves of greatest likelihood; the parameters are those of ``Correction.learn``.

        The knots are the blocks of isotonic regression, each at the mean of what was promised in it (centred isotonic regression: Oron &
        Flournoy 2017), so that who was promised more is still promised more.
        """
        knots = [_rising(fallen, happened) for fallen, happened in _stretches(chance, came, seen)]
        return cls(tuple(map(float, edges)), tuple(promised for promised, _ in knots), tuple(became for _, became in knots))

    def again(self, chance: Floats, came: Bools, seen: Bools) -> Self:
        """Return the rising curves that further outcomes teach; a stretch with fewer than 1,000 of them stays as it is."""
        new = self.learn(self.edges, chance, came, seen)
        enough = _enough(chance, came, seen)
        promised, became = (
            tuple(b if some else a for a, b, some in zip(old, found, enough, strict=True))
            for old, found in ((self.promised, new.promised), (self.came, new.came))
        )
        return type(self)(self.edges, promised, became)

    def scaled(self, fallen: Floats) -> Floats:
        """Return the corrected cumulative hazard of each stretch (n x m) from the promised one."""
        found = np.array(fallen, float)
        for stretch, (promised, came) in enumerate(zip(self.promised, self.came, strict=True)):
            if len(promised):
                inside = np.clip(fallen[:, stretch], promised[0], promised[-1])
                found[:, stretch] = np.interp(inside, promised, came) * (fallen[:, stretch] / inside)
        return found


CORRECTIONS: Final[tuple[type[Correction], ...]] = (Calibration, Isotonic)
"""Every way to calibrate, the simplest first."""


def best_correction(
    edges: Sequence[float], chance: Floats, came: Bools, seen: Bools, halves: tuple[Ints, Ints], loss: Callable[[Floats, Ints], float]
) -> Correction | None:
    """Return the correction that helps most on rows from which it was not learned, learned again from both halves; none where none helps.

    Parameters
    ----------
    edges, chance, came, seen
        As for ``Correction.learn``.
    halves
        The rows that teach, and those that judge.
    loss
        How bad chances of some rows are.
    """

    def learned(kind: type[Correction], rows: Ints) -> Correction:
        return kind.learn(edges, chance[rows], came[rows], seen[rows])

    first, second = halves
    losses = [loss(learned(kind, first).chances(chance[second]), second) for kind in CORRECTIONS]
    best = int(np.argmin(losses))
    return learned(CORRECTIONS[best], np.concatenate(halves)) if losses[best] < loss(chance[second], second) else None


@dataclass(frozen=True, slots=True, eq=False)
class CalibratedModel(Generic[F_co]):
    """A model and the calibration of what it says.

    ``calibrated_until`` is the end of the last label window on which the calibration was learned.
    """

    model: Model[F_co]
    calibration: Correction
    calibrated_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it: the model's own."""
        return self.model.name

    @property
    def known_until(self) -> int:
        """The end of the last label window that the model or its calibration saw."""
        return max(self.model.known_until, self.calibrated_until)

    @property
    def learns_on(self) -> bool:
        """Whether later examples can teach it: its calibration always learns."""
        return True

    def update(self, later: Examples) -> CalibratedModel[F_co]:
        """Return the model with its calibration learned again from later cutoffs, and with what the model itself learns from them.

        The calibration compares what the model said before it saw these examples with what came, at the cutoffs that it had not seen; a
        stretch for which too few were watched keeps what it had.

        Raises
        ------
        UsageError
            When a label's window had closed by ``known_until``.
        ImmatureError
            When no label says anything yet.
        """
        label = later.label("purchase")
        refuse_known(self.known_until, later, "purchase")
        fresh = np.flatnonzero(later.keys.cutoff >= self.model.known_until)
        found, until = self.calibration, self.calibrated_until
        if len(fresh):
            edges, told = np.array(found.edges), later.take(fresh)
            said: Any = self.model.predict(told)
            came, seen = outcomes(told.label("purchase"), told.keys.cutoff, found.edges)
            found, until = found.again(said.probability(edges), came, seen), max(until, int(label.end.max()))
        learned = self.model.update(later) if can_learn_on(self.model) else self.model
        require_ripe(int(max(learned.known_until, until) > self.known_until), label, "purchase")
        return CalibratedModel(learned, found, until)

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


def _stretches(chance: Floats, came: Bools, seen: Bools) -> list[tuple[Floats, Bools]]:
    """Return of each stretch the promised hazard of those who were still waiting and watched to its end, and to whom it came there."""
    fallen, found = _hazard(chance), []
    for stretch in range(chance.shape[1]):
        before = fallen[:, stretch - 1] if stretch else np.zeros(len(fallen))
        waiting = ~came[:, stretch - 1] if stretch else np.ones(len(fallen), bool)
        rows = waiting & seen[:, stretch]
        found.append((np.maximum(fallen[rows, stretch] - before[rows], _LEAST), came[rows, stretch]))
    return found


def _enough(chance: Floats, came: Bools, seen: Bools) -> list[bool]:
    """Return whether each stretch has outcomes enough to be calibrated again."""
    return [len(happened) >= _AGAIN for _, happened in _stretches(chance, came, seen)]


def _rising(fallen: Floats, came: Bools) -> tuple[Floats, Floats]:
    """Return the knots of the rising curve of greatest likelihood: what was promised and what it became; none where nobody says anything.

    Half a case is the least that comes and the least that stays out, so that no block promises with certainty.
    """
    from scipy.optimize import isotonic_regression

    if not len(came):
        return np.empty(0), np.empty(0)
    promised, place = np.unique(fallen, return_inverse=True)
    rows = np.bincount(place).astype(float)
    fitted = isotonic_regression(np.bincount(place, came) / rows, weights=rows)
    block = np.repeat(np.arange(len(fitted.blocks) - 1), np.diff(fitted.blocks))
    centre = np.bincount(block, rows * promised) / np.bincount(block, rows)
    share = np.clip(fitted.x[fitted.blocks[:-1]], 0.5 / len(came), 1 - 0.5 / len(came))
    return centre, _hazard(share)


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


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Calibration, Isotonic, CalibratedModel)}
"""What a stored model of this file may be made of."""
