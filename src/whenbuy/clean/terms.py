"""Learning from the log without looking ahead: rows of one term are judged by what was learned from rows known before it began."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from whenbuy.clean.draft import Draft
from whenbuy.core.arrays import DAY, MISSING, Floats, Ints
from whenbuy.core.log import SCALES


def number_columns(draft: Draft) -> tuple[str, ...]:
    """Return the known columns of numbers that a log has."""
    return tuple(name for name in SCALES if name in draft.log.columns)


def stored(draft: Draft, names: tuple[str, ...], rows: Ints) -> Ints:
    """Return stored numbers of some columns (n x f), ``MISSING`` where there is none."""
    return np.stack([draft.numbers(name, rows) for name in names], axis=1) if names else np.empty((len(rows), 0), np.int64)


def real(values: Ints, scales: Ints) -> Floats:
    """Return stored numbers in their own units (n x f), NaN where there is none."""
    return np.where(values == MISSING, np.nan, values / scales)


def terms(
    known_at: Ints, values: Ints, asked: Ints, teaches: Ints, every_days: float, most: int, least: int
) -> Iterator[tuple[Ints, Ints]]:
    """Yield for each term (places that teach, places that ask): who teaches was known before the term began.

    Terms are counted from 1970 on, so they do not move with the log. Of who teaches, the last ``most`` before the term are taken; rows of
    one instant follow the order of their values, so that nothing depends on the order of users.

    Parameters
    ----------
    known_at, values
        When each row was known (n) and what it holds (n x f).
    asked, teaches
        1 where a row asks, where it teaches (n each).
    every_days
        Length of a term, in days.
    most, least
        How many rows teach at most; with fewer than ``least`` the term is left out.
    """
    order = np.lexsort((*values.T[::-1], known_at))
    term = known_at[order] // max(1, round(every_days * DAY))
    teachers, askers = order[teaches[order] == 1], order[asked[order] == 1]
    terms_of = term[asked[order] == 1]
    before = np.searchsorted(term[teaches[order] == 1], terms_of, side="left")
    for each in np.unique(terms_of):
        low, high = np.searchsorted(terms_of, [each, each + 1])
        count = int(before[low])
        if count >= least:
            yield teachers[max(0, count - most) : count], askers[low:high]
