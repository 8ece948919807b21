"""Churn: the chance that nothing more is heard of her for as long as would be unusual for her."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.errors import WhenbuyError
from whenbuy.core.forecast import Probability, TimeToEvent, instants

GAPS: Final = 3.0
"""So many of her usual gaps without an act are unusual for her."""
SHORTEST_DAYS: Final = 7.0
"""No own horizon is shorter."""
FIXED_DAYS: Final = (28.0, 56.0, 84.0)
"""Horizons that are the same for everybody, as far as the curve reaches."""


@dataclass(frozen=True, slots=True, eq=False)
class Lapse(Probability):
    """The chance that she does nothing at all within her own horizon: the survival of the activity curve there.

    Parameters
    ----------
    keys, chance, model, prior, in_sample
        As for every chance (n).
    days
        Each key's own horizon in days (n).
    """

    days: Floats = field(kw_only=True)

    def __post_init__(self) -> None:
        Probability.__post_init__(self)
        if self.days.shape != (len(self.keys),):
            raise WhenbuyError("Churn was told without the horizon of each key.")

    @classmethod
    def of(cls, activity: TimeToEvent, gap_days: Floats, longest_days: float) -> Lapse:
        """Return the chances by an activity curve and each key's usual gap between days on which she was active (n; NaN: not known)."""
        days = own_days(gap_days, longest_days)
        knots, rows = np.concatenate([[0.0], activity.grid_days]), np.arange(len(activity))
        fallen = np.hstack([np.zeros((len(activity), 1)), -np.log(np.maximum(activity.survival, 1e-300))])
        right = np.clip(np.searchsorted(knots, days), 1, len(knots) - 1)
        share = (days - knots[right - 1]) / (knots[right] - knots[right - 1])
        hazard = fallen[rows, right - 1] + share * (fallen[rows, right] - fallen[rows, right - 1])
        chance = np.clip(np.exp(-hazard), 0.0, 1.0)
        return cls(activity.keys, chance, activity.model, activity.prior, activity.in_sample, days=days)

    def take(self, rows: slice | Ints) -> Lapse:
        """Return the chances of some of the keys."""
        prior: Bools | None = None if self.prior is None else self.prior[rows]
        return replace(self, keys=self.keys.take(rows), chance=self.chance[rows], prior=prior, days=self.days[rows])

    def frame(self) -> pl.DataFrame:
        """Return one row per key: user_id, as_of, probability, days."""
        head = {"user_id": self.keys.ids(), "as_of": instants(self.keys.cutoff)}
        return pl.DataFrame(head | {"probability": self.chance, "days": self.days})


def own_days(gap_days: Floats, longest_days: float) -> Floats:
    """Return each key's own horizon (n): three of her usual gaps, at least a week, and no more than is known of the future.

    Where no gap is known (fewer than two days on which she was active) it is the longest.
    """
    days = np.where(np.isfinite(gap_days), GAPS * gap_days, longest_days)
    return np.asarray(np.clip(days, min(SHORTEST_DAYS, longest_days), longest_days))
