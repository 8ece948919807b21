"""What a policy would have earned, from what another one did: off-policy values with 95 % intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.errors import NotEnoughDataError, UsageError

_Z: Final = 1.959963985
_FEW: Final = 100.0


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a policy, by one estimator.

    Parameters
    ----------
    name
        ``ips``, ``snips`` or ``dr``.
    value
        Mean reward per decision.
    low, high
        Its 95 % interval.
    effective
        How many decisions of the policy itself the log is worth: (sum w)^2 / sum w^2.
    note
        Why it is to be read with care; empty where it is not.
    """

    name: str
    value: float
    low: float
    high: float
    effective: float
    note: str = ""


def off_policy(
    reward: Floats, propensity: Floats, target: Floats, *, said: Floats | None = None, said_of_target: Floats | None = None
) -> tuple[Value, ...]:
    """Return the value of a policy from the log of another one, by IPS and SNIPS, and doubly robust (DR) where a model of the reward spoke.

    IPS weighs by inverse propensities, SNIPS normalises these weights. With w = target / propensity and q what the model says: IPS is the
    mean of w r (Horvitz and Thompson 1952); SNIPS is sum w r / sum w (Swaminathan and Joachims 2015, eq. 6); DR is the mean of q(policy)
    + w (r - q(logged)) (Dudík, Langford and Li 2011, eq. 2), unbiased where either the propensities or the model are right. Rewards of at
    least 0 get the interval of a weighted sum of rare events (Fay and Feuer 1997, s. 2), which covers where few rewards carry large
    weights; the others the normal one. That of DR is the interval of IPS around the correction w (r - q), as wide as its own spread or
    that of IPS where rewards are too few to tell, whichever is wider below and above.

    Parameters
    ----------
    reward
        What came of each logged decision (n).
    propensity
        The probability with which the log's policy took it (n), above 0.
    target
        The probability with which the policy in question would have taken it (n).
    said
        What a model that did not see the reward says of the logged decision (n).
    said_of_target
        What it says of the decisions of the policy in question, on average (n).

    Raises
    ------
    UsageError
        When lengths differ, or a propensity is none.
    NotEnoughDataError
        When there are fewer than two decisions, or the policy would have taken none of them.
    """
    _check(reward, propensity, target)
    weight = np.asarray(target / propensity)
    if len(reward) < 2 or not weight.any():
        raise NotEnoughDataError(
            f"Of {len(reward):,} logged decisions the policy would have taken {int((weight > 0).sum()):,}.",
            "A policy can be judged only where the log did what it would do.", "Log decisions with more chance in them (`explore`).",
        )  # fmt: skip
    effective = float(weight.sum() ** 2 / (weight**2).sum())
    note = f"worth {effective:,.0f} decisions of the policy itself" if effective < _FEW else ""
    found = [_ips(weight, reward, effective, note), _snips(weight, reward, effective, note)]
    if said is not None and said_of_target is not None:
        found.append(_dr(weight, reward, said, said_of_target, effective, note))
    return tuple(found)


def _ips(weight: Floats, reward: Floats, effective: float, note: str) -> Value:
    low, high = _interval(weight * reward, weight, reward)
    return Value("ips", float((weight * reward).mean()), low, high, effective, note)


def _snips(weight: Floats, reward: Floats, effective: float, note: str) -> Value:
    value = float((weight * reward).sum() / weight.sum())
    if reward.min() < 0:
        part = weight * (reward - value) / weight.mean()
        half = _Z * _standard_error(part)
        return Value("snips", value, value - half, value + half, effective, note)
    low, high = _interval(weight * reward / weight.mean(), weight / weight.mean(), reward)
    return Value("snips", value, low, high, effective, note)


def _dr(weight: Floats, reward: Floats, said: Floats, said_of_target: Floats, effective: float, note: str) -> Value:
    parts = said_of_target + weight * (reward - said)
    value, half = float(parts.mean()), _Z * _standard_error(parts)
    if reward.min() < 0:
        return Value("dr", value, value - half, value + half, effective, note)
    low, high = _interval(weight * reward, weight, reward)
    middle = float((weight * reward).mean())
    return Value("dr", value, min(value - half, value - (middle - low)), max(value + half, value + (high - middle)), effective, note)


def _interval(parts: Floats, weight: Floats, reward: Floats) -> tuple[float, float]:
    """Return the 95 % interval of the mean of the parts (n): the normal one, or for rewards of at least 0 that of rare events."""
    n, value = len(parts), float(parts.mean())
    half = _Z * _standard_error(parts)
    if reward.min() < 0:
        return value - half, value + half
    from scipy.stats import gamma

    spread = float((parts**2).sum()) / n**2
    usual = float(reward[reward > 0].mean()) if (reward > 0).any() else 1.0
    next_one = float(np.average(weight, weights=weight)) * usual / n  # the weight of one more reward, as the policy would draw it
    low = 0.0 if spread == 0 else float(gamma.ppf(0.025, value**2 / spread, scale=spread / value))
    above, more = value + next_one, spread + next_one**2
    return low, float(gamma.ppf(0.975, above**2 / more, scale=more / above))


def _standard_error(parts: Floats) -> float:
    return float(parts.std(ddof=1) / np.sqrt(len(parts)))


def _check(reward: Floats, propensity: Floats, target: Floats) -> None:
    if not len(reward) == len(propensity) == len(target):
        raise UsageError(
            f"{len(reward)} rewards, {len(propensity)} propensities and {len(target)} chances were given.",
            "One of each per decision is needed.",
        )
    if len(reward) and not (propensity.min() > 0 and propensity.max() <= 1 + 1e-9 and target.min() >= 0 and target.max() <= 1 + 1e-9):
        raise UsageError(
            f"Propensities of {propensity.min():g} to {propensity.max():g}, chances of {target.min():g} to {target.max():g} were given.",
            "Propensities lie in (0, 1], chances in [0, 1].", "Leave out decisions that the log's policy could not take.",
        )  # fmt: skip


def crossed(fit: Callable[[Ints], Callable[[Ints], Floats]], n: int, folds: int, rng: np.random.Generator) -> Floats:
    """Return what models say of each row (n), each asked of rows alone that it did not learn from.

    Parameters
    ----------
    fit
        Learns from some rows and returns what speaks of others.
    n, folds
        How many rows there are, and into how many parts they are split.
    rng
        Draws the parts.
    """
    part, said = rng.permutation(n) % folds, np.empty(n)
    for fold in range(folds):
        rest, mine = np.flatnonzero(part != fold), np.flatnonzero(part == fold)
        said[mine] = fit(rest)(mine)
    return said
