"""What everybody wants: the floor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Codes, Floats
from whenbuy.core.examples import Examples
from whenbuy.core.ranking import Ranking, Shelf
from whenbuy.models.ranking.reading import FIRST, answered, learned_from, require_first, seen_until, trends_of, usual


@dataclass(frozen=True, slots=True)
class Popularity:
    """What everybody wanted lately, the same for all: the trends at one of their half-lives.

    Parameters
    ----------
    halflife
        Which of the half-lives of the trends, counted from the shortest; -1 for the longest.
    first
        How many things a list has.
    """

    halflife: int = -1
    first: int = FIRST

    def __post_init__(self) -> None:
        require_first(self.name, self.first)

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "popularity" if self.halflife == -1 else f"popularity-{self.halflife}"

    def fit(self, train: Examples, valid: Examples | None = None) -> PopularityModel:
        """Return the settings with the shelf: what is popular is read from the trends when it is asked for.

        Raises
        ------
        NotEnoughDataError
            When nobody met anything.
        """
        del valid
        trails = learned_from(train, self.name)
        return PopularityModel(self, trails.shelf, seen_until(trails))


@dataclass(frozen=True, slots=True, eq=False)
class PopularityModel:
    """The trends decide."""

    settings: Popularity
    shelf: Shelf
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    def speak(self, examples: Examples) -> tuple[Codes, Floats]:
        """Return the things most wanted on each key's day (n x m each)."""
        row, rate = trends_of(examples, self.shelf)
        halflife = self.settings.halflife % rate.shape[2]
        item, score = usual(row, rate, halflife, self.settings.first)
        return item[row], np.asarray(score[row])

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Ranking:
        """Return the ranking of each key."""
        return answered(self, examples, self.settings.first, in_sample=in_sample)


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Popularity, PopularityModel, Shelf)}
"""What a stored model of this file may be made of."""
