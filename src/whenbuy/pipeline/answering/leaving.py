"""The law of leaving: whether somebody who is silent has left, and what drove her away.

A customer acts on days by chance at a rate of her own (gamma over customers, as in the NBD: Ehrenberg 1959). She leaves for good at a
constant hazard for reasons that nobody can change (the exponential dropout of the Pareto/NBD: Schmittlein, Morrison and Colombo 1987), and
at each trouble of a cause with the chance 1 - exp(-harm x weight): the dropout after a transaction of the BG/NBD (Fader, Hardie and Lee
2005), made to depend on what went wrong. A trouble after which she came again did not drive her away. The silence since her last act is
explained by her being there still, by each trouble since, or by the hazard; their shares in the likelihood are the chances, and they add up
to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import minimize
from scipy.special import digamma, gammaln

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.pipeline.answering.trails import Trails

MEMBERS: Final = 40
"""So many times the law is learned again from customers drawn with replacement."""
LEAST: Final = 50
"""From fewer customers no law is learned."""
_NODES, _WEIGHTS = (part.astype(np.float64) for part in np.polynomial.legendre.leggauss(20))
_MOST_HARM: Final = 3.0
_STEP: Final = 1e-4
_OWN, _HERE = -1, -2


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """What explains silences: the chances that she left because of each cause (n x c), or of none, or that she is there (n each)."""

    causes: Floats
    own: Floats
    here: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """All that can explain the silences of some customers: being there, each trouble since, leaving of one's own accord at some moment.

    Parameters
    ----------
    trails
        Whose silences.
    owner
        Of each explanation (t): whose.
    why
        Which cause, or leaving of her own accord, or being there.
    weight
        The weight of the trouble; of a moment, the days that it stands for.
    after
        Days from her last act until then.
    borne
        What weighed on her before, since her last act, by cause (t x c).
    """

    trails: Trails
    owner: Ints
    why: Ints
    weight: Floats
    after: Floats
    borne: Floats

    @classmethod
    def of(cls, trails: Trails) -> Pieces:
        """Return what can explain these silences."""
        n, m, silent = len(trails), len(trails.owner), trails.silent
        start = np.searchsorted(trails.owner, np.arange(n + 1))
        running = np.zeros((m + 1, len(trails.causes)))
        running[np.arange(m) + 1, trails.cause] = trails.weight
        running = np.cumsum(running, axis=0)
        node = (_NODES + 1) / 2
        moment = silent[:, None] * node[None, :] ** 3  # dense where her last act is near
        span = silent[:, None] * (_WEIGHTS / 2 * 3 * node**2)[None, :]
        wide, everybody = 1e6, np.arange(n)
        place = np.searchsorted(trails.owner * wide + trails.after, everybody[:, None] * wide + np.minimum(moment, wide / 2), side="right")
        owner = np.concatenate([everybody, trails.owner, np.repeat(everybody, len(node))])
        why = np.concatenate([np.full(n, _HERE), trails.cause, np.full(moment.size, _OWN)])
        upto = np.concatenate([start[1:], np.arange(m), place.ravel()])
        weight, after = (
            np.concatenate(parts) for parts in ((np.ones(n), trails.weight, span.ravel()), (silent, trails.after, moment.ravel()))
        )
        return cls(trails, owner, why, weight, after, running[upto] - running[start[owner]])


@dataclass(frozen=True, slots=True, eq=False)
class Law:
    """A law of leaving.

    Parameters
    ----------
    shape, scale
        Gamma law of the acts per day over customers.
    hazard
        Of leaving for reasons of her own, per day.
    harm
        Of each cause (c): the cumulative hazard of one event of weight 1. It may be below zero in a member of the bootstrap, where chance
        alone decides whether it does harm.
    """

    shape: float
    scale: float
    hazard: float
    harm: Floats

    @classmethod
    def of(cls, values: Floats) -> Law:
        """Return the law of some numbers: the logarithms of the first three, then the harms."""
        shape, scale, hazard = np.exp(values[:3]).tolist()
        return cls(shape, scale, hazard, np.asarray(values[3:], np.float64))

    def explain(self, pieces: Pieces) -> Shares:
        """Return what explains each silence."""
        value, n = self._values(pieces), len(pieces.trails)
        parts = [
            np.bincount(pieces.owner, np.where(pieces.why == why, value, 0.0), minlength=n)
            for why in (*range(len(pieces.trails.causes)), _OWN, _HERE)
        ]
        found = np.stack(parts, axis=1)
        found = found / found.sum(axis=1, keepdims=True)
        return Shares(found[:, :-2], found[:, -2], found[:, -1])

    def likelihood(self, pieces: Pieces) -> Floats:
        """Return the log-likelihood of each customer (n)."""
        trails, power = pieces.trails, self.shape + pieces.trails.days
        whole = np.bincount(pieces.owner, self._values(pieces), minlength=len(trails))
        common = gammaln(power) - gammaln(self.shape) + self.shape * np.log(self.scale) - power * np.log(self.scale + trails.lived)
        return np.asarray(common - self.hazard * trails.lived - trails.forgiven @ self.harm + np.log(np.maximum(whole, 1e-300)))

    def slopes(self, pieces: Pieces) -> Floats:
        """Return the slope of each customer's log-likelihood in the numbers of ``of`` (n x p)."""
        trails, value, owner = pieces.trails, self._values(pieces), pieces.owner
        power, since = self.shape + trails.days, self.scale + trails.lived
        later = since[owner] + pieces.after
        own = pieces.why == _OWN
        each = [
            -self.shape * np.log(later / since[owner]),
            self.scale * power[owner] * pieces.after / (since[owner] * later),
            own - self.hazard * pieces.after,
        ]
        common = [
            self.shape * (digamma(power) - digamma(self.shape) + np.log(self.scale / since)),
            self.shape - power * self.scale / since,
            -self.hazard * trails.lived,
        ]
        for cause in range(len(self.harm)):
            mine = pieces.why == cause
            blow = np.where(mine, self.harm[cause] * pieces.weight, 1.0)
            blow = np.where(np.abs(blow) < 1e-12, 1e-12, blow)
            each.append(np.where(mine, pieces.weight / np.expm1(blow), 0.0) - pieces.borne[:, cause])
            common.append(-trails.forgiven[:, cause])
        whole = np.maximum(np.bincount(owner, value, minlength=len(trails)), 1e-300)
        return np.stack(
            [np.bincount(owner, value * part, minlength=len(trails)) / whole + more for part, more in zip(each, common, strict=True)], 1
        )

    def _values(self, pieces: Pieces) -> Floats:
        """Return the likelihood of each explanation, but for what all of one customer share (t)."""
        trails, owner = pieces.trails, pieces.owner
        power, since = self.shape + trails.days, self.scale + trails.lived
        silence = np.exp(-power[owner] * np.log1p(pieces.after / since[owner]) - self.hazard * pieces.after - pieces.borne @ self.harm)
        blow = np.concatenate([self.harm, [0.0, 0.0]])[pieces.why] * pieces.weight  # the other two lie behind: -1 and -2
        blow = np.where((pieces.why >= 0) & (np.abs(blow) < 1e-12), 1e-12, blow)
        comes = np.where(pieces.why >= 0, -np.expm1(-blow), np.where(pieces.why == _OWN, self.hazard * pieces.weight, 1.0))
        return np.asarray(silence * comes)


def learn(trails: Trails, seed: int = 0) -> tuple[Law, tuple[Law, ...]]:
    """Return the law of greatest likelihood and members of a bootstrap over customers.

    Each member is one Newton step from the law towards the best one of customers drawn with replacement: as far as the likelihood is
    quadratic there, this is the bootstrap itself (the one-step bootstrap: Schucany and Wang 1991). Steps go beyond what is possible, so
    that an interval can tell harm from chance.

    Raises
    ------
    NotEnoughDataError
        When there are too few customers.
    """
    if len(trails) < LEAST:
        raise NotEnoughDataError(
            f"{len(trails):,} customers did something.", f"The law of leaving is learned from {LEAST:,} at least.", "Give a longer log."
        )
    pieces = Pieces.of(trails)
    usual = max(float(trails.days.sum() / max(trails.lived.sum(), 1.0)), 1e-6)
    first = np.concatenate([[0.0, -np.log(usual), np.log(1e-3)], np.full(len(trails.causes), 0.02)])
    bounds = [(-6.0, 6.0), (-12.0, 12.0), (-16.0, 0.0), *([(0.0, _MOST_HARM)] * len(trails.causes))]

    def loss(values: Floats) -> tuple[float, Floats]:
        law = Law.of(values)
        return -float(law.likelihood(pieces).mean()), -law.slopes(pieces).mean(axis=0)

    found = np.asarray(minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 200}).x)
    score, curve = Law.of(found).slopes(pieces), _curvature(found, pieces)
    rng = np.random.default_rng(seed)
    steps = []
    for _ in range(MEMBERS):
        drawn = np.bincount(rng.integers(0, len(trails), len(trails)), minlength=len(trails)) - 1.0
        steps.append(_bounded(found + np.linalg.solve(curve, drawn @ score), found))
    return Law.of(found), tuple(Law.of(step) for step in steps)


def _bounded(step: Floats, found: Floats) -> Floats:
    """Return a step that stays where numbers are finite."""
    return np.concatenate([np.clip(step[:3], found[:3] - 3, found[:3] + 3), np.clip(step[3:], -1.0, _MOST_HARM)])


def _curvature(values: Floats, pieces: Pieces) -> Floats:
    """Return minus the second derivatives of the log-likelihood (p x p), kept invertible."""
    rows = []
    for place in range(len(values)):
        step = np.zeros(len(values))
        step[place] = _STEP
        ahead, behind = (Law.of(values + sign * step).slopes(pieces).sum(axis=0) for sign in (1, -1))
        rows.append((ahead - behind) / (2 * _STEP))
    curve = -np.array(rows)
    value, vector = np.linalg.eigh((curve + curve.T) / 2)
    return np.asarray((vector * np.maximum(value, 1e-3 * len(pieces.trails) ** 0.5)) @ vector.T)


def interval(members: tuple[Law, ...], pieces: Pieces, share: float = 0.8) -> tuple[Floats, Floats]:
    """Return between which values so large a share of the members sees the part of each cause (n x c each)."""
    parts = np.stack([member.explain(pieces).causes for member in members])
    low, high = np.quantile(parts, [(1 - share) / 2, (1 + share) / 2], axis=0)
    return np.asarray(low), np.asarray(high)


def excludes_zero(low: Floats, high: Floats) -> Bools:
    """Return where an interval lies above or below zero as a whole."""
    return np.asarray((low > 0) | (high < 0))
