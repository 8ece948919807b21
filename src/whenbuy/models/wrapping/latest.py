"""Learning from the latest rows: where there are more than a learner takes, those of long ago are left out, not any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY
from whenbuy.core.errors import SettingsError
from whenbuy.core.examples import Examples


@dataclass(frozen=True, slots=True)
class Latest:
    """Keeps the training rows of the latest cutoffs, where these are enough: a preparation that changes nothing else.

    A shop changes with the year and as it grows, so what customers do now is like what they did a month ago more than like what they did
    a year ago.

    Parameters
    ----------
    days
        How long before the latest cutoff the others may lie.
    fewest
        Where fewer rows than this would remain, all stay.
    """

    days: float = 84.0
    fewest: int = 50_000

    def __post_init__(self) -> None:
        if not self.days >= 0 or self.fewest < 1:
            raise SettingsError(
                f"The last {self.days} days were to be kept, {self.fewest} rows at least.", "Neither is negative.", "Change it."
            )

    def learn(self, train: Examples) -> tuple[Latest, Examples]:
        """Return the settings, and the latest of these examples."""
        cutoff = train.keys.cutoff
        rows = np.flatnonzero(cutoff >= cutoff.max(initial=0) - round(self.days * DAY))
        return self, train.take(rows) if len(rows) >= self.fewest else train

    def prepare(self, examples: Examples) -> Examples:
        """Return the examples as they are."""
        return examples


TYPES: Final[Mapping[str, type]] = {Latest.__name__: Latest}
"""What a stored model of this file may be made of."""
