"""Several learners of one effect answer together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Singles
from whenbuy.core.errors import UsageError
from whenbuy.core.examples import Examples
from whenbuy.models.effect.learned import Grower, Uplift, UpliftModel, learned
from whenbuy.models.effect.residual import ResidualLearner
from whenbuy.models.effect.s_learner import SLearner
from whenbuy.models.effect.trial import Trial


@dataclass(frozen=True, slots=True)
class UpliftBlend:
    """The mean of several effects: what one learner mistakes is seldom what another does.

    Parameters
    ----------
    members
        The learners; all learn the same outcome. By default one that draws effects towards none and one that draws them towards a share
        of what comes anyway.
    halves
        On how many random halves of the customers they learn again, for the intervals.
    seed
        Draws the halves.
    """

    members: tuple[Grower, ...] = (ResidualLearner(), SLearner())
    halves: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if len({(member.outcome, member.horizon_days) for member in self.members}) != 1:
            raise UsageError("The members of a blend of effects learn different outcomes.", "Effects on different things have no mean.")

    @classmethod
    def of(cls, outcome: str, horizon_days: float, halves: int = 8, seed: int = 0) -> UpliftBlend:
        """Return the usual blend for an outcome."""
        members = (ResidualLearner(outcome, horizon_days, halves=0, seed=seed), SLearner(outcome, horizon_days, halves=0, seed=seed))
        return cls(members, halves, seed)

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "uplift blend"

    @property
    def outcome(self) -> str:
        """The label that is learned."""
        return self.members[0].outcome

    @property
    def horizon_days(self) -> float:
        """The length over which it was counted."""
        return self.members[0].horizon_days

    def fit(self, train: Examples, valid: Examples | None = None) -> UpliftModel:
        """Return the effects that the examples teach; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When an arm has too few customers, or all outcomes are the same.
        """
        del valid
        return learned(self, train)

    def grown(self, trial: Trial) -> Together:
        """Return the effect that a trial teaches."""
        return Together(tuple(member.grown(trial) for member in self.members))


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """Effects of which the mean is taken."""

    parts: tuple[Uplift, ...]

    def uplift(self, values: Singles) -> Floats:
        """Return what each offer adds for each row of features (n x m)."""
        return np.asarray(np.mean([part.uplift(values) for part in self.parts], axis=0))


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (UpliftBlend, Together)}
"""What a stored model of this file may be made of."""
