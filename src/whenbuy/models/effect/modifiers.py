"""What modifies an effect: a few features on one scale, so that one ridge can draw all of them towards no influence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints, Singles

_FAR: Final = 3.0
_FLAT: Final = 1e-9
_ALIKE: Final = 0.9
_LOOKED_AT: Final = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Modifiers:
    """Features as they are read: signed roots, standardised, drawn in to three deviations; missing ones are the mean.

    Parameters
    ----------
    columns
        Which columns of the features are read (p).
    mean, spread
        Of each one's signed root in training (p each).
    names
        Which of them hold 0 and 1 alone: names, and yes or no (p).
    """

    columns: Ints
    mean: Floats
    spread: Floats
    names: Bools

    @classmethod
    def of(cls, values: Singles, importance: Floats, most: int) -> Modifiers:
        """Return the modifiers among some columns (n x f): every one of 0 and 1, and of the numbers the most important ``most``.

        A number that says the same as a more important one (a correlation above .9) is left out.
        """
        rooted = _rooted(values)
        known = np.isfinite(rooted)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, rooted, 0.0).sum(axis=0) / count
        spread = np.sqrt((np.where(known, rooted - mean, 0.0) ** 2).sum(axis=0) / count)
        names = ((values == 0) | (values == 1)).all(axis=0)
        varied = spread > _FLAT
        some = np.where(known, rooted - mean, 0.0)[:: max(1, len(values) // _LOOKED_AT)] / np.where(varied, spread, 1.0)
        chosen: list[int] = []
        for column in np.argsort(-importance, kind="stable").tolist():
            if len(chosen) < most and varied[column] and not names[column]:
                same = [abs(float(some[:, column] @ some[:, other])) > _ALIKE * len(some) for other in chosen]
                chosen += [] if any(same) else [column]
        columns = np.array([*np.flatnonzero(names & varied).tolist(), *chosen], np.int64)
        return cls(columns, mean[columns], spread[columns], np.asarray(names[columns]))

    def read(self, values: Singles) -> Floats:
        """Return a column of ones and the columns as they are read (n x 1 + p)."""
        scaled = (_rooted(values[:, self.columns]) - self.mean) / self.spread
        tidy = np.clip(np.where(np.isfinite(scaled), scaled, 0.0), -_FAR, _FAR)
        return np.hstack([np.ones((len(tidy), 1)), tidy])


def _rooted(values: Singles) -> Floats:
    plain = values.astype(np.float64)
    return np.asarray(np.sign(plain) * np.sqrt(np.abs(plain)))


TYPES: Final[dict[str, type]] = {Modifiers.__name__: Modifiers}
"""What a stored model of this file may be made of."""
