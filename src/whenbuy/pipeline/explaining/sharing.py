"""Sharing a forecast out between families of features, beside typical customers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.examples import Examples
from whenbuy.core.keys import Keys
from whenbuy.pipeline.explaining.asking import Asking, Reading, blocks_read
from whenbuy.pipeline.explaining.crowd import Crowd
from whenbuy.pipeline.explaining.families import families
from whenbuy.reasons.families import Family
from whenbuy.reasons.mixture import Mixture, Part, touched
from whenbuy.reasons.shapley import Shares, shapley

TYPICAL: Final = 16
"""So many typical customers are what a forecast is compared with."""
WALKS: Final = 2
"""So many pairs of opposite orders are walked beside each of them."""
_SEED: Final = 0
_MOMENT: Final = ("browsing", "gap")
"""With the first of these families that there is comes the instant at which a customer was read, and her silence since."""


@dataclass(frozen=True, slots=True, eq=False)
class Sharing:
    """What forecasts are shared out between, and whom they are compared with.

    Parameters
    ----------
    asking
        Who is asked.
    typical
        The typical customers (b): spread evenly over the forecasts of the crowd, so that their mean is the shop's.
    families
        The families of what the model reads (p).
    blocks
        The names of the blocks that it reads.
    """

    asking: Asking
    typical: Keys
    families: tuple[Family, ...]
    blocks: tuple[str, ...]

    @classmethod
    def of(cls, asking: Asking, crowd: Crowd) -> Sharing:
        """Return how forecasts are shared out among this crowd."""
        blocks = blocks_read(asking, crowd.reading)
        return cls(asking, crowd.pool.take(crowd.evenly(TYPICAL)), families(asking.model.features, blocks), blocks)

    @property
    def moment(self) -> int:
        """The place of the family with which the instant of reading comes."""
        names = [family.part.name for family in self.families]
        return next((names.index(name) for name in _MOMENT if name in names), 0)

    def read(self, keys: Keys) -> Reading:
        """Return what is read of these keys, without the blocks at which the model does not look."""
        reading = self.asking.read(keys)
        return replace(reading, examples=touched(reading.examples, self.blocks))

    def shares(self, keys: Keys) -> tuple[Shares, Examples, Bools]:
        """Return what each family adds to the forecast of each key, what was read of them, and of whom nothing is known (n).

        The forecast of a stranger has no parts: her shares are 0.
        """
        count, typical = len(keys), len(self.typical)
        code, cutoff = (np.concatenate([getattr(part, name) for part in (self.typical, keys)]) for name in ("code", "cutoff"))
        reading = self.read(Keys("user", code, cutoff, keys.names))
        own, known = np.arange(typical, typical + count), self.asking.history.before(keys).count() > 0
        asked = own[known]
        found = self._shared(Mixed.of(self.asking, reading, [family.part for family in self.families], self.moment), typical, asked)
        size, error, chance = np.zeros((count, len(self.families))), np.zeros((count, len(self.families))), np.zeros(count)
        size[known], error[known], chance[known] = found.size, found.error, found.chance
        chance[~known] = self.asking.chance(reading.examples.take(own[~known]), reading.silence[own[~known]])
        return Shares(size, error, found.base, chance, found.exact), reading.examples.take(own), ~known

    def _shared(self, mixed: Mixed, typical: int, asked: Ints) -> Shares:
        def ask(customer: Ints, beside: Ints, members: Bools) -> Floats:
            return mixed.chance(np.where(members, asked[customer, None] if len(asked) else 0, beside[:, None]))

        pairs = np.repeat(asked, typical), np.tile(np.arange(typical), len(asked))
        differs = mixed.differs(*pairs).reshape(len(asked), typical, len(self.families))
        return shapley(ask, differs, walks=WALKS, seed=_SEED)


@dataclass(frozen=True, slots=True, eq=False)
class Mixed:
    """Forecasts of mixtures of what was read.

    Parameters
    ----------
    asking
        Who is asked.
    reading
        What was read (n rows).
    mixture
        How it is mixed.
    moment
        The part with which the instant of reading comes.
    """

    asking: Asking
    reading: Reading
    mixture: Mixture
    moment: int

    @classmethod
    def of(cls, asking: Asking, reading: Reading, parts: list[Part], moment: int) -> Mixed:
        """Return forecasts of mixtures of these parts."""
        return cls(asking, reading, Mixture.of(reading.examples, parts), moment)

    def chance(self, rows: Ints) -> Floats:
        """Return the forecasts of mixtures, given the row from which each part comes (m x p)."""
        keys = rows[:, self.moment]
        return self.asking.chance(self.mixture.mixed(rows, keys), self.reading.silence[keys])

    def differs(self, first: Ints, second: Ints) -> Bools:
        """Return in which parts rows differ from others (n x p)."""
        found = self.mixture.differs(first, second)
        cutoff, silence = self.reading.examples.keys.cutoff, self.reading.silence
        found[:, self.moment] |= (cutoff[first] != cutoff[second]) | (silence[first] != silence[second])
        return found
