"""Learning while sending: contextual Thompson sampling with a Bayesian regression per arm, and the probability of every draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.errors import UsageError

Reward = Literal["amount", "chance"]
_STEPS: Final = 50


@dataclass(frozen=True, slots=True, eq=False)
class Thompson:
    """What is believed of each arm: a normal distribution over the weights of the context.

    An arm is drawn with the probability that it is the best (Thompson 1933): its weights are drawn from what is believed, and the arm
    with the highest score is taken. The probability of every draw is kept with it, so that any other policy can be judged on the log
    (``off_policy``).

    Parameters
    ----------
    mean
        Of the weights (arms x k).
    precision
        Inverse covariance of the weights (arms x k x k).
    reward
        "amount": linear regression with noise of standard deviation ``noise``; "chance" (rewards 0 and 1): logistic regression, normal
        around its mode (Laplace; Chapelle and Li 2011, algorithm 3).
    noise
        Standard deviation of an amount around its mean; of no meaning for chances.
    """

    mean: Floats
    precision: Floats
    reward: Reward = "amount"
    noise: float = 1.0

    @classmethod
    def begun(cls, arms: int, width: int, *, prior: float = 1.0, reward: Reward = "amount", noise: float = 1.0) -> Thompson:
        """Return what is believed before anything was seen: weights around 0 with a standard deviation of ``prior``.

        Raises
        ------
        UsageError
            When a number is not above 0.
        """
        if min(arms, width) < 1 or min(prior, noise) <= 0:
            raise UsageError(
                f"A bandit of {arms} arms and {width} columns with prior {prior:g} and noise {noise:g} was asked for.",
                "All of them are above 0.", "Change the numbers.",
            )  # fmt: skip
        return cls(np.zeros((arms, width)), np.tile(np.eye(width) / prior**2, (arms, 1, 1)), reward, noise)

    def draw(self, contexts: Floats, rng: np.random.Generator, *, draws: int = 2000) -> tuple[Ints, Floats]:
        """Return an arm for each context (n), and the probability of every arm (n x arms).

        The probabilities are counted over ``draws`` draws of the weights, and the arm is drawn by them: so they are exact for what is
        done. Each arm has at least half a draw in ``draws``, so that no propensity is 0.
        """
        chance = _chances(self.sampled(rng, draws), contexts, np.ones((len(contexts), len(self.mean)), bool))
        return drawn(chance, rng.random(len(contexts))), chance

    def sampled(self, rng: np.random.Generator, draws: int) -> Floats:
        """Return weights drawn from what is believed (draws x arms x k)."""
        roots = np.stack([np.linalg.cholesky(np.linalg.inv(one)) for one in self.precision])
        return np.asarray(self.mean + np.einsum("akj,daj->dak", roots, rng.standard_normal((draws, *self.mean.shape))))

    def update(self, contexts: Floats, arm: Ints, reward: Floats) -> Thompson:
        """Return what is believed after some rewards: contexts (n x k), the arm of each (n), what came of it (n)."""
        mean, precision = self.mean.copy(), self.precision.copy()
        for each in np.unique(arm):
            rows = arm == each
            step = _linear if self.reward == "amount" else _logistic
            mean[each], precision[each] = step(mean[each], precision[each], contexts[rows], reward[rows], self.noise)
        return replace(self, mean=mean, precision=precision)


@dataclass(frozen=True, slots=True, eq=False)
class Bandit:
    """What draws offers for customers by Thompson sampling: beliefs about every arm, and the context of every customer.

    Parameters
    ----------
    arms
        "none" first, then an offer on a channel each ("ten@email").
    contexts
        Of the customers (n x k).
    weights
        Drawn from what is believed (draws x arms x k): the chance of an arm is the share of these draws in which it is the best.
    """

    arms: tuple[str, ...]
    contexts: Floats
    weights: Floats

    @classmethod
    def of(cls, believed: Thompson, arms: Sequence[str], contexts: Floats, rng: np.random.Generator, *, draws: int = 1000) -> Bandit:
        """Return what draws by these beliefs."""
        return cls(tuple(arms), contexts, believed.sampled(rng, draws))

    def chances(self, rows: Ints, arms: Sequence[str], allowed: Bools) -> Floats:
        """Return the chance of nothing and of each of some arms (m x 1 + arms) for some customers.

        Parameters
        ----------
        rows
            Which customers (m).
        arms
            Which arms beside nothing.
        allowed
            Which of them each may be sent (m x arms); the others have no chance.
        """
        places = [0, *(self.arms.index(name) for name in arms)]
        open_arms = np.hstack([np.ones((len(rows), 1), bool), allowed])
        return _chances(self.weights[:, places], self.contexts[rows], open_arms)


def drawn(chance: Floats, ticket: Floats) -> Ints:
    """Return the arm (n) that a number in [0, 1) draws from the chances of the arms (n x arms)."""
    arm = (np.cumsum(chance, axis=1) <= ticket[:, None]).sum(axis=1)
    possible = chance.shape[1] - 1 - (chance[:, ::-1] > 0).argmax(axis=1)  # the last arm with a chance: rounding may not go beyond it
    return np.asarray(np.minimum(arm, possible), np.int64)


def _chances(weights: Floats, contexts: Floats, allowed: Bools) -> Floats:
    """Return in which share of the draws each allowed arm is the best (n x arms); each has at least half a draw."""
    wins, every = np.where(allowed, 0.5, 0.0), np.arange(len(contexts))
    for each in weights:
        wins[every, np.where(allowed, contexts @ each.T, -np.inf).argmax(axis=1)] += 1.0
    return np.asarray(wins / wins.sum(axis=1, keepdims=True))


def _linear(mean: Floats, precision: Floats, x: Floats, y: Floats, noise: float) -> tuple[Floats, Floats]:
    """Return the posterior of a Bayesian linear regression (Bishop 2006, eq. 3.50 and 3.51)."""
    after = precision + x.T @ x / noise**2
    return np.asarray(np.linalg.solve(after, precision @ mean + x.T @ y / noise**2), float), after


def _logistic(mean: Floats, precision: Floats, x: Floats, y: Floats, noise: float) -> tuple[Floats, Floats]:
    """Return the mode and the curvature there of a Bayesian logistic regression, by Newton's method with halved steps."""
    del noise

    def loss(w: Floats) -> float:
        return float(0.5 * (w - mean) @ precision @ (w - mean) + np.logaddexp(0.0, x @ w).sum() - y @ (x @ w))

    w = mean.copy()
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-(x @ w)))
        slope = precision @ (w - mean) + x.T @ (p - y)
        step, size = np.linalg.solve(precision + (x * (p * (1 - p))[:, None]).T @ x, slope), 1.0
        while size > 1e-6 and loss(w - size * step) > loss(w):
            size /= 2
        w = w - size * step
        if np.abs(step).max() < 1e-10:
            break
    p = 1 / (1 + np.exp(-(x @ w)))
    return w, precision + (x * (p * (1 - p))[:, None]).T @ x
