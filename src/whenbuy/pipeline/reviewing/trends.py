"""Where opinion falls: a test of each thing's reviews in their order, with care for testing very many things at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Instants

LEAST: Final = 8
"""So many reviews are needed before a trend is spoken of."""
FALSE: Final = 0.1
"""The share of false alarms among those things of which it is said that opinion falls."""
_SIDE: Final = 3


@dataclass(frozen=True, slots=True)
class Trend:
    """How the scores of a thing go with time.

    Parameters
    ----------
    tau
        Kendall's rank correlation with time, -1 to 1.
    p_value
        The chance of so low a tau where nothing changes.
    since
        The instant of the first review behind the greatest step.
    before, after
        The mean score before and since.
    split
        How many reviews came before.
    """

    tau: float
    p_value: float
    since: int
    before: float
    after: float
    split: int


def trend(time: Instants, score: Floats) -> Trend | None:
    """Return the trend of some scores in the order of time; nothing where they are fewer than 8, all equal or of one instant.

    The test is Kendall's, one-sided, with ties (tau-b; Kendall 1970, chapter 4). The step is where the cumulated deviation from the mean is
    farthest from 0 relative to its spread under no change.
    """
    from scipy.stats import kendalltau

    n = len(score)
    if n < LEAST or score.min() == score.max() or time.min() == time.max():
        return None
    found = kendalltau(time, score, alternative="less")
    cumulated = np.cumsum(score - score.mean())[_SIDE - 1 : n - _SIDE]
    place = np.arange(_SIDE, n - _SIDE + 1)
    split = int(place[np.argmax(np.abs(cumulated) / np.sqrt(place * (n - place)))])
    return Trend(
        float(found.statistic), float(found.pvalue), int(time[split]), float(score[:split].mean()), float(score[split:].mean()), split
    )


def falling(p_value: Floats, share: float = FALSE) -> Bools:
    """Return which of the tests hold (n), so that at most ``share`` of those are expected to be false.

    Benjamini & Hochberg (1995): the tests up to the last rank k with p(k) <= k / n * share; a NaN was no test.
    """
    tested = np.flatnonzero(np.isfinite(p_value))
    order = tested[np.argsort(p_value[tested], kind="stable")]
    bound = share * np.arange(1, len(order) + 1) / max(len(order), 1)
    under = np.flatnonzero(p_value[order] <= bound)
    found = np.zeros(len(p_value), bool)
    found[order[: under[-1] + 1 if len(under) else 0]] = True
    return found
