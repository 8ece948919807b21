"""A blend: unlike models that answer together. Chances are averaged as log-odds, counts and amounts as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.errors import UsageError, WhenbuyError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import Amount, Classes, Forecast, Probability, TimeToEvent
from whenbuy.core.learner import F_co, Learner, Model, can_learn_on

_SURE: Final = 1e-9
"""Chances nearer to 0 or 1 than this say no more than this: nobody outvotes all others."""


@dataclass(frozen=True, slots=True)
class Blend(Generic[F_co]):
    """Some learners of one answer, averaged with fixed weights.

    Parameters
    ----------
    members
        The learners; all answer on the same grid.
    weights
        How much each counts; made to sum to 1. All the same when empty.

    Raises
    ------
    UsageError
        When there is no member, or the weights do not fit.
    """

    members: tuple[Learner[F_co], ...]
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.members:
            raise UsageError("A mean of no learners was asked for.", "It needs at least one.", "Name its members.")
        _shares(self.weights, len(self.members))

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "+".join(member.name for member in self.members)

    def fit(self, train: Examples, valid: Examples | None = None) -> BlendModel[F_co]:
        """Return what every member learns. Raises what they raise."""
        return BlendModel(self.name, tuple(member.fit(train, valid) for member in self.members), _shares(self.weights, len(self.members)))


@dataclass(frozen=True, slots=True, eq=False)
class BlendModel(Generic[F_co]):
    """Models that answer together, and how much each counts."""

    name: str
    members: tuple[Model[F_co], ...]
    weights: tuple[float, ...]

    @property
    def known_until(self) -> int:
        """The latest instant that any member knows of."""
        return max(member.known_until for member in self.members)

    @property
    def learns_on(self) -> bool:
        """Whether later examples can teach it: where some member can learn on."""
        return any(can_learn_on(member) for member in self.members)

    def update(self, later: Examples) -> BlendModel[F_co]:
        """Return the blend with those members that can learn as later examples change them. Raises as they do."""
        return replace(self, members=tuple(member.update(later) if can_learn_on(member) else member for member in self.members))

    def predict(self, examples: Examples, *, in_sample: bool = False) -> F_co:
        """Return the blended answer for each key.

        Raises
        ------
        LeakError
            When a cutoff lies before what any member knows and ``in_sample`` was not said.
        """
        told: Any = blended([member.predict(examples, in_sample=in_sample) for member in self.members], self.weights, self.name)
        answer: F_co = told
        return answer


def mixed_chances(chances: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """Return the chances whose log-odds are the weighted mean of those given (arrays of one shape): a rising curve stays rising."""
    score = np.zeros_like(chances[0])
    for chance, weight in zip(chances, weights, strict=True):
        bounded = np.clip(chance, _SURE, 1 - _SURE)
        score += weight * (np.log(bounded) - np.log1p(-bounded))
    return np.asarray(1 / (1 + np.exp(-score)))


def mixed_numbers(numbers: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """Return the weighted mean of arrays of one shape."""
    mean = np.zeros_like(numbers[0])
    for number, weight in zip(numbers, weights, strict=True):
        mean += weight * number
    return mean


def blended(answers: Sequence[Forecast], weights: Sequence[float], name: str) -> Forecast:
    """Return the weighted mean of answers of one kind about the same keys. A key is marked ``prior`` where every member says so."""
    first = answers[0]
    if isinstance(first, TimeToEvent):
        curves: list[Any] = list(answers)
        survival = 1 - mixed_chances([1 - curve.survival for curve in curves], weights)
        count = mixed_numbers([curve.mean_count for curve in curves], weights)
        prior = _all_prior(curves)
        return TimeToEvent.of(first.keys, first.grid_days, survival, count, name, prior=prior, in_sample=first.in_sample)
    if isinstance(first, Amount):
        amounts: list[Any] = list(answers)
        mean, quantiles = (mixed_numbers([getattr(amount, part) for amount in amounts], weights) for part in ("mean", "quantiles"))
        return replace(first, mean=mean, quantiles=quantiles, model=name)
    if isinstance(first, Probability | Classes):
        chances: list[Any] = list(answers)
        chance = mixed_chances([one.chance for one in chances], weights)
        return replace(first, chance=chance, model=name, prior=_all_prior(chances))
    raise WhenbuyError(f"Forecasts of the kind {type(first).__name__} cannot be blended.")


def _all_prior(answers: Sequence[Any]) -> Any:
    known = [np.zeros(len(answer), bool) if answer.prior is None else answer.prior for answer in answers]
    return np.all(known, axis=0)


def _shares(weights: tuple[float, ...], members: int) -> tuple[float, ...]:
    """Return the weights as shares that sum to 1."""
    given = np.array(weights or (1.0,) * members, float)
    if len(given) != members or not np.isfinite(given).all() or (given < 0).any() or given.sum() <= 0:
        raise UsageError(
            f"{members} members of a blend were given the weights {weights}.",
            "Each needs one of at least 0.",
            "Leave them out for equal ones.",
        )
    return tuple((given / given.sum()).tolist())


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Blend, BlendModel)}
"""What a stored model of this file may be made of."""
