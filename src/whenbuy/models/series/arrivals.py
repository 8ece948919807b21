"""Arrivals: how much will be bought by customers who have not been seen yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.errors import UsageError

_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Arrivals:
    """A chain ladder of newcomers: how many come in a step, and how much each of them buys so many steps after she came.

    The number of newcomers goes on from a level with a damped trend; both smooth the steps seen (Holt's method with a damped trend;
    Gardner and McKenzie 1985). What a newcomer buys at each age is everybody's mean at that age over the last steps (the chain ladder of
    Mack 1993, in means).

    Parameters
    ----------
    level, trend
        The weight of the latest step in the level and in the trend (0 to 1).
    damping
        What is left of the trend from one step to the next (0 to 1).
    steps
        The latest steps from which amounts by age are learned.
    """

    level: float = 0.3
    trend: float = 0.05
    damping: float = 0.8
    steps: int = 26

    def __post_init__(self) -> None:
        if not (0 < self.level <= 1 and 0 <= self.trend <= 1 and 0 <= self.damping <= 1 and self.steps >= 1):
            raise UsageError(
                f"Arrivals with a level of {self.level}, a trend of {self.trend} and a damping of {self.damping} were asked for.",
                "Weights lie between 0 and 1.", "Leave them as they are by default.",
            )  # fmt: skip

    def forecast(self, cohorts: Floats, newcomers: Floats, horizon: int) -> Floats:
        """Return what those who are still to come buy in each of the next steps (horizon).

        Parameters
        ----------
        cohorts
            What those who came in step b bought in step s (t x t): nothing below the diagonal.
        newcomers
            How many came in each step (t).
        horizon
            How many steps are asked about.
        """
        if not len(newcomers) or not newcomers.sum():
            return np.zeros(horizon)
        coming = self.newcomers(newcomers, horizon)
        each = self.by_age(cohorts, newcomers, horizon)
        return np.array([(coming[: step + 1] * each[step::-1]).sum() for step in range(horizon)])

    def newcomers(self, seen: Floats, horizon: int) -> Floats:
        """Return how many come in each of the next steps (horizon), never fewer than none."""
        level, trend = float(seen[: self.steps].mean()), 0.0
        for value in seen.tolist():
            before = level
            level = self.level * value + (1 - self.level) * (level + self.damping * trend)
            trend = self.trend * (level - before) + (1 - self.trend) * self.damping * trend
        carried = np.cumsum(self.damping ** np.arange(1, horizon + 1))
        return np.maximum(level + trend * carried, 0.0)

    def by_age(self, cohorts: Floats, newcomers: Floats, horizon: int) -> Floats:
        """Return what a newcomer buys 0, 1, … steps after the one in which she came (horizon); an age never seen is like the last one."""
        t = len(newcomers)
        each = np.zeros(horizon)
        for age in range(horizon):
            first, last = max(0, t - age - self.steps), t - age
            came = newcomers[first:last].sum() if last > 0 else 0.0
            bought = np.diagonal(cohorts, age)[first:last].sum() if last > 0 else 0.0
            each[age] = bought / came if came > _TINY else (each[age - 1] if age else 0.0)
        return each
